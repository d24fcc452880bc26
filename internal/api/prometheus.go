package api

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/notifications"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// Limits of the remote-read endpoint, Prometheus's defaults.
const (
	readSampleLimit      = 5e7
	readConcurrencyLimit = 10
	readMaxBytesInFrame  = 1 << 20
)

// prometheusCompat is the Prometheus release whose API this server speaks:
// Grafana's data source chooses its features by it.
const prometheusCompat = "3.15.0"

// newPrometheus returns Prometheus's own API handlers (queries, series, labels,
// status) over our store. What they cannot show of us (rules, alerts, metadata,
// remote write) is served by this package before they are asked.
func newPrometheus(d Deps, log *slog.Logger) http.Handler {
	noRules := func(context.Context) v1.RulesRetriever { return nothing{} }
	shown := targets{Scraped: d.Scraped, collectors: d.Collectors, address: d.ListenAddress}
	a := v1.NewAPI(
		d.Engine, d.Store, nil, nil, d.Store,
		func(context.Context) v1.ScrapePoolsRetriever { return shown },
		func(context.Context) v1.TargetRetriever { return shown },
		func(context.Context) v1.AlertmanagerRetriever { return d.OutsideAlertmanagers },
		func() config.Config { return config.DefaultConfig },
		map[string]string{},
		v1.GlobalURLOptions{ListenAddress: d.ListenAddress, Host: d.ListenAddress, Scheme: "http"},
		func(h http.HandlerFunc) http.HandlerFunc { return h },
		d.Admin, d.DataDir,
		false, false, 0,
		log, noRules,
		readSampleLimit, readConcurrencyLimit, readMaxBytesInFrame,
		false,
		regexp.MustCompile("^$"), // no cross-origin requests
		func() (v1.RuntimeInfo, error) { return runtimeInfo(d.Started), nil },
		&v1.PrometheusVersion{Version: prometheusCompat, Revision: d.Version, Branch: "watchkeeper", GoVersion: runtime.Version()},
		func() []notifications.Notification { return nil },
		func() (<-chan notifications.Notification, func(), bool) { return nil, func() {}, false },
		prometheus.NewRegistry(), prometheus.NewRegistry(),
		nil,
		false, nil,
		false, false, false,
		false,
		d.LookbackDelta,
		false, false,
		nil,
		features.NewRegistry(),
		v1.OpenAPIOptions{Version: d.Version},
		parser.NewParser(parser.Options{}),
	)
	r := route.New()
	a.Register(r.WithPrefix("/api/v1"))
	return r
}

func runtimeInfo(started time.Time) v1.RuntimeInfo {
	return v1.RuntimeInfo{
		StartTime:           started,
		ServerTime:          time.Now().UTC(),
		ReloadConfigSuccess: true,
		LastConfigTime:      started,
		GoroutineCount:      runtime.NumGoroutine(),
		GOMAXPROCS:          runtime.GOMAXPROCS(0),
	}
}

// Queryable is what the Prometheus API reads from.
type Queryable interface {
	storage.SampleAndChunkQueryable
	storage.ExemplarQueryable
}

// QueryEngine evaluates PromQL.
type QueryEngine = promql.QueryEngine

// nothing answers for rules, which are served before Prometheus's handlers are
// asked.
type nothing struct{}

func (nothing) RuleGroups() []*rules.Group           { return nil }
func (nothing) AlertingRules() []*rules.AlertingRule { return nil }
