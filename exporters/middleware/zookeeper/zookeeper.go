// Package zookeeper reads a ZooKeeper server by the command mntr on its client
// port. (The AdminServer tells the same, where there is one.)
package zookeeper

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "zookeeper", Label: "zookeeper"}

type reader struct{ address string }

// New returns the collector of one server.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return server.New(customer, product, cfg.Settings, reader{cfg.Address}, nil, set, log), nil
}

// Read implements server.Reader.
func (r reader) Read(ctx context.Context, out *server.Reading) error {
	answer, err := server.Exchange(ctx, r.address, []byte("mntr"))
	if err != nil {
		return err
	}
	fields, err := parse(string(answer))
	if err != nil {
		return err
	}
	done := make(map[string]bool)
	for _, f := range figures {
		v, err := strconv.ParseFloat(fields[f.field], 64)
		if err != nil || done[f.metric] {
			continue
		}
		done[f.metric] = true
		out.Add(f.metric, v/f.divisor)
	}
	version, _, _ := strings.Cut(fields["zk_version"], ",") // the build follows
	out.Add(metricInfo, 1, "version", version, "state", fields["zk_server_state"])
	return nil
}

// parse reads lines of "zk_name<tab>value".
func parse(answer string) (map[string]string, error) {
	switch {
	case strings.Contains(answer, "not in the whitelist"):
		return nil, server.Failed(server.ReasonDenied, "mntr is not among the server's 4lw.commands.whitelist")
	case strings.Contains(answer, "not currently serving requests"):
		return nil, server.Failed(server.ReasonStatus, "the server does not serve requests: it has no quorum")
	}
	fields := make(map[string]string)
	for line := range strings.Lines(answer) {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "\t"); ok {
			fields[name] = value
		}
	}
	if fields["zk_server_state"] == "" || fields["zk_outstanding_requests"] == "" {
		return nil, server.Failed(server.ReasonFormat, "not an answer to mntr: %q", server.Excerpt(answer, 60))
	}
	return fields, nil
}
