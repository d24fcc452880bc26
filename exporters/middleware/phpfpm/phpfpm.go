// Package phpfpm reads a PHP-FPM pool by its status page, over FastCGI itself or
// through a web server.
package phpfpm

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "phpfpm", Label: "php"}

// status is the page in its JSON form. Fields that a version lacks are nil.
type status struct {
	Pool               *string  `json:"pool"`
	StartSince         *float64 `json:"start since"`
	AcceptedConn       *float64 `json:"accepted conn"`
	ListenQueue        *float64 `json:"listen queue"`
	MaxListenQueue     *float64 `json:"max listen queue"`
	ListenQueueLen     *float64 `json:"listen queue len"`
	IdleProcesses      *float64 `json:"idle processes"`
	ActiveProcesses    *float64 `json:"active processes"`
	MaxActiveProcesses *float64 `json:"max active processes"`
	MaxChildrenReached *float64 `json:"max children reached"`
	SlowRequests       *float64 `json:"slow requests"`
	MemoryPeak         *float64 `json:"memory peak"`
}

type reader struct {
	client  *server.Client // nil with fastcgi
	query   map[string][]string
	fastcgi string
	path    string
}

// New returns the collector of one pool.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := reader{fastcgi: cfg.FastCGI, path: cfg.Path}
	if r.path == "" {
		r.path = defaultPath
	}
	var secrets []server.Secret
	if cfg.FastCGI == "" {
		client, err := server.NewClient(cfg.HTTP)
		if err != nil {
			return nil, err
		}
		r.client, secrets = client, client.Secrets()
		if _, query, _ := strings.Cut(cfg.URL, "?"); !strings.Contains(query, "json") {
			r.query = map[string][]string{"json": {""}}
		}
	}
	return server.New(customer, product, cfg.Settings, r, secrets, set, log), nil
}

// Read implements server.Reader.
func (r reader) Read(ctx context.Context, out *server.Reading) error {
	page, err := r.fetch(ctx)
	if err != nil {
		return err
	}
	s, err := parse(page)
	if err != nil {
		return err
	}
	s.add(out)
	return nil
}

func (r reader) fetch(ctx context.Context) ([]byte, error) {
	if r.client == nil {
		return askFastCGI(ctx, r.fastcgi, r.path, "json")
	}
	defer r.client.Close()
	return r.client.Get(ctx, "", r.query)
}

func parse(page []byte) (status, error) {
	var s status
	err := json.Unmarshal(bytes.TrimSpace(page), &s)
	if err != nil || s.Pool == nil || s.ListenQueue == nil || s.MaxChildrenReached == nil {
		return status{}, server.Failed(server.ReasonFormat, "not a PHP-FPM status page: %q", server.Excerpt(string(page), 60))
	}
	return s, nil
}

func (s status) add(out *server.Reading) {
	add := func(metric string, v *float64, dims ...string) {
		if v != nil {
			out.Add(metric, *v, append(dims, "pool", *s.Pool)...)
		}
	}
	add(metricListenQueue, s.ListenQueue)
	add(metricListenQueueMax, s.MaxListenQueue)
	add(metricListenQueueLength, s.ListenQueueLen)
	add(metricProcesses, s.IdleProcesses, "state", "idle")
	add(metricProcesses, s.ActiveProcesses, "state", "active")
	add(metricActiveProcessesMax, s.MaxActiveProcesses)
	add(metricMaxChildrenReachedTotal, s.MaxChildrenReached)
	add(metricAcceptedConnectionsTotal, s.AcceptedConn)
	add(metricSlowRequestsTotal, s.SlowRequests)
	add(metricUptimeSeconds, s.StartSince)
	add(metricMemoryPeakBytes, s.MemoryPeak)
}
