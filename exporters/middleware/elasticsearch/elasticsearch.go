// Package elasticsearch reads an Elasticsearch cluster by its health and its
// nodes' statistics. (Alibaba Cloud's product is read through CloudMonitor and
// codes its status differently.)
package elasticsearch

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "elasticsearch", Label: "elasticsearch"}

type reader struct{ client *server.Client }

// New returns the collector of one cluster.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := server.NewClient(cfg.HTTP)
	if err != nil {
		return nil, err
	}
	return server.New(customer, product, cfg.Settings, reader{client}, client.Secrets(), set, log), nil
}

// Read implements server.Reader. Health comes first and stands by itself: a
// cluster that is red may not answer for its nodes.
func (r reader) Read(ctx context.Context, out *server.Reading) error {
	defer r.client.Close()
	var h health
	if err := r.get(ctx, "_cluster/health", nil, &h); err != nil {
		return err
	}
	status, ok := statusCodes[h.Status]
	if !ok {
		return server.Failed(server.ReasonFormat, "_cluster/health: status %q", server.Excerpt(h.Status, 20))
	}
	out.Add(metricClusterStatus, status)
	h.add(out)
	var stats struct {
		Nodes map[string]node `json:"nodes"`
	}
	if err := r.get(ctx, "_nodes/stats/process,os,jvm,fs", nil, &stats); err != nil {
		out.Miss("nodes", err)
		return nil
	}
	for _, n := range stats.Nodes {
		n.add(out)
	}
	return nil
}

func (r reader) get(ctx context.Context, path string, query url.Values, v any) error {
	body, err := r.client.Get(ctx, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return server.Failed(server.ReasonFormat, "%s: not Elasticsearch's answer: %q", path, server.Excerpt(string(body), 60))
	}
	return nil
}
