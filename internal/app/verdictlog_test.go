package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/ruleset"
)

func TestVerdictLogWritesASettledLineOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "settled-2024-01.jsonl")
	if err := os.WriteFile(old, []byte("{}\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	rule := &ruleset.Rule{Alert: "CPUHigh", Group: "g"}
	entry := func(log ruleset.Log, minute int) ruleset.Entry {
		return ruleset.Entry{Log: log, Rule: rule, Check: now.Add(time.Duration(minute) * time.Minute).UnixMilli(),
			Identity: labels.FromStrings("instance", "a"), From: ruleset.StateInactive, To: ruleset.StatePending}
	}
	open := func() *verdictLog {
		t.Helper()
		l, err := openVerdictLog(dir, now, 400*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	if err := l.write([]ruleset.Entry{entry(ruleset.LogSettled, 0), entry(ruleset.LogLive, 0), entry(ruleset.LogSettled, 0)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// A crash in the middle of a line.
	settled := filepath.Join(dir, "settled-2026-11.jsonl")
	f, err := os.OpenFile(settled, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"log":"set`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	l = open() // after a restart the engine logs its window again
	if err := l.write([]ruleset.Entry{entry(ruleset.LogSettled, 0), entry(ruleset.LogSettled, 1)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(settled)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "12:00:00Z") || !strings.Contains(lines[1], "12:01:00Z") {
		t.Errorf("settled log:\n%s", b)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "live-2026-11.jsonl")); err != nil || strings.Count(string(b), "\n") != 1 {
		t.Errorf("live log: %q, %v", b, err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("a file beyond the retention stands: %v", err)
	}
}

// A sender whose clock is ahead has checks of the next month settle before midnight.
func TestVerdictLogKnowsTheNextMonth(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	now := time.Date(2026, 12, 31, 23, 58, 0, 0, time.UTC)
	e := ruleset.Entry{Log: ruleset.LogSettled, Rule: &ruleset.Rule{Alert: "CPUHigh"}, Check: now.Add(5 * time.Minute).UnixMilli()}
	for range 2 {
		l, err := openVerdictLog(dir, now, 400*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.write([]ruleset.Entry{e}), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, "settled-2027-01.jsonl")); err != nil || strings.Count(string(b), "\n") != 1 {
		t.Errorf("settled log after a restart: %q, %v", b, err)
	}
}

func TestVerdictLogErrorLosesNoAlert(t *testing.T) {
	l, err := openVerdictLog(filepath.Join(t.TempDir(), "log"), time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(l.dir); err != nil {
		t.Fatal(err)
	}
	e := ruleset.Entry{Log: ruleset.LogSettled, Rule: &ruleset.Rule{Alert: "A"}}
	if err := l.write([]ruleset.Entry{e}); err == nil {
		t.Fatal("no error without a folder")
	}
	if err := os.MkdirAll(l.dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := l.write([]ruleset.Entry{e}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(l.dir, "settled-*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the line that failed is taken for written: %v %v", files, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
