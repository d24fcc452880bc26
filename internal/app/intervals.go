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
)

// Intervals tells the longest time between two samples of a declared metric that
// a configuration asks for; of metrics that it does not ask for, and of a cloud's,
// nothing is known.
func Intervals(cfg *config.Config) (func(metric string) (time.Duration, bool), error) {
	bySource := map[string]time.Duration{}
	longest := func(source string, d time.Duration) {
		if d > 0 { // else it is left to a default, which suits the shipped rules
			bySource[source] = max(bySource[source], d)
		}
	}
	for i, cu := range cfg.Customers {
		if cu.Host != nil {
			longest("host", time.Duration(cu.Host.Interval))
		}
		if cu.Processes != nil {
			longest("host/"+process.Kind, time.Duration(cu.Processes.Interval))
		}
		if cu.Probes != nil {
			for _, t := range cu.Probes.Targets {
				longest(sourceOfProbe(t), time.Duration(t.Interval))
			}
		}
		jobs, err := middleware.Jobs(cu.Name, cu.Middleware, metrics.NewSet(), slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, fmt.Errorf("customers[%d].middleware: %w", i, err)
		}
		for _, j := range jobs {
			longest("middleware/"+j.Kind, j.Interval)
		}
	}
	return func(metric string) (time.Duration, bool) {
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
