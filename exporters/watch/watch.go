// Package watch tells changes on this host: of declared files, users and their
// passwords, the host's name, the firewall's rules, the ports on which it
// listens.
//
// It compares with the check before, also when that was before a restart:
// fingerprints are kept in a state file. Contents, passwords and rules never
// leave the host, nor do their hashes: what is delivered is that, when and which
// of them changed.
package watch

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
const Kind = "watch"

// Collector watches changes on this host.
type Collector struct {
	source   sample.Source
	instance string
	remember time.Duration
	state    statefile.File
	kinds    []*kind
	gone     []goneSeries // their end is to be told
	loaded   bool
	failing  map[string]bool // by what was not read
	reads    *metrics.Counter
	failures *metrics.Counter
	hidden   *metrics.Counter
	saves    *metrics.Counter
	unsaved  *metrics.Counter
	log      *slog.Logger
}

// New returns the collector; statePath is the file in which it remembers what
// it saw. Nothing is read before the first check.
func New(customer string, cfg Config, statePath string, set *metrics.Set, log *slog.Logger) (*Collector, error) {
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
		remember: time.Duration(cfg.Remember),
		state:    statefile.File{Path: statePath},
		failing:  make(map[string]bool),
		reads:    set.GetOrCreateCounter("watchkeeper_watch_reads_total"),
		failures: set.GetOrCreateCounter("watchkeeper_watch_read_failures_total"),
		hidden:   set.GetOrCreateCounter("watchkeeper_watch_hidden_passwords_total"),
		saves:    set.GetOrCreateCounter("watchkeeper_watch_state_saves_total"),
		unsaved:  set.GetOrCreateCounter("watchkeeper_watch_state_failures_total"),
		log:      log.With("customer", customer),
	}
	c.kinds = kinds(cfg, c.hidden.Inc, c.note)
	return c, nil
}

// Source is "watch/<instance>".
func (c *Collector) Source() sample.Source { return c.source }

// Collect compares with the check before. Its first check ever only takes note
// of what there is.
func (c *Collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	c.load()
	b := exporters.NewBuilder(at, "customer", c.source.Customer, "product", "host", "instance", c.instance)
	for _, k := range c.kinds {
		changes, err := k.look(ctx, at.UnixMilli())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.note(k.key, err)
		c.tell(k, changes)
		for _, r := range k.forget(at.Add(-c.remember).UnixMilli()) {
			c.gone = append(c.gone, k.gone(r))
		}
		if err == nil {
			k.add(b)
		}
	}
	c.save()
	batch := exporters.Looked(c.source, at, b.Samples())
	for _, g := range c.gone {
		batch.Ends = append(batch.Ends, sample.End{Labels: b.Labels(g[0], g[1:]...), T: at.UnixMilli(), Reason: ReasonForgotten})
	}
	if err := sink.Append(ctx, batch); err != nil {
		return err
	}
	c.gone = nil
	return nil
}

// note counts what was read or not, and logs the first failure of a row.
func (c *Collector) note(what string, err error) {
	c.reads.Inc()
	if err != nil {
		c.failures.Inc()
		if !c.failing[what] {
			c.log.Warn("not watched", "what", what, "err", err)
		}
	}
	c.failing[what] = err != nil
}

// tell logs what changed: the series do not tell it for ever.
func (c *Collector) tell(k *kind, changes []change) {
	for i, x := range changes {
		if i == maxRemembered {
			c.log.Warn("changed on this host; more is not listed", "what", k.key, "changes", len(changes))
			break
		}
		c.log.Info("changed on this host", "what", k.key, "thing", strings.ReplaceAll(x.thing, separator, " "), "reason", x.reason)
	}
}

// add adds the samples of a kind.
func (k *kind) add(b *exporters.Builder) {
	for _, reason := range k.reasons {
		b.Add(k.prefix+suffixChangesTotal, float64(k.Changes[reason]), append(k.dims[:len(k.dims):len(k.dims)], "reason", reason)...)
	}
	if len(k.labels) > 0 {
		b.Add(k.prefix+suffixWatched, float64(len(k.Things)), k.dims...)
	}
	for _, r := range k.Recent {
		g := k.gone(r)
		b.Add(g[0], float64(r.At)/1000, g[1:]...)
	}
}

// goneSeries is a series by metric and pairs of label name and value.
type goneSeries []string

// gone is the series of a change.
func (k *kind) gone(r recent) goneSeries {
	g := append(goneSeries{k.prefix + suffixChangedTimestamp}, k.dims...)
	for i, part := range strings.SplitN(r.Thing, separator, max(1, len(k.labels))) {
		if i < len(k.labels) {
			g = append(g, k.labels[i], part)
		}
	}
	return append(g, "reason", r.Reason)
}

// state is what is remembered over a restart.
type state struct {
	Kinds map[string]kept         `json:"kinds"`
	Known map[string][]goneSeries `json:"known"` // series of each kind, to end them when it is no longer configured
	Gone  []goneSeries            `json:"gone,omitempty"`
}

// load takes up the state once. Without it the check takes note of what there
// is, as at the first one.
func (c *Collector) load() {
	if c.loaded {
		return
	}
	c.loaded = true
	var s state
	if _, err := statefile.Load(c.state.Path, &s); err != nil {
		c.unsaved.Inc()
		c.log.Error("what was there before is lost; changes since then go unseen", "err", err)
		return
	}
	c.gone = slices.DeleteFunc(s.Gone, unusable)
	for _, k := range c.kinds {
		if kept, ok := s.Kinds[k.key]; ok && kept.Things != nil {
			k.kept, k.baseline = kept, kept.Spec == k.spec
			delete(s.Known, k.key)
		}
	}
	for _, series := range s.Known {
		c.gone = append(c.gone, slices.DeleteFunc(series, unusable)...)
	}
}

// unusable tells a series that this code did not write.
func unusable(g goneSeries) bool { return len(g)%2 == 0 }

// save keeps what was seen. Without it watching goes on in memory.
func (c *Collector) save() {
	s := state{Kinds: make(map[string]kept, len(c.kinds)), Known: make(map[string][]goneSeries, len(c.kinds)), Gone: c.gone}
	for _, k := range c.kinds {
		if !k.baseline {
			continue
		}
		s.Kinds[k.key] = k.kept
		for _, reason := range k.reasons {
			s.Known[k.key] = append(s.Known[k.key], append(append(goneSeries{k.prefix + suffixChangesTotal}, k.dims...), "reason", reason))
		}
		if len(k.labels) > 0 {
			s.Known[k.key] = append(s.Known[k.key], append(goneSeries{k.prefix + suffixWatched}, k.dims...))
		}
		for _, r := range k.Recent {
			s.Known[k.key] = append(s.Known[k.key], k.gone(r))
		}
	}
	c.saves.Inc()
	if err := c.state.Save(s); err != nil {
		c.unsaved.Inc()
		c.log.Error("what was seen is not saved: a restart would tell these changes again, or miss others", "err", err)
	}
}
