package ruleset

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// world is the stand-in for everything around the engine of a timeline.
type world struct {
	store     *Memory
	records   []journal.Record
	entries   []Entry
	seen      map[string]bool // entries, by ID
	noted     map[string]bool // what the journal has
	delivered map[string]bool // series
}

func (w *world) Record(_ context.Context, rs ...journal.Record) error {
	w.records = append(w.records, rs...)
	return nil
}

func (w *world) Each(fn func(journal.Record) error) error {
	for _, r := range w.records {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// Log keeps entries, each once.
func (w *world) Log(_ context.Context, entries []Entry) error {
	for _, en := range entries {
		if !w.seen[en.ID] {
			w.seen[en.ID] = true
			w.entries = append(w.entries, en)
		}
	}
	return nil
}

// accept stores a batch as the product's store does: samples, up-samples and the
// watermark as series, the rest in the journal. It returns what was new.
func (w *world) accept(b sample.Batch, at int64) sample.Batch {
	facts := func(name string) labels.Labels {
		return labels.FromStrings(model.MetricNameLabel, name, "customer", b.Source.Customer, "source", b.Source.Name)
	}
	record := func(key string, r journal.Record) (isNew bool) {
		if w.noted[key] {
			return false
		}
		w.noted[key] = true
		r.Customer, r.Source = b.Source.Customer, b.Source.Name
		w.records = append(w.records, r)
		return true
	}
	who := b.Source.Customer + "/" + b.Source.Name + " "
	record(who+"contact", journal.Record{Kind: journal.KindContact, Arrive: at})
	if !b.FillIn {
		record(who+"fillin_end", journal.Record{Kind: journal.KindFillInEnd, Arrive: at})
	}
	fresh := b.Samples[:0:0]
	for _, s := range b.Samples {
		if s.T > at+(10*time.Minute).Milliseconds() {
			continue
		}
		ref, isNew := w.store.Append(s.Labels, s.T, s.V)
		if s.Ref = ref; isNew {
			fresh = append(fresh, s)
			w.delivered[s.Labels.String()] = true
			record(who+s.Labels.String(), journal.Record{Kind: journal.KindSeries, Labels: s.Labels, T: s.T, Arrive: at})
		}
	}
	b.Samples = fresh
	ends := b.Ends[:0:0]
	for _, end := range b.Ends {
		if !w.delivered[end.Labels.String()] { // the store refuses it
			continue
		}
		if record(fmt.Sprint(who, end.Labels, end.T), journal.Record{Kind: journal.KindEnd, Labels: end.Labels, T: end.T, Arrive: at, Reason: end.Reason}) {
			ends = append(ends, end)
			w.store.Append(end.Labels, end.T+1, math.Float64frombits(value.StaleNaN))
		}
	}
	b.Ends = ends
	for _, u := range b.Ups {
		v := 0.0
		if u.OK {
			v = 1
		}
		w.store.Append(facts(sample.UpMetric), u.T, v)
	}
	if b.Watermark != 0 {
		seconds := math.Inf(1)
		if b.Watermark != sample.Current {
			seconds = float64(b.Watermark) / 1000
		}
		w.store.Append(facts(sample.WatermarkMetric), at, seconds)
	}
	return b
}

// alerts are what an incident store would know of the live log.
func (w *world) alerts() []OpenAlert {
	var out []OpenAlert
	last := map[string]int{}
	for _, en := range w.entries {
		key := en.Rule.ID() + en.Identity.String()
		switch {
		case en.Log != LogLive:
		case en.To.Open() && !en.From.Open():
			last[key] = len(out)
			a := OpenAlert{RuleID: en.Rule.ID(), Alert: en.Rule.Alert, Identity: en.Identity, Labels: en.Labels, State: en.To, Opened: en.Check, Check: en.Check}
			for _, s := range en.Samples {
				a.Series = append(a.Series, s.Labels)
			}
			out = append(out, a)
		case en.From.Open():
			a := &out[last[key]]
			a.State, a.Check = en.To, en.Check
		}
	}
	return out
}

func newWorld() *world {
	return &world{store: NewMemory(), seen: map[string]bool{}, noted: map[string]bool{}, delivered: map[string]bool{}}
}

func (w *world) engine(groups []Group) (*Engine, error) {
	return New(DefaultConfig(), groups, w.store, w, w, metrics.NewSet(), slog.New(slog.DiscardHandler))
}
