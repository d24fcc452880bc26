// Package timelines runs one script for each row of the contract's table
// through the rule engine. It stands apart from package contract so that the
// tests of the table link without the engine.
package timelines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// rules returns a rule file for each row, with the row's rule alone.
func rules(t *testing.T, literal ...string) map[string]string {
	t.Helper()
	files, err := contract.RowFiles(literal...)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for row, text := range files {
		out[row] = string(text)
	}
	return out
}

// Each row has a timeline in which its rule fires and, as near to it as can
// be, does not.
func TestEachRowFiresAndJustDoesNot(t *testing.T) {
	shipped := rules(t)
	scripts, err := filepath.Glob("../testdata/*.txt")
	if err != nil || len(scripts) != len(contract.Rows()) {
		t.Errorf("%d scripts for %d rows (%v)", len(scripts), len(contract.Rows()), err)
	}
	for _, row := range contract.Rows() {
		t.Run(row.ID, func(t *testing.T) {
			name := filepath.Join("..", "testdata", row.ID+".txt")
			script, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text := string(script)
			if !strings.Contains(text, row.Literal) {
				t.Errorf("%s does not name the literal text %q", name, row.Literal)
			}
			before, after, ok := strings.Cut(text, "-- timeline --\n")
			if !ok || !strings.Contains(after, " firing\n") {
				t.Fatalf("%s: no timeline that fires", name)
			}
			text = before + "-- rules.yml --\n" + shipped[row.ID] + "-- timeline --\n" + after
			if err := ruleset.RunTimeline(t.Context(), name, []byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

// The pack, as shipped and with all literal texts restored, is what the engine
// reads, and all of it streams.
func TestEngineReadsThePack(t *testing.T) {
	for _, literal := range [][]string{nil, {contract.AllRows}} {
		files, err := contract.Pack(literal...)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range files {
			groups, err := ruleset.Parse(f.Name, f.Data)
			if err != nil {
				t.Error(err)
				continue
			}
			for _, g := range groups {
				for _, r := range g.Rules {
					n++
					if len(r.Warnings) > 0 {
						t.Errorf("%s: %v", r.ID(), r.Warnings)
					}
					mode, why := r.Mode()
					if mode != ruleset.ModeStreaming {
						t.Errorf("%s: %s, %s", r.ID(), mode, why)
					}
				}
			}
		}
		if n != len(contract.Rows()) {
			t.Errorf("%d rules, %d rows", n, len(contract.Rows()))
		}
	}
}

// What is said about a restored row is true of the engine: a healthy replica
// breaches the literal threshold for ever.
func TestLiteralReplicaLagFiresForAHealthyReplica(t *testing.T) {
	script := "-- rules.yml --\n" + rules(t, "mysql-replica-lag")["mysql-replica-lag"] + `-- timeline --
load 1m
    mysql_replica_lag_seconds{instance="healthy"} 0x9
at 0m MySQLReplicaLagHigh{instance="healthy"} pending
at 2m MySQLReplicaLagHigh{instance="healthy"} firing
`
	if err := ruleset.RunTimeline(t.Context(), "literal", []byte(script)); err != nil {
		t.Error(err)
	}
}
