// Package rabbitmq reads a RabbitMQ cluster by its management API.
package rabbitmq

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "rabbitmq", Label: "rabbitmq"}

// healthChecks are those of the node that answers: alarms in effect, virtual
// hosts that do not run. A server before 3.8.10 knows neither; the node's flags
// tell its alarms all the same.
var healthChecks = []string{"local-alarms", "virtual-hosts"}

type reader struct {
	client    *server.Client
	localOnly bool
	queues    int
	nodes     server.Presence
}

// New returns the collector of one cluster or node.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := server.NewClient(cfg.HTTP)
	if err != nil {
		return nil, err
	}
	r := &reader{client: client, localOnly: cfg.LocalOnly, queues: cfg.queues()}
	return server.New(customer, product, cfg.Settings, r, client.Secrets(), set, log), nil
}

// Read implements server.Reader.
func (r *reader) Read(ctx context.Context, out *server.Reading) error {
	defer r.client.Close()
	var o overview
	if err := r.get(ctx, "api/overview", nil, &o); err != nil {
		return err
	}
	if o.Node == "" {
		return server.Failed(server.ReasonFormat, "api/overview: not RabbitMQ's answer")
	}
	var nodes []node
	if err := r.get(ctx, "api/nodes", nil, &nodes); err != nil {
		return err
	}
	healthy, err := r.healthy(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		local := n.Name == o.Node
		if local || !r.localOnly {
			r.nodes.Add(out, n.Name, func() { n.add(out, !local || healthy) })
		}
	}
	// A node that is down stays in the list until the cluster is told to forget it.
	r.nodes.Settle(out, "deleted")
	o.add(out)
	if r.queues > 0 {
		if err := r.addQueues(ctx, out); err != nil {
			out.Miss("queues", err)
		}
	}
	return nil
}

// healthy runs the health checks of the node that answers.
func (r *reader) healthy(ctx context.Context) (bool, error) {
	for _, check := range healthChecks {
		path := "api/health/checks/" + check
		status, body, err := r.client.Do(ctx, http.MethodGet, path, nil, nil)
		if err != nil {
			return false, err
		}
		switch status {
		case http.StatusOK, http.StatusNotFound:
		case http.StatusServiceUnavailable:
			return false, nil
		default:
			return false, r.client.CheckStatus(path, status, body)
		}
	}
	return true, nil
}

func (r *reader) addQueues(ctx context.Context, out *server.Reading) error {
	var page struct {
		Items []queue `json:"items"`
	}
	err := r.get(ctx, "api/queues", url.Values{
		"page": {"1"}, "page_size": {strconv.Itoa(r.queues)}, "sort": {"messages"}, "sort_reverse": {"true"},
		"columns": {"name,vhost,messages,messages_ready,messages_unacknowledged,consumers,memory"},
	}, &page)
	if err != nil {
		return err
	}
	for _, q := range page.Items {
		q.add(out)
	}
	return nil
}

func (r *reader) get(ctx context.Context, path string, query url.Values, v any) error {
	body, err := r.client.Get(ctx, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return server.Failed(server.ReasonFormat, "%s: not RabbitMQ's answer: %q", path, server.Excerpt(string(body), 60))
	}
	return nil
}
