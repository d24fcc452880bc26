package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/slo"
)

var update = flag.Bool("update", false, "write the golden files anew")

type fixed []slo.SeriesVerdicts

func (f fixed) Verdicts(context.Context, string, time.Time, time.Time, ...*labels.Matcher) ([]slo.SeriesVerdicts, error) {
	return f, nil
}

// sample is October 2026 with an outage of 150 minutes, half an hour of it
// excluded, and ten unmeasured minutes.
func sample(t *testing.T) *slo.Report {
	t.Helper()
	text := strings.Replace(string(slo.Example()), "exclusions: []", `exclusions:
  - {from: 2026-10-03T10:00:00+08:00, to: 2026-10-03T10:30:00+08:00, category: force-majeure, owner: ops, reason: 雷击停电, evidence: ticket-7}
  - {from: 2026-10-03T11:00:00+08:00, to: 2026-10-03T11:30:00+08:00, category: planned-maintenance, owner: ops, reason: switch, evidence: ticket-8, announced_at: 2026-10-03T09:00:00+08:00}`, 1)
	text = strings.Replace(text, "disputes: []", `disputes:
  - {from: 2026-10-03T12:00:00+08:00, to: 2026-10-03T13:00:00+08:00, claim: unavailable, state: disputed, owner: acme, reason: "\e[31mlonger", evidence: mail-3}`, 1)
	c, err := slo.Parse("sample.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	cycle, err := c.ParseCycle("2026-10")
	if err != nil {
		t.Fatal(err)
	}
	verdicts := slo.SeriesVerdicts{
		Labels:   labels.FromStrings("customer", "acme", "target", "127.0.0.1:8080"),
		Interval: time.Minute, First: cycle.Start.Add(time.Minute), Verdicts: make([]slo.Verdict, 31*24*60),
	}
	outage := (2*24 + 10) * 60
	for k := range 150 {
		verdicts.Verdicts[outage+k] = slo.Breach
	}
	for k := range 10 {
		verdicts.Verdicts[5000+k] = slo.Unobserved
	}
	r, err := slo.Compute(t.Context(), c, cycle, fixed{verdicts}, cycle.End.Add(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestGoldenFiles(t *testing.T) {
	r := sample(t)
	var table, text bytes.Buffer
	if err := WriteTable(&table, r); err != nil {
		t.Fatal(err)
	}
	if err := WriteJSON(&text, r); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", table.Bytes())
	golden(t, "report.json", text.Bytes())
	if !json.Valid(text.Bytes()) {
		t.Error("not JSON")
	}
	if strings.ContainsRune(table.String(), '\x1b') {
		t.Error("an escape sequence of the contract reached the terminal")
	}
}

// A person reads seconds as decimals; the fractions are for machines.
func TestSecondsAreDecimal(t *testing.T) {
	r := sample(t)
	f := &r.Figures[0].Allowance
	f.Seconds = slo.Exact{Rat: big.NewRat(13392, 5)}
	f.Beyond = slo.Exact{Rat: big.NewRat(230262974, 125)}
	r.Figures[1].Allowance.Beyond = slo.Exact{Rat: big.NewRat(2, 3)}
	var table, text bytes.Buffer
	if err := errors.Join(WriteTable(&table, r), WriteJSON(&text, r)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"(2678.4 s)", " 1842103.792 ", " 0.667 "} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in the table:\n%s", want, table.String())
		}
	}
	if !strings.Contains(text.String(), `"beyond_seconds": "230262974/125"`) {
		t.Error("the JSON lost the fraction")
	}
}

// The reason stands right under the judgement that it explains.
func TestUndecidedIsToldWithItsReason(t *testing.T) {
	r := sample(t)
	r.Judgement, r.Notes = slo.Undecided, []string{"the outcome depends on unmeasured time"}
	var table bytes.Buffer
	if err := WriteTable(&table, r); err != nil {
		t.Fatal(err)
	}
	if want := "\njudgement    undecided\nnote         the outcome depends on unmeasured time\n"; !strings.Contains(table.String(), want) {
		t.Errorf("no %q in the table:\n%s", want, table.String())
	}
}

func TestLongListsAreCut(t *testing.T) {
	r := sample(t)
	for range 100 {
		r.Outages = append(r.Outages, r.Outages[0])
	}
	var table bytes.Buffer
	if err := WriteTable(&table, r); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(table.String(), "and 61 more: see the JSON") {
		t.Errorf("no hint at the rest:\n%s", table.String())
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestWriteErrors(t *testing.T) {
	r := sample(t)
	for _, err := range []error{WriteTable(brokenPipe{}, r), WriteJSON(brokenPipe{}, r)} {
		if err == nil || err.Error() != "report: broken pipe" {
			t.Errorf("%v", err)
		}
	}
}
