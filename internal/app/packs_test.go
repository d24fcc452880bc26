package app

import (
	"testing"
	"time"

	"watchkeeper/internal/config"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/vantage"
)

// The pack's rules take the places of the contract's, whatever the order, and
// only when it is asked for.
func TestVantagePackReplacesRows(t *testing.T) {
	f := func(packs string, rules int, file string) {
		t.Helper()
		cfg, err := config.Parse("wk.yml", []byte("rules: {packs: "+packs+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := readRules(cfg, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		if n := countRules(r.groups); n != rules {
			t.Errorf("%s: %d rules, want %d", packs, n, rules)
		}
		var found []*ruleset.Rule
		for _, g := range r.groups {
			for _, rule := range g.Rules {
				if rule.ID() == "website-failed" {
					found = append(found, rule)
				}
			}
		}
		if len(found) != 1 || found[0].File != file || (found[0].Contract.Deviation != nil) != (file == vantage.File) {
			t.Errorf("%s: website-failed is judged by %v, want the rule of %s alone", packs, found, file)
		}
	}
	f("[contract]", 90, "contract/website.yml")
	f("[contract, vantage]", 91, vantage.File)
	f("[vantage, contract]", 91, vantage.File)
}
