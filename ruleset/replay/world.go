package replay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
)

type queryable = storage.Queryable

func durationOf(d time.Duration) model.Duration { return model.Duration(d) }

// world stands in for everything around the engine of a replay: store, journal,
// log and incident store.
type world struct {
	store     *ruleset.Memory
	records   []journal.Record
	noted     map[string]bool // keys of the records that stand there once
	delivered map[string]bool // series
	out       lineWriter
	seen      map[string]bool // IDs of the entries taken
	settled   []ruleset.Entry
	open      []ruleset.OpenAlert
	last      map[string]int // of an alert in open

	logs     Logs   // that are written
	customer string // whose entries are written; empty: everybody's
}

func newWorld(w io.Writer, logs Logs, customer string) *world {
	return &world{
		store: ruleset.NewMemory(), logs: logs, customer: customer, out: lineWriter{out: bufio.NewWriter(w)},
		noted: map[string]bool{}, delivered: map[string]bool{}, seen: map[string]bool{}, last: map[string]int{},
	}
}

func (w *world) engine(groups []ruleset.Group) (*ruleset.Engine, error) {
	return newEngine(groups, 0, w.store, w, w)
}

// Record implements ruleset.Journal.
func (w *world) Record(_ context.Context, rs ...journal.Record) error {
	w.records = append(w.records, rs...)
	return nil
}

// Each implements ruleset.Journal.
func (w *world) Each(fn func(journal.Record) error) error {
	for _, r := range w.records {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// Log implements ruleset.Sink: each entry counts once.
func (w *world) Log(_ context.Context, entries []ruleset.Entry) error {
	for _, e := range entries {
		if w.seen[e.ID] {
			continue
		}
		w.seen[e.ID] = true
		if e.Log == ruleset.LogSettled {
			if w.shows(e) {
				e.Samples = nil
				w.settled = append(w.settled, e)
			}
			continue
		}
		w.note(e)
		if !w.shows(e) {
			continue
		}
		if err := w.out.write(e); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) shows(e ruleset.Entry) bool { return w.logs.has(e.Log) && isOf(w.customer, e) }

// note keeps what an incident store would know of the live log.
func (w *world) note(e ruleset.Entry) {
	key := e.Rule.ID() + "\x00" + e.Identity.String()
	switch {
	case e.To.Open() && !e.From.Open():
		w.last[key] = len(w.open)
		w.open = append(w.open, ruleset.OpenAlert{RuleID: e.Rule.ID(), Alert: e.Rule.Alert, Identity: e.Identity, Labels: e.Labels, State: e.To, Opened: e.Check, Check: e.Check})
	case e.From.Open():
		a := &w.open[w.last[key]]
		a.State, a.Check = e.To, e.Check
	}
}

func (w *world) alerts() []ruleset.OpenAlert { return slices.Clone(w.open) }

// finish writes the settled log and what is still buffered.
func (w *world) finish() error {
	slices.SortStableFunc(w.settled, ruleset.CompareSettled)
	for _, e := range w.settled {
		if err := w.out.write(e); err != nil {
			return err
		}
	}
	return w.out.out.Flush()
}

// accept stores a batch at engine time at as the product's store would: samples,
// up-samples and the watermark as series, the rest in the journal. It returns what
// was new and how many samples were refused.
func (w *world) accept(b sample.Batch, at int64) (accepted sample.Batch, refused int) {
	w.journalOnce(b.Source, journal.Record{Kind: journal.KindContact, Arrive: at}, "")
	if !b.FillIn {
		w.journalOnce(b.Source, journal.Record{Kind: journal.KindFillInEnd, Arrive: at}, "")
	}
	fresh := b.Samples[:0:0]
	for _, s := range b.Samples {
		if s.T > at+farFuture {
			refused++
			continue
		}
		ref, isNew := w.store.Append(s.Labels, s.T, s.V)
		s.Ref = ref
		switch {
		case isNew:
			fresh = append(fresh, s)
			w.delivered[s.Labels.String()] = true
			w.journalOnce(b.Source, journal.Record{Kind: journal.KindSeries, Labels: s.Labels, T: s.T, Arrive: at}, s.Labels.String())
		case !w.holds(s):
			refused++
		}
	}
	b.Samples = fresh
	ends := b.Ends[:0:0]
	for _, end := range b.Ends {
		if !w.delivered[end.Labels.String()] { // the store refuses it
			refused++
			continue
		}
		ends = append(ends, end)
		w.journalOnce(b.Source, journal.Record{Kind: journal.KindEnd, Labels: end.Labels, T: end.T, Arrive: at, Reason: end.Reason}, fmt.Sprint(end.Labels, end.T))
		w.store.Append(end.Labels, end.T+1, math.Float64frombits(value.StaleNaN))
	}
	b.Ends = ends
	w.acceptFacts(b, at)
	return b, refused
}

// journalOnce keeps a record of the source unless it has one of this kind and key.
func (w *world) journalOnce(src sample.Source, r journal.Record, key string) {
	key = fmt.Sprint(r.Kind, "\x00", src.Customer, "\x00", src.Name, "\x00", key)
	if w.noted[key] {
		return
	}
	w.noted[key] = true
	r.Customer, r.Source = src.Customer, src.Name
	w.records = append(w.records, r)
}

// acceptFacts stores up-samples and the watermark.
func (w *world) acceptFacts(b sample.Batch, at int64) {
	fact := func(name string, t int64, v float64) {
		w.store.Append(labels.FromStrings(model.MetricNameLabel, name, "customer", b.Source.Customer, "source", b.Source.Name), t, v)
	}
	for _, u := range b.Ups {
		v := 0.0
		if u.OK {
			v = 1
		}
		fact(sample.UpMetric, u.T, v)
	}
	switch b.Watermark {
	case 0:
	case sample.Current:
		fact(sample.WatermarkMetric, at, math.Inf(1))
	default:
		fact(sample.WatermarkMetric, at, float64(b.Watermark)/1000)
	}
}

// holds says whether exactly this sample is stored.
func (w *world) holds(s sample.Sample) bool {
	q, err := w.store.Querier(s.T, s.T)
	if err != nil {
		return false
	}
	defer q.Close()
	set := q.Select(context.Background(), false, nil, matchersOf(s.Labels)...)
	for set.Next() {
		if !labels.Equal(set.At().Labels(), s.Labels) {
			continue
		}
		it := set.At().Iterator(nil)
		it.Next()
		_, v := it.At()
		return math.Float64bits(v) == math.Float64bits(s.V)
	}
	return false
}

func matchersOf(l labels.Labels) []*labels.Matcher {
	var ms []*labels.Matcher
	l.Range(func(l labels.Label) {
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value))
	})
	return ms
}
