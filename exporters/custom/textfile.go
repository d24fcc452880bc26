package custom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/internal/promtext"
	"watchkeeper/internal/sample"
)

// maxTextFiles bounds the files of one collector.
const maxTextFiles = 1000

// TextFiles delivers the *.prom files of folders, as node_exporter's collector of
// that name does: a file counts as a whole or not at all, may not have times of
// its own, and tells by its modification time how old it is. Write to another
// name and rename it.
type TextFiles struct {
	cfg      TextFilesConfig
	id       identity
	source   sample.Source
	last     []sample.Sample // delivered at the check before
	failing  map[string]bool
	reads    *metrics.Counter
	failures *metrics.Counter
	log      *slog.Logger
}

// NewTextFiles returns the collector of text files; its configuration is valid.
func NewTextFiles(customer, instance string, cfg TextFilesConfig, set *metrics.Set, log *slog.Logger) *TextFiles {
	return &TextFiles{
		cfg:      cfg,
		id:       identity{customer, "host", instance},
		source:   sample.Source{Customer: customer, Name: KindTextFiles + "/" + instance},
		failing:  make(map[string]bool),
		reads:    set.GetOrCreateCounter("watchkeeper_custom_text_file_reads_total"),
		failures: set.GetOrCreateCounter("watchkeeper_custom_text_file_read_failures_total"),
		log:      log.With("customer", customer),
	}
}

// Source is "textfile/<instance>".
func (c *TextFiles) Source() sample.Source { return c.source }

// Collect reads the files and delivers them. A file that failed keeps its
// series: they fall silent, and only those of a file that is gone end.
func (c *TextFiles) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	files, unread := c.list()
	maps.DeleteFunc(c.failing, func(name string, _ bool) bool {
		return !slices.Contains(files, name) && !slices.Contains(c.cfg.Folders, name)
	})
	b := builder(at, c.id)
	b.Add(metricUnreadFolders, float64(unread))
	room := c.cfg.MaxSeries
	failed := unread > 0
	seen := make(map[uint64]string)
	var all []sample.Sample
	for _, name := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		samples, mtime, err := c.read(name, at, room, seen)
		c.note(name, err)
		dims := []string{"file", name}
		b.Add(metricFileError, flag(err != nil), dims...)
		if !mtime.IsZero() {
			b.Add(metricFileMtimeSeconds, float64(mtime.UnixMilli())/1000, dims...)
		}
		failed = failed || err != nil
		room -= len(samples)
		all = append(all, samples...)
	}
	all = append(b.Samples(), all...)
	batch := exporters.Looked(c.source, at, all)
	if !failed {
		batch.Ends = ended(c.last, all, at, reasonRemoved)
	}
	if err := sink.Append(ctx, batch); err != nil {
		return err
	}
	if !failed {
		c.last = all
	} else {
		c.last = append(c.last, missing(c.last, all)...)
	}
	return nil
}

// missing returns those of now that last has not.
func missing(last, now []sample.Sample) []sample.Sample {
	there := make(map[uint64]bool, len(last))
	for _, s := range last {
		there[s.Labels.Hash()] = true
	}
	return slices.DeleteFunc(slices.Clone(now), func(s sample.Sample) bool { return there[s.Labels.Hash()] })
}

// list returns the files by name, and how many folders could not be read.
func (c *TextFiles) list() (files []string, unread int) {
	for _, dir := range c.cfg.Folders {
		entries, err := os.ReadDir(dir)
		c.note(dir, err)
		if err != nil {
			unread++
			continue
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".prom") && len(files) < maxTextFiles {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files), unread
}

// read reads one file as a whole or not at all. seen holds the series of the
// files before by their hash.
func (c *TextFiles) read(name string, at time.Time, room int, seen map[uint64]string) ([]sample.Sample, time.Time, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	mtime := info.ModTime()
	if !info.Mode().IsRegular() {
		return nil, mtime, errors.New("is no regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, mtime, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, c.cfg.MaxFileBytes+1))
	if err != nil {
		return nil, mtime, err
	}
	if int64(len(text)) > c.cfg.MaxFileBytes {
		return nil, mtime, fmt.Errorf("larger than %d bytes", c.cfg.MaxFileBytes)
	}
	in, bad, err := promtext.Parse(text, room)
	if err != nil {
		return nil, mtime, err
	}
	if len(bad) > 0 {
		return nil, mtime, bad[0]
	}
	for _, s := range in {
		if s.HasT {
			return nil, mtime, fmt.Errorf("line %d: has a time of its own", s.Line)
		}
	}
	samples, err := c.id.adopt(at, in)
	if err != nil {
		return nil, mtime, err
	}
	for _, s := range samples {
		if other, ok := seen[s.Labels.Hash()]; ok {
			return nil, mtime, fmt.Errorf("%s is in %s already", s.Labels, other)
		}
	}
	for _, s := range samples {
		seen[s.Labels.Hash()] = name
	}
	return samples, mtime, nil
}

// note counts a file or folder that was not read and logs the first of a row.
func (c *TextFiles) note(name string, err error) {
	c.reads.Inc()
	if err == nil {
		delete(c.failing, name)
		return
	}
	c.failures.Inc()
	if !c.failing[name] {
		c.log.Warn("text file not read", "file", name, "err", err)
	}
	c.failing[name] = true
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
