// Package kubernetes reads a Kubernetes cluster: its nodes, workloads, pods and
// their containers, from the API server or from kube-state-metrics.
package kubernetes

import (
	"context"
	"log/slog"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

// limits bound what a cluster may bring.
type limits struct {
	items     int   // of one list
	series    int   // more than other servers have: a cluster of five thousand pods is one
	pageBytes int64 // of kube-state-metrics: some ten kilobytes a pod
}

var production = limits{items: 20_000, series: 50_000, pageBytes: 64 << 20}

// source is what a cluster's state is read from.
type source interface {
	// read returns the state; what the account may not see goes to out.Miss with
	// the list's name as part.
	read(ctx context.Context, out *server.Reading) (state, error)
}

type reader struct {
	source source
	client *server.Client

	nodes, workloads, pods server.Presence
	desired                server.Presence
}

// New returns the collector of one cluster. It fails where neither address is
// given and it does not run in a cluster itself.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	return newCollector(customer, cfg, production, set, log)
}

func newCollector(customer string, cfg Config, l limits, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	address := cfg.StateMetricsURL
	if address == "" {
		if cfg.URL == "" {
			var err error
			if cfg, err = cfg.inCluster(); err != nil {
				return nil, err
			}
		}
		address = cfg.URL
	}
	client, err := server.NewTokenClient(address, cfg.Token.Secret(), cfg.TLS)
	if err != nil {
		return nil, err
	}
	r := &reader{source: api{client, cfg.Namespaces, l.items}, client: client}
	if cfg.StateMetricsURL != "" {
		r.source = stateMetrics{client, l.pageBytes}
	}
	product := server.Product{Kind: "kubernetes", Label: "kubernetes", MaxSeries: l.series}
	return server.New(customer, product, cfg.Settings, r, client.Secrets(), set, log), nil
}

// Read implements server.Reader.
func (r *reader) Read(ctx context.Context, out *server.Reading) error {
	defer r.client.Close()
	s, err := r.source.read(ctx, out)
	if err != nil {
		return err
	}
	r.add(s, out)
	return nil
}
