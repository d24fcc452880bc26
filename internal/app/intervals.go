package app

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware"
	"watchkeeper/exporters/probe"
	"watchkeeper/exporters/process"
	"watchkeeper/internal/config"
	"watchkeeper/ruleset/contract"
	"watchkeeper/ruleset/lint"
)

// Intervals tells the longest time between two samples of a declared metric that
// a configuration asks for, and of which collector; of metrics that it does not ask
// for, and of a cloud's, nothing is known.
func Intervals(cfg *config.Config) (func(metric string) (lint.Period, bool), error) {
	bySource := map[string]lint.Period{}
	// An interval of 0 is left to a default, which suits the shipped rules.
	longest := func(source string, d time.Duration, who, customer string) {
		if d > bySource[source].Every {
			bySource[source] = lint.Period{Every: d, Source: fmt.Sprintf("%s of %s", who, customer)}
		}
	}
	for i, cu := range cfg.Customers {
		if cu.Host != nil {
			longest("host", time.Duration(cu.Host.Interval), "the host", cu.Name)
		}
		if cu.Processes != nil {
			longest("host/"+process.Kind, time.Duration(cu.Processes.Interval), "the processes", cu.Name)
		}
		if cu.Probes != nil {
			for _, t := range cu.Probes.Targets {
				longest(sourceOfProbe(t), time.Duration(t.Interval), fmt.Sprintf("the probe %q", t.Name), cu.Name)
			}
		}
		jobs, err := middleware.Jobs(cu.Name, cu.Middleware, metrics.NewSet(), slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, fmt.Errorf("customers[%d].middleware: %w", i, err)
		}
		for _, j := range jobs {
			longest("middleware/"+j.Kind, j.Interval, j.Collector.Source().Name, cu.Name)
		}
	}
	return func(metric string) (lint.Period, bool) {
		m, _ := contract.LookupMetric(metric)
		source := m.Source
		if source == probe.Kind {
			kind, _, _ := strings.Cut(strings.TrimPrefix(metric, "probe_"), "_")
			source = probe.Kind + "/" + kind
		}
		d, ok := bySource[source]
		return d, ok
	}, nil
}

// sourceOfProbe tells by the kind of a probe which metrics it alone delivers.
func sourceOfProbe(t probe.Target) string {
	kind := "http"
	switch {
	case t.TCP != "":
		kind = "tcp"
	case t.UDP != "":
		kind = "udp"
	case t.DNS != nil:
		kind = "dns"
	case t.ICMP != "":
		kind = "icmp"
	}
	return probe.Kind + "/" + kind
}
