//go:build services

package middleware

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/teststorage"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// judge holds collected samples against a rule of the contract.
type judge struct {
	store  *teststorage.TestStorage
	engine *promql.Engine
	rules  map[string]string // expression by contract row
	at     time.Time         // of the next check
}

// newJudge returns a judge whose checks stand a minute apart; the last of a test
// is of now.
func newJudge(t testing.TB) *judge {
	t.Helper()
	j := &judge{
		store:  teststorage.New(t),
		engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 100_000, Timeout: time.Minute, LookbackDelta: time.Minute}),
		rules:  make(map[string]string),
		at:     now().Add(-time.Hour),
	}
	t.Cleanup(func() { j.engine.Close() })
	files, err := contract.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		groups, err := ruleset.Parse(f.Name, f.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			for _, r := range g.Rules {
				j.rules[r.Contract.Row] = r.Expr
			}
		}
	}
	return j
}

// check collects for the next minute and keeps the samples.
func (j *judge) check(t testing.TB, c exporters.Collector) map[string]float64 {
	t.Helper()
	j.at = j.at.Add(time.Minute)
	samples := servertest.CollectAt(t, c, j.at).Samples
	app := j.store.Appender(t.Context())
	for _, s := range samples {
		if _, err := app.Append(0, s.Labels, s.T, s.V); err != nil {
			t.Fatalf("%s: %v", s.Labels, err)
		}
	}
	if err := app.Commit(); err != nil {
		t.Fatal(err)
	}
	return servertest.Values(samples)
}

// breached reports whether the last check breaches a row.
func (j *judge) breached(t testing.TB, row string) bool {
	t.Helper()
	expr, ok := j.rules[row]
	if !ok {
		t.Fatalf("no rule for row %s", row)
	}
	q, err := j.engine.NewInstantQuery(t.Context(), j.store, nil, expr, j.at)
	if err != nil {
		t.Fatalf("%s: %v", row, err)
	}
	defer q.Close()
	v, err := q.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", row, err)
	}
	return len(v) > 0
}

// until checks again and again until rows are as want wants them: what a server
// shows may be at its limit at one moment and below it at the next.
func (j *judge) until(t testing.TB, c exporters.Collector, what string, provoke func(), rows ...string) {
	t.Helper()
	eventually(t, patience, what, func() error {
		provoke()
		j.check(t, c)
		for _, row := range rows {
			if name, good := strings.CutPrefix(row, "!"); j.breached(t, name) == good {
				return fmt.Errorf("%s breached is %t", name, good)
			}
		}
		return nil
	})
}

// want checks rows at the last check: those named breach, those with "!" before
// their name do not.
func (j *judge) want(t testing.TB, what string, rows ...string) {
	t.Helper()
	for _, row := range rows {
		name, want := row, true
		if row[0] == '!' {
			name, want = row[1:], false
		}
		if got := j.breached(t, name); got != want {
			t.Errorf("%s: %s breached is %t, want %t", what, name, got, want)
		}
	}
}
