// Package fileage tells how old the newest of some files is, and how large: a
// backup that is missing or too small is a file that is not there.
package fileage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// Kind names this sort of collector in a scheduler's job.
const Kind = "fileage"

// Metrics of a set; all carry the label `files`. Without a file that counts
// there are neither age nor size.
const (
	metricCount           = "fileage_files" // that count
	metricAgeSeconds      = "fileage_newest_age_seconds"
	metricModifiedSeconds = "fileage_newest_timestamp_seconds"
	metricSizeBytes       = "fileage_newest_size_bytes"
)

// Collector looks at the declared files of this host.
type Collector struct {
	source   sample.Source
	instance string
	sets     []Set
	failing  map[string]bool
	reads    *metrics.Counter
	failures *metrics.Counter
	log      *slog.Logger
}

// New returns the collector of declared files.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Instance == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("host name: %w", err)
		}
		cfg.Instance = name
	}
	return &Collector{
		source:   sample.Source{Customer: customer, Name: Kind + "/" + cfg.Instance},
		instance: cfg.Instance,
		sets:     cfg.Sets,
		failing:  make(map[string]bool),
		reads:    set.GetOrCreateCounter("watchkeeper_fileage_reads_total"),
		failures: set.GetOrCreateCounter("watchkeeper_fileage_read_failures_total"),
		log:      log.With("customer", customer),
	}, nil
}

// Source is "fileage/<instance>".
func (c *Collector) Source() sample.Source { return c.source }

// Collect looks at every set.
func (c *Collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	b := exporters.NewBuilder(at, "customer", c.source.Customer, "product", "host", "instance", c.instance)
	for _, s := range c.sets {
		f, err := newest(ctx, s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.note(s.Name, err)
		if err != nil {
			continue
		}
		dims := []string{"files", s.Name}
		b.Add(metricCount, float64(f.count), dims...)
		if f.count > 0 {
			b.Add(metricAgeSeconds, max(0, at.Sub(f.modified)).Seconds(), dims...)
			b.Add(metricModifiedSeconds, float64(f.modified.UnixMilli())/1000, dims...)
			b.Add(metricSizeBytes, float64(f.size), dims...)
		}
	}
	return sink.Append(ctx, exporters.Looked(c.source, at, b.Samples()))
}

// files are those of a set that count.
type files struct {
	count    int
	modified time.Time // of the newest
	size     int64     // of the newest
}

func newest(ctx context.Context, s Set) (files, error) {
	var f files
	// Glob does not tell a folder that may not be read from an empty one.
	if dir := filepath.Dir(s.Path); !hasMeta(dir) {
		d, err := os.Open(dir)
		if err != nil {
			return f, err
		}
		_ = d.Close()
	}
	names, err := filepath.Glob(s.Path)
	if err != nil {
		return f, err
	}
	if len(names) > maxMatches {
		return f, fmt.Errorf("more than %d files match", maxMatches)
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return f, err
		}
		if ignored, _ := filepath.Match(s.Ignore, filepath.Base(name)); ignored {
			continue
		}
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile, or a link to nowhere
		}
		if err != nil {
			return f, err
		}
		if !info.Mode().IsRegular() || info.Size() < s.MinBytes {
			continue
		}
		f.count++
		if info.ModTime().After(f.modified) {
			f.modified, f.size = info.ModTime(), info.Size()
		}
	}
	return f, nil
}

func hasMeta(path string) bool {
	for _, r := range path {
		switch r {
		case '*', '?', '[', '\\':
			return true
		}
	}
	return false
}

// note counts a set that could not be looked at and logs the first of a row.
func (c *Collector) note(set string, err error) {
	c.reads.Inc()
	if err != nil {
		c.failures.Inc()
		if !c.failing[set] {
			c.log.Warn("files not looked at", "files", set, "err", err)
		}
	}
	c.failing[set] = err != nil
}
