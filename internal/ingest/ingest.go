// Package ingest takes samples that others send: Prometheus remote write 1.0
// and 2.0, and on the ingest listener text and JSON (Push). One Writer holds what both front ends share; FastHTTP serves it on
// the ingest listener, HTTP on the API's.
//
// Who sends is decided by the listener or the token (Authenticator), never by
// the data: a label customer that says otherwise is refused. A sender is a
// source for the rule engine. It counts as up in every minute that its samples
// touch, and delivers currently. Another watchkeeper tells more: it sends sections
// (sample.Flatten), each of which is a batch of the source SENDER/SOURCE with the
// facts that were known where it was collected.
//
// Answers are what senders act on. 204: everything is stored or was before.
// 400: the samples named in the answer are refused for good, the others are
// stored; do not send again. 413: too large, send less at once. 5xx: nothing is
// stored, send the same again later.
package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"

	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
)

// Path is where both front ends serve remote write.
const Path = "/api/v1/write"

// Sender is who sends, as the listener's configuration or the token says.
type Sender struct {
	Customer string
	Source   string // the source's name within the customer, e.g. "remote-write/prom-1"
}

// Authenticator returns the sender that a bearer token stands for; the token
// is empty when the request has none.
type Authenticator func(token string) (Sender, bool)

// Fixed is the Authenticator of a listener that serves one sender and asks for
// no token.
func Fixed(s Sender) Authenticator {
	return func(string) (Sender, bool) { return s, true }
}

// Appender takes a batch: the store, or the pipeline of store and rule engine.
type Appender interface {
	Append(ctx context.Context, b sample.Batch) (storage.Result, error)
}

// Config bounds what one request and all together may cost.
type Config struct {
	// MaxBodyBytes bounds the compressed body. Default 8388608 (8 MiB).
	MaxBodyBytes int `yaml:"max_body_bytes"`
	// MaxDecodedBytes bounds the decompressed body. Default 33554432 (32 MiB).
	MaxDecodedBytes int `yaml:"max_decoded_bytes"`
	// MaxEntries bounds the series, labels, samples, symbols and exemplars of a
	// request, counted together; small entries take far more memory decoded
	// than encoded. Default 1000000.
	MaxEntries int `yaml:"max_entries"`
	// MaxConcurrent is the number of requests worked on at once. Default 8.
	MaxConcurrent int `yaml:"max_concurrent"`
	// MaxWait is how long a request waits for its turn before it is answered
	// 503. Default 5s.
	MaxWait model.Duration `yaml:"max_wait"`
	// MaxMetadata is the number of metric names whose type, help and unit are
	// kept, all customers together. Default 50000.
	MaxMetadata int `yaml:"max_metadata"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		MaxBodyBytes:    8 << 20,
		MaxDecodedBytes: 32 << 20,
		MaxEntries:      1_000_000,
		MaxConcurrent:   8,
		MaxWait:         model.Duration(5 * time.Second),
		MaxMetadata:     50_000,
	}
}

// Validate names the first field that cannot be worked with.
func (c *Config) Validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"max_body_bytes", c.MaxBodyBytes},
		{"max_decoded_bytes", c.MaxDecodedBytes},
		{"max_entries", c.MaxEntries},
		{"max_concurrent", c.MaxConcurrent},
		{"max_metadata", c.MaxMetadata},
	} {
		if f.value < 1 {
			return fmt.Errorf("%s: must be at least 1", f.name)
		}
	}
	if c.MaxWait < 0 {
		return fmt.Errorf("max_wait: must not be negative")
	}
	return nil
}

// Writer takes remote-write requests. Its methods may be called concurrently.
type Writer struct {
	// Admit, if set before the first request, says why a source that a sender names may
	// not deliver; nil where it may.
	Admit func(sample.Source) error

	cfg      Config
	appender Appender
	logger   *slog.Logger
	meta     *metadataStore
	slots    chan struct{} // one for each request worked on
	metrics  writerMetrics

	mu      sync.Mutex
	sources map[Sender]*spokenFor
}

type writerMetrics struct {
	requests map[version]*metrics.Counter
	failed   map[int]*metrics.Counter // by status
	samples  *metrics.Counter
	refused  *metrics.Counter
	duration *metrics.PrometheusHistogram
}

// New returns a Writer that hands what it decodes to appender.
func New(cfg Config, appender Appender, logger *slog.Logger, set *metrics.Set) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	m := writerMetrics{
		requests: make(map[version]*metrics.Counter),
		failed:   make(map[int]*metrics.Counter),
		samples:  set.GetOrCreateCounter("watchkeeper_ingest_samples_received_total"),
		refused:  set.GetOrCreateCounter("watchkeeper_ingest_samples_refused_total"),
		duration: set.GetOrCreatePrometheusHistogram("watchkeeper_ingest_request_duration_seconds"),
	}
	for _, v := range []version{v1, v2, pushed} {
		m.requests[v] = set.GetOrCreateCounter(fmt.Sprintf("watchkeeper_ingest_requests_total{version=%q}", v))
	}
	for _, code := range statuses {
		m.failed[code] = set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_ingest_requests_failed_total{status="%d"}`, code))
	}
	return &Writer{
		cfg:      cfg,
		appender: appender,
		logger:   logger,
		meta:     newMetadataStore(cfg.MaxMetadata),
		slots:    make(chan struct{}, cfg.MaxConcurrent),
		metrics:  m,
		sources:  make(map[Sender]*spokenFor),
	}, nil
}
