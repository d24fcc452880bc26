package slo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExampleIsTheFileAndParses(t *testing.T) {
	c, err := LoadFile("testdata/hosting-connectivity.yml")
	if err != nil {
		t.Fatal(err)
	}
	if c.Objective.Rat().RatString() != "999/1000" || c.Allowance.Minutes.Rat().RatString() != "44" || c.Refund.Fee.Amount.String() != "3000.00" {
		t.Errorf("%s %s %s", c.Objective, c.Allowance.Minutes, c.Refund.Fee.Amount)
	}
	embedded, err := Parse("x", Example())
	if err != nil || embedded.Hash() != c.Hash() {
		t.Errorf("%v; hashes %s and %s", err, embedded.Hash(), c.Hash())
	}
}

// Each mistake is named by file, line and path.
func TestMistakes(t *testing.T) {
	f := func(old, with string, want ...string) {
		t.Helper()
		text := strings.Replace(string(Example()), old, with, 1)
		if text == string(Example()) {
			t.Fatalf("the example has no %q", old)
		}
		_, err := Parse("c.yml", []byte(text))
		if err == nil {
			t.Errorf("%q was accepted", with)
			return
		}
		if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
			t.Errorf("%q: %s", with, diff)
		}
	}
	f("cycle: month", "cycel: month", "contract c.yml:14: cycel: unknown key; did you mean \"cycle\"?")
	f("  rule: port-down", "  ruel: port-down", "contract c.yml:19: unavailable.ruel: unknown key; did you mean \"rule\"?")
	f("cycle: month", "cycle: week", `contract c.yml:14: cycle: "week" is not one of month, year`)
	f("cycle: month", "", "contract c.yml: cycle: required: one of month, year")
	f("zone: Asia/Shanghai", "zone: Local", `contract c.yml:13: zone: zone "Local": want an IANA zone name such as Asia/Shanghai or UTC`)
	f("objective: 99.9%", "objective: 0.999", `contract c.yml:16: objective: "0.999" is not a percentage such as 99.9%`)
	f("objective: 99.9%", "objective: 100.1%", `contract c.yml:16: objective: "100.1%" is not a percentage such as 99.9%`)
	f("minutes: 44", "minutes: 4.4e1", `contract c.yml:25: allowance.minutes: "4.4e1" is not a decimal number such as 44 or 0.5`)
	f("minutes: 44", "minutes: -44", `contract c.yml:25: allowance.minutes: "-44" is not a decimal number such as 44 or 0.5`)
	f("minutes: 44", "minutes: 0", "contract c.yml:27: allowance.breached: an allowance of nothing is always reached: use exceeded")
	f("minutes: 44", "minutes: {text: 44}", "contract c.yml:25: allowance.minutes: want a plain value")
	f("divisor: 30", "divisor: 0", "contract c.yml:31: refund.divisor: 0 is not in 1 to 1000000")
	f("divisor: 30", "divisor: many", "contract c.yml:31: refund.divisor: cannot unmarshal !!str `many` into int64")
	f("currency: CNY", "currency: yuan", `contract c.yml:30: refund.fee.currency: "yuan" is not a currency such as CNY`)
	f("combine: any ", "combine: k_of_n ", "contract c.yml:17: unavailable.k: combine k_of_n needs k of 1 or more")
	f(`'{target="127.0.0.1:8080"}'`, `'{customer="other"}'`, `contract c.yml:20: unavailable.selector: customer is set by the contract's customer, "acme"`)
	f("customer: acme", "customer: acme\ncustomer: other", "contract c.yml:7: customer: is given twice")
	f("{from: 2026-01-01}", "{from: 2026-02-01, to: 2026-01-31}", "contract c.yml:15: effective.to: 2026-01-31 is before effective.from 2026-02-01")
	f("exclusions: []", "exclusions:\n  - {from: 2026-10-01T00:00:00, to: 2026-10-01T01:00:00Z}",
		`contract c.yml:47: exclusions[0].from: "2026-10-01T00:00:00" is not a time with an offset such as 2026-10-31T23:00:00+08:00 (milliseconds at most)`)
	f("exclusions: []", "exclusions:\n  - from: 2026-10-01T01:00:00Z\n    to: 2026-10-01T01:00:00Z\n    category: weather\n    owner: ops\n    reason: x\n    evidence: y",
		"contract c.yml:48: exclusions[0].to: 2026-10-01T01:00:00Z is not after from",
		`contract c.yml:49: exclusions[0].category: "weather" is not in exclusion_categories`)
	f("exclusions: []", "exclusions:\n  - {from: 2026-10-01T00:00:00Z, to: 2026-10-01T01:00:00Z, category: planned-maintenance, owner: ops}",
		"contract c.yml:47: exclusions[0].reason: required",
		"contract c.yml:47: exclusions[0].evidence: required",
		"contract c.yml:47: exclusions[0].announced_at: required by category planned-maintenance")
}

func TestFilesThatAreNoContract(t *testing.T) {
	f := func(content, want string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "c.yml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadFile(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.20q: %v, want %s", content, err, want)
		}
	}
	f("", "id: ")
	f("a: [", ":1: did not find")
	f("- a\n- b\n", "must be a mapping, is a list")
	f(string(Example())+"\n---\nid: other\n", "a second document")
	f("# "+strings.Repeat("x", maxContractBytes), "larger than")
	if _, err := LoadFile(filepath.Join(t.TempDir(), "none.yml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Example())
	f.Add([]byte("id: 1\nexclusions: [{from: 2026-10-01T00:00:00Z}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.yml", data)
		if err != nil && !strings.HasPrefix(err.Error(), "contract fuzz.yml") {
			t.Errorf("the error does not name the file: %v", err)
		}
		if err == nil && (c.Location() == nil || c.Objective.IsZero()) {
			t.Errorf("accepted without zone or objective: %q", data)
		}
	})
}
