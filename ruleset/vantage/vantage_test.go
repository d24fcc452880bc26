package vantage

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// Each row of the pack is the contract's in all but its condition, which it declares.
func TestRowsAreTheContracts(t *testing.T) {
	files, err := contract.Pack()
	if err != nil {
		t.Fatal(err)
	}
	shipped := map[string]*ruleset.Rule{}
	for _, f := range files {
		groups, err := ruleset.Parse(f.Name, f.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			for _, r := range g.Rules {
				shipped[r.ID()] = r
			}
		}
	}
	groups, err := Groups()
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Contract == nil {
				continue
			}
			rows++
			row, ok := contract.LookupRow(r.ID())
			if !ok {
				t.Fatalf("no row %s", r.ID())
			}
			is := shipped[r.ID()]
			if r.Alert != is.Alert || r.Consecutive != is.Consecutive || r.Interval != is.Interval || r.Missing != is.Missing || r.MaxGap != is.MaxGap ||
				r.Labels.String() != is.Labels.String() || r.Annotations.Get("runbook_url") != is.Annotations.Get("runbook_url") || r.Contract.Reading != row.Reading {
				t.Errorf("%s differs from the contract's rule in more than its condition", r.ID())
			}
			if d := r.Contract.Deviation; d == nil || d.Expr != is.Expr || len(d.Reason) < 40 || r.Contract.Literal != row.Literal {
				t.Errorf("%s: deviation %+v from %q, want one from %q", r.ID(), r.Contract.Deviation, r.Contract.Literal, is.Expr)
			}
			if !strings.Contains(r.Annotations.Get("summary_zh"), row.RuleZH) {
				t.Errorf("%s: summary_zh lacks %q", r.ID(), row.RuleZH)
			}
		}
	}
	if rows != 3 {
		t.Errorf("%d rows, want 3", rows)
	}
}

// The engine's timeline of vantage points holds for the pack's three rows: 1 of
// 3 does not fire, 2 of 3 do, one that is counted out has no vote.
func TestTimelineHoldsForEachRow(t *testing.T) {
	script, err := os.ReadFile("../testdata/vantage_points.txtar")
	if err != nil {
		t.Fatal(err)
	}
	head, story, ok := bytes.Cut(script, []byte("-- timeline --\n"))
	if !ok || !bytes.Contains(head, []byte("-- rules.yml --\n")) {
		t.Fatal("the timeline has another form")
	}
	for _, c := range []struct{ metric, alert string }{
		{contract.ProbeHTTPCode, "WebsiteFailed"}, {contract.ProbeTCPCode, "PortDown"}, {contract.ProbeICMPCode, "PingUnreachable"},
	} {
		told := strings.NewReplacer(contract.ProbeHTTPCode, c.metric, "WebsiteFailed", c.alert).Replace(string(story))
		whole := "-- rules.yml --\n" + string(file) + "-- timeline --\n" + told
		if err := ruleset.RunTimeline(t.Context(), c.alert, []byte(whole)); err != nil {
			t.Error(err)
		}
	}
}

func TestVantageCountedOut(t *testing.T) {
	script := "-- rules.yml --\n" + string(file) + `-- timeline --
load 1m source a
    probe_vantage_ok{instance="a",vantage="a",interval="1m"} 1 0 0 0 0 1
up 0 source a
up 1m to 4m every 1m source a failed
up 5m source a
at 3m VantageCountedOut{instance="a",vantage="a",interval="1m"} firing
at 5m VantageCountedOut{instance="a",vantage="a",interval="1m"} resolved
`
	if err := ruleset.RunTimeline(t.Context(), "counted out", []byte(script)); err != nil {
		t.Error(err)
	}
}
