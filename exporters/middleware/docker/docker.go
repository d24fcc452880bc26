// Package docker reads a Docker engine and its running containers by the
// Engine API.
package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sync/errgroup"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "docker", Label: "docker"}

const (
	maxContainers = 500
	// concurrency of the questions about single containers: engines before 20.10
	// take a second for each.
	concurrency = 8
)

type reader struct {
	client     *server.Client
	containers server.Presence
	last       map[string]stats // by container id, at the check before
}

// New returns the collector of one engine.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client := server.NewSocketClient(cfg.socket())
	if cfg.URL != "" {
		var err error
		if client, err = server.NewClient(cfg.HTTP); err != nil {
			return nil, err
		}
	}
	return server.New(customer, product, cfg.Settings, &reader{client: client}, client.Secrets(), set, log), nil
}

// Read implements server.Reader.
func (r *reader) Read(ctx context.Context, out *server.Reading) error {
	defer r.client.Close()
	var i info
	if err := r.get(ctx, "info", nil, &i); err != nil {
		return err
	}
	if i.ServerVersion == "" || i.NCPU <= 0 {
		return server.Failed(server.ReasonFormat, "info: not a Docker engine's answer")
	}
	i.add(out)
	var running []container
	if err := r.get(ctx, "containers/json", nil, &running); err != nil {
		return err
	}
	if len(running) > maxContainers {
		out.Miss("containers", server.Failed(server.ReasonTooLarge, "%d containers, %d read", len(running), maxContainers))
		slices.SortFunc(running, func(a, b container) int { return cmp.Compare(a.ID, b.ID) })
		running = running[:maxContainers]
	}
	if err := r.ask(ctx, running, out); err != nil {
		return err
	}
	now := make(map[string]stats, len(running))
	for _, c := range running {
		if !c.answered {
			continue
		}
		r.containers.Add(out, c.name(), func() { c.add(out, r.last[c.ID], i.NCPU) })
		now[c.ID] = c.stats
	}
	r.last = now
	if out.Missed("containers") == nil {
		r.containers.Settle(out, "stopped")
	}
	return nil
}

// ask reads the running containers' statistics and limits. One that ended
// meanwhile is left out; one that the engine does not answer for is missed.
func (r *reader) ask(ctx context.Context, running []container, out *server.Reading) error {
	errs := make([]error, len(running))
	var g errgroup.Group
	g.SetLimit(concurrency)
	for i := range running {
		g.Go(func() error {
			errs[i] = r.askOne(ctx, &running[i])
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, err := range errs {
		if err != nil {
			out.Miss("containers", fmt.Errorf("container %q: %w", running[i].name(), err))
		}
	}
	return nil
}

func (r *reader) askOne(ctx context.Context, c *container) error {
	path := "containers/" + url.PathEscape(c.ID)
	query := url.Values{"stream": {"false"}, "one-shot": {"true"}}
	for _, q := range []struct {
		path  string
		query url.Values
		v     any
	}{{path + "/json", nil, &c.inspected}, {path + "/stats", query, &c.stats}} {
		status, body, err := r.client.Do(ctx, http.MethodGet, q.path, q.query, nil)
		if err != nil {
			return err
		}
		if status == http.StatusNotFound || status == http.StatusConflict {
			return nil // ended meanwhile
		}
		if err := r.client.CheckStatus(q.path, status, body); err != nil {
			return err
		}
		if err := json.Unmarshal(body, q.v); err != nil {
			return server.Failed(server.ReasonFormat, "%s: %w", q.path, err)
		}
	}
	c.answered = true
	return nil
}

func (r *reader) get(ctx context.Context, path string, query url.Values, v any) error {
	body, err := r.client.Get(ctx, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return server.Failed(server.ReasonFormat, "%s: not a Docker engine's answer: %q", path, server.Excerpt(string(body), 60))
	}
	return nil
}
