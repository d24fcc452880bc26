package ruleset

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// brokenStore fails to read samples.
type brokenStore struct{ storage.Queryable }

var errDisk = errors.New("input/output error")

func (s brokenStore) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := s.Queryable.Querier(mint, maxt)
	return brokenQuerier{q}, err
}

type brokenQuerier struct{ storage.Querier }

func (brokenQuerier) Select(context.Context, bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
	return storage.ErrSeriesSet(errDisk)
}

// What the samples are is refused for good; what the machine is may pass, and
// is no verdict about samples.
func TestWhatIsRefused(t *testing.T) {
	w := newWorld()
	at := timelineStart.Add(time.Minute)
	w.accept(batchOf("x", at.UnixMilli(), "a", "b"), at.UnixMilli())
	rule := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 1}]}]")[0].Rules[0]
	k := rule.checkOf(at.UnixMilli())
	small := promql.NewEngine(promql.EngineOpts{MaxSamples: 1, Timeout: time.Minute, Parser: promParser})
	ended, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		name, expr string
		ctx        context.Context
		q          queries
		want       bool
	}{
		{"good", "x", t.Context(), queries{newPromQL(discard()), w.store}, false},
		{"two become one", `label_replace(x, "i", "c", "i", ".*")`, t.Context(), queries{newPromQL(discard()), w.store}, true},
		{"many-to-many", "x + on() x", t.Context(), queries{newPromQL(discard()), w.store}, true},
		{"too many samples", "x", t.Context(), queries{small, w.store}, true},
		{"store", "x", t.Context(), queries{newPromQL(discard()), brokenStore{w.store}}, false},
		{"store, window", "sum_over_time(x[5m])", t.Context(), queries{newPromQL(discard()), brokenStore{w.store}}, false},
		{"stopped", "x", ended, queries{newPromQL(discard()), w.store}, false},
	} {
		tb := table{r: rule, lo: k, hi: k, byID: map[uint64][]*evaluated{}}
		err := tb.query(c.ctx, c.q, c.expr, VerdictBreach, k, k)
		if (err == nil) != (c.name == "good") || refused(err) != c.want {
			t.Errorf("%s: %v: refused %t, want %t", c.name, err, refused(err), c.want)
		}
	}
}

// A rule that PromQL refuses says so for as long as it does, and a server that
// starts then does start.
func TestRefusedRuleSaysSo(t *testing.T) {
	w := newWorld()
	groups := parseOne(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: 'label_replace(x, "i", "c", "i", ".*") > 0', consecutive: 1}]}]`)
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	for n, names := range [][]string{{"a"}, {"a", "b"}, {"a", "b"}, {"b"}} {
		now := timelineStart.Add(time.Duration(n) * time.Minute)
		if err := e.Ingest(t.Context(), w.accept(batchOf("x", now.UnixMilli(), names...), now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
		want := len(names) == 2
		again, err := w.engine(groups)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Recover(t.Context(), now, w.alerts()); err != nil {
			t.Fatal(err)
		}
		for _, e := range []*Engine{e, again} {
			err := e.Rules()[0].Err
			if (err != nil) != want || want && !strings.Contains(err.Error(), "same labelset") {
				t.Errorf("minute %d: %v", n, err)
			}
		}
	}
}
