// Package memcached reads a memcached server by its command stats.
package memcached

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "memcached", Label: "memcached"}

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
	answer, err := server.Exchange(ctx, r.address, []byte("stats\r\n"), ends...)
	if err != nil {
		return err
	}
	stats, err := parse(string(answer))
	if err != nil {
		return err
	}
	for _, f := range figures {
		if v, err := strconv.ParseFloat(stats[f.stat], 64); err == nil {
			out.Add(f.metric, v, f.dims...)
		}
	}
	out.Add(metricInfo, 1, "version", stats["version"])
	return nil
}

// ends are the lines by which every answer ends.
var ends = [][]byte{[]byte("END\r\n"), []byte("ERROR\r\n"), []byte("unauthenticated\r\n")}

// parse reads lines of "STAT name value" up to END.
func parse(answer string) (map[string]string, error) {
	stats := make(map[string]string)
	ended := false
	for line := range strings.Lines(answer) {
		line = strings.TrimRight(line, "\r\n")
		if ended = line == "END"; ended {
			break
		}
		if strings.Contains(line, "unauthenticated") {
			return nil, server.Failed(server.ReasonAuth, "the server wants a log-in: %q", server.Excerpt(line, 60))
		}
		if rest, ok := strings.CutPrefix(line, "STAT "); ok {
			name, value, _ := strings.Cut(rest, " ")
			stats[name] = value
		}
	}
	if _, ok := stats["uptime"]; !ok || !ended {
		return nil, server.Failed(server.ReasonFormat, "not memcached's statistics: %q", server.Excerpt(answer, 60))
	}
	return stats, nil
}
