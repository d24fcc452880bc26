package ruleset

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// FuzzParse: whatever a rule file holds, reading it gives rules or an error.
func FuzzParse(f *testing.F) {
	f.Add([]byte("groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 3}]}]"))
	f.Add([]byte("groups: [{name: g, interval: 5m, rules: [{alert: A, expr: 'a / b * 100 > 5 and on (i) c', consecutive: 1, missing: breach, lookback: {c: 2h}, contract: {row: r}}]}]"))
	f.Add([]byte("groups:\n- name: g\n  rules:\n  - record: r\n    expr: sum(x)\n"))
	f.Add([]byte("groups: [{name: g, interval: 1ms, phase: -1s, rules: [{alert: A, expr: 'sum by (i) (rate(x[5m])) > 1', consecutive: 1000000000}]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		groups, err := Parse("fuzz.yml", data)
		if err != nil {
			return
		}
		for _, g := range groups {
			for _, r := range g.Rules {
				if mode, why := r.Mode(); mode != ModeStreaming && why == "" {
					t.Errorf("rule %q is %s for no reason", r.ID(), mode)
				}
			}
		}
	})
}

// FuzzExpr: whatever an expression is, judging some samples by it gives
// verdicts or an error, and judging is the same the second time.
func FuzzExpr(f *testing.F) {
	for _, expr := range []string{"a > 5", "count by (i) (a != 0) >= 2", "-resets(a[1h] offset 5m) or quantile_over_time(0.5, b[2m]) > 1", "5 <= -a", "a / b != 0 unless c", "a and on (i) b or c == bool 1", "absent(a)",
		"sum by (i) (rate(a[5m])) > 1", "a offset -1m > 0", "a > on (i) group_left () b", "a % 0 == 0", "count(a) > scalar(b)"} {
		f.Add(expr, int64(1), uint8(2))
	}
	f.Fuzz(func(t *testing.T, expr string, seed int64, consecutive uint8) {
		r := &Rule{Group: "g", Alert: "A", Expr: expr, Interval: time.Minute, Consecutive: int(consecutive)%4 + 1, Missing: MissingHold,
			MaxGap: 2, Lateness: 3 * time.Minute, MissingAfter: time.Minute, ResolveAfter: 1, NoDataAfter: 3, MinMembers: 1}
		if len(expr) > 200 || compile(r) != nil {
			return
		}
		for _, s := range selectors(r.expr) { // a long window is slow, not wrong
			if s.window > time.Hour || s.offset > time.Hour || s.offset < -time.Hour {
				return
			}
		}
		play := func() []string {
			w := newWorld()
			e, err := w.engine([]Group{{Name: "g", Interval: time.Minute, Rules: []*Rule{r}}})
			if err != nil {
				return nil
			}
			for k := range int64(8) {
				now := timelineStart.Add(time.Duration(k) * time.Minute)
				b := sample.Batch{Source: sample.Source{Name: "s"}}
				for n, m := range []string{"a", "b", "c"} {
					v := float64((seed>>(uint(k)*3+uint(n)))&15) - 5
					b.Samples = append(b.Samples, sample.Sample{Labels: labels.FromStrings(model.MetricNameLabel, m, "i", "x"), T: now.UnixMilli() - 1, V: v})
				}
				if err := e.Ingest(context.Background(), w.accept(b, now.UnixMilli()), now); err != nil {
					return []string{err.Error()}
				}
			}
			var out []string
			for _, en := range w.entries {
				out = append(out, en.String())
			}
			return out
		}
		first, second := play(), play()
		if !slices.Equal(first, second) {
			t.Errorf("%s: %q, then %q", expr, first, second)
		}
	})
}

// FuzzStream: whatever is delivered in whatever order, the engine takes it, its
// live log is a chain of changes, and no more identities are kept than there are.
func FuzzStream(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add([]byte("a long stream of bytes that says when what comes from whom, and how late"))
	groups := parseOne(f, `groups: [{name: g, interval: 1m, rules: [
  {alert: Leaf, expr: a >= 128, consecutive: 2, lateness: 5m},
  {alert: Join, expr: a >= 64 and b < 200, consecutive: 1, lateness: 5m, missing: reset},
  {alert: Breach, expr: b >= 100, consecutive: 2, lateness: 5m, missing: breach, missing_after: 30s},
  {alert: Window, expr: 'max_over_time(a[3m]) >= 100', consecutive: 1, lateness: 5m}]}]`)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		w := newWorld()
		e, err := w.engine(groups)
		if err != nil {
			t.Fatal(err)
		}
		now := timelineStart
		for len(data) >= 6 {
			op := data[:6]
			data = data[6:]
			now = now.Add(time.Duration(op[0]) * time.Second)
			at := now.UnixMilli() - int64(binary.LittleEndian.Uint16(op[1:3]))*20
			v := float64(op[3])
			if op[3] == 255 {
				v = math.NaN()
			}
			b := sample.Batch{Source: sample.Source{Name: string(rune('s' + op[4]&1))}, FillIn: op[4]&2 != 0}
			l := labels.FromStrings(model.MetricNameLabel, string(rune('a'+op[5]&1)), "i", string(rune('x'+op[5]>>1&1)))
			b.Samples = []sample.Sample{{Labels: l, T: at, V: v}}
			switch op[4] >> 2 & 7 {
			case 0:
				b.Ends = []sample.End{{Labels: l, T: at + int64(op[5])*100, Reason: "deleted"}}
			case 1:
				b.Ups = []sample.Up{{T: at, OK: op[5]&4 != 0}}
			case 2:
				b.Watermark = at
			case 3:
				b.Watermark = sample.Current
			case 4:
				if e, err = w.engine(groups); err == nil {
					err = e.Recover(t.Context(), now, w.alerts())
				}
			case 5:
				err = e.Reload(t.Context(), groups, now)
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
				t.Fatal(err)
			}
		}
		checkChain(t, w.entries)
		for _, r := range e.Rules() {
			if r.Series > 2 { // i is x or y
				t.Errorf("%s: %d identities", r.Rule.ID(), r.Series)
			}
		}
	})
}

// checkChain fails when an alert is told to leave a state in which it does not stand.
func checkChain(t *testing.T, entries []Entry) {
	t.Helper()
	standing := map[string]State{}
	for _, en := range entries {
		if en.Log != LogLive {
			continue
		}
		key := en.Rule.ID() + en.Identity.String()
		if was := standing[key]; was.Open() != en.From.Open() {
			t.Fatalf("%s stood as %q: %s", key, was, en)
		}
		standing[key] = en.To
	}
}
