// Package kafka reads a Kafka broker by JMX through Jolokia, or a Kafka cluster
// by its own protocol: partitions that lack replicas and the lag of the
// consumer groups.
package kafka

import (
	"log/slog"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "kafka", Label: "kafka"}

// New returns the collector of one broker or of one cluster.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	build := newCluster
	if cfg.URL != "" {
		build = newBroker
	}
	reader, secret, err := build(cfg)
	if err != nil {
		return nil, err
	}
	return server.New(customer, product, cfg.Settings, reader, []server.Secret{secret}, set, log), nil
}
