// Package logfile follows declared log files of this host and counts the lines
// that match declared patterns.
//
// What is guaranteed: every line that ends with a line break and is in one of
// the log's files at a check is counted exactly once, across rotation by rename
// and create, by copy and truncate, restarts and crashes of this process.
// Positions and counters are one state, saved as a whole before the samples are
// delivered: after a crash lines are read again from where the saved counters
// stand. What is lost: lines that were removed, compressed or truncated before a
// check saw them (log_gaps_total tells that it may have happened), lines
// written between the copy and the truncation, and a line that copy and truncate
// tears in two. A file that is emptied and filled again beyond our position is
// known by its first 1024 bytes and the 1024 before our position: with the same bytes
// there it is taken for unchanged.
//
// There are no watches of the kernel: files are read at each check.
package logfile

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/statefile"
)

// Kind names this sort of collector in a scheduler's job.
const Kind = "logfile"

// Collector follows the declared logs of this host.
type Collector struct {
	source   sample.Source
	instance string
	state    statefile.File
	logs     []*log
	gone     []goneSeries // their end is to be told
	loaded   bool
	reads    *metrics.Counter
	failures *metrics.Counter
	saves    *metrics.Counter
	unsaved  *metrics.Counter
	logger   *slog.Logger
}

// log is a declared log with its position and counters.
type log struct {
	Log
	totals
	patterns []*pattern
	records  []*record
	fresh    bool   // never followed before
	chunk    []byte // shared by all logs
	line     []byte // begin of the line at hand
	failing  bool
	hidden   *metrics.Counter
}

// totals are a log's counters besides those of its patterns.
type totals struct {
	Lines     uint64            `json:"lines"`
	Truncated uint64            `json:"truncated"`
	ReadBytes uint64            `json:"read_bytes"`
	Gaps      map[string]uint64 `json:"gaps"`
}

// New returns the collector of this host's declared logs; statePath is the file in
// which it remembers positions and counters. Nothing is opened before the first check.
func New(customer string, cfg Config, statePath string, set *metrics.Set, logger *slog.Logger) (*Collector, error) {
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
	c := &Collector{
		source:   sample.Source{Customer: customer, Name: Kind + "/" + cfg.Instance},
		instance: cfg.Instance,
		state:    statefile.File{Path: statePath},
		reads:    set.GetOrCreateCounter("watchkeeper_logfile_reads_total"),
		failures: set.GetOrCreateCounter("watchkeeper_logfile_read_failures_total"),
		saves:    set.GetOrCreateCounter("watchkeeper_logfile_state_saves_total"),
		unsaved:  set.GetOrCreateCounter("watchkeeper_logfile_state_failures_total"),
		logger:   logger.With("customer", customer),
	}
	hidden := set.GetOrCreateCounter("watchkeeper_logfile_hidden_files_total")
	chunk := make([]byte, chunkBytes)
	for _, f := range cfg.Files {
		l := &log{Log: f, fresh: true, chunk: chunk, hidden: hidden, totals: totals{Gaps: make(map[string]uint64)}}
		for _, p := range f.Patterns {
			l.patterns = append(l.patterns, newPattern(p))
		}
		c.logs = append(c.logs, l)
	}
	return c, nil
}

// Source is "logfile/<instance>".
func (c *Collector) Source() sample.Source { return c.source }

// Collect reads what was added to the logs and delivers the counters.
func (c *Collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	c.load()
	b := exporters.NewBuilder(at, "customer", c.source.Customer, "product", "host", "instance", c.instance)
	for _, l := range c.logs {
		c.reads.Inc()
		err := l.follow(ctx)
		if ctx.Err() != nil {
			return ctx.Err() // position and counters are at one in memory and go on from here
		}
		c.note(l, err)
		if err == nil {
			l.add(b)
		}
	}
	c.save()
	batch := exporters.Looked(c.source, at, b.Samples())
	for _, g := range c.gone {
		batch.Ends = append(batch.Ends, sample.End{Labels: b.Labels(g[0], g[1:]...), T: at.UnixMilli(), Reason: ReasonRemoved})
	}
	if err := sink.Append(ctx, batch); err != nil {
		return err
	}
	c.gone = nil
	return nil
}

// note counts a log that could not be read and logs the first of a row.
func (c *Collector) note(l *log, err error) {
	if err != nil {
		c.failures.Inc()
		if !l.failing {
			c.logger.Warn("log not read", "log", l.Name, "err", err)
		}
	}
	l.failing = err != nil
}

// add adds the samples of a log.
func (l *log) add(b *exporters.Builder) {
	dims := []string{"log", l.Name}
	var files, unread float64
	for _, r := range l.records {
		if r.Missing == 0 && r.Main {
			files++
		}
		if r.Missing == 0 && !r.Aside {
			unread += float64(r.Size - r.Offset)
		}
	}
	b.Add(metricFiles, files, dims...)
	b.Add(metricUnreadBytes, unread, dims...)
	b.Add(metricLinesTotal, float64(l.Lines), dims...)
	b.Add(metricTruncatedTotal, float64(l.Truncated), dims...)
	b.Add(metricReadBytesTotal, float64(l.ReadBytes), dims...)
	for _, reason := range gapReasons {
		b.Add(metricGapsTotal, float64(l.Gaps[reason]), append(dims, "reason", reason)...)
	}
	for _, p := range l.patterns {
		for _, s := range p.counts {
			b.Add(metricMatchesTotal, float64(s.N), s.dims(l.Name)...)
		}
	}
}

// state is what is remembered over a restart.
type state struct {
	Logs map[string]logState `json:"logs"`
	Gone []goneSeries        `json:"gone,omitempty"`
}

type logState struct {
	totals
	Records []*record `json:"records"`
	Series  []*series `json:"series"`
}

// goneSeries is a series that is no longer configured: its metric, then pairs
// of label name and value.
type goneSeries []string

// load takes up the state once. One that cannot be read begins anew, which is
// logged as what it is: lines may be lost.
func (c *Collector) load() {
	if c.loaded {
		return
	}
	c.loaded = true
	var s state
	if _, err := statefile.Load(c.state.Path, &s); err != nil {
		c.unsaved.Inc()
		c.logger.Error("positions in logs are lost; logs are followed from where they begin anew", "err", err)
		return
	}
	c.gone = slices.DeleteFunc(s.Gone, func(g goneSeries) bool { return len(g)%2 == 0 }) // not written by this code
	for _, l := range c.logs {
		if kept, ok := s.Logs[l.Name]; ok {
			c.gone = append(c.gone, l.takeUp(kept)...)
			delete(s.Logs, l.Name)
		}
	}
	for name, kept := range s.Logs {
		for _, m := range []string{metricFiles, metricUnreadBytes, metricLinesTotal, metricTruncatedTotal, metricReadBytesTotal} {
			c.gone = append(c.gone, goneSeries{m, "log", name})
		}
		for _, reason := range gapReasons {
			c.gone = append(c.gone, goneSeries{metricGapsTotal, "log", name, "reason", reason})
		}
		for _, x := range kept.Series {
			if x != nil {
				c.gone = append(c.gone, goneMatches(name, x))
			}
		}
	}
}

// takeUp goes on where the state stands and returns the series of patterns that
// are configured no more, or with other groups.
func (l *log) takeUp(kept logState) (gone []goneSeries) {
	l.fresh = false
	l.records = slices.DeleteFunc(kept.Records, func(r *record) bool { return r == nil })
	l.totals = kept.totals
	if l.Gaps == nil {
		l.Gaps = make(map[string]uint64)
	}
	for _, s := range kept.Series {
		if s == nil {
			continue
		}
		i := slices.IndexFunc(l.patterns, func(p *pattern) bool { return p.name == s.Pattern })
		if i < 0 || !slices.Equal(l.patterns[i].groups, s.Groups) || len(s.Values) != len(s.Groups) {
			gone = append(gone, goneMatches(l.Name, s))
			continue
		}
		l.patterns[i].counts[s.key()] = s
	}
	return gone
}

func goneMatches(log string, s *series) goneSeries {
	if len(s.Values) != len(s.Groups) {
		s.Groups = nil // not a state that this code wrote
	}
	return append(goneSeries{metricMatchesTotal}, s.dims(log)...)
}

// save keeps positions and counters. Without it counting goes on in memory.
func (c *Collector) save() {
	s := state{Logs: make(map[string]logState, len(c.logs)), Gone: c.gone}
	for _, l := range c.logs {
		if l.fresh {
			continue // could not be read yet
		}
		kept := logState{totals: l.totals, Records: l.records}
		for _, p := range l.patterns {
			for _, x := range p.counts {
				kept.Series = append(kept.Series, x)
			}
		}
		slices.SortFunc(kept.Series, func(a, b *series) int { return strings.Compare(a.key(), b.key()) })
		s.Logs[l.Name] = kept
	}
	c.saves.Inc()
	if err := c.state.Save(s); err != nil {
		c.unsaved.Inc()
		c.logger.Error("positions in logs are not saved: a restart would count lines again", "err", err)
	}
}
