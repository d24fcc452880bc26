package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/app/apptest"
)

// A customer gets the rules with its overrides, and sees its own series counted.
func TestRulesOfACustomer(t *testing.T) {
	t.Parallel()
	dir, _ := pushed(t)
	write(t, filepath.Join(dir, "plain.yml"), `
groups:
- name: web
  rules: [{alert: Slow, expr: page_seconds > 1, for: 5m, labels: {severity: warning}}, {alert: Lab, expr: page_seconds > 1, labels: {customer: lab}}]
`)
	write(t, filepath.Join(dir, "overrides.yml"), `
overrides:
- {name: long, rules: [queue/QueueLong], match: '{customer="acme"}', threshold: 50, severity: average, owner: ops, reason: batches, end: 2100-01-01T00:00:00Z}
- {name: quiet, rules: [host-load], match: '{customer="acme", instance="old"}', off: true, owner: ops, reason: it goes, end: 2100-01-01T00:00:00Z}
- {name: other, rules: [host-load], match: '{customer="lab"}', threshold: 9, owner: ops, reason: tests, end: 2100-01-01T00:00:00Z}
- {name: past, rules: [host-load], match: '{customer="acme"}', threshold: 9, owner: ops, reason: tests, end: 2000-01-01T00:00:00Z}
`)
	cfg, err := os.ReadFile(filepath.Join(dir, "watchkeeper.yml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(cfg), "[rules.yml]}", "[rules.yml, plain.yml], packs: [contract], overrides: overrides.yml}\ncustomers: [{name: acme}, {name: lab}]", 1)
	write(t, filepath.Join(dir, "watchkeeper.yml"), text)

	changed := func(customer string, args ...string) map[string]string {
		t.Helper()
		got := map[string]string{}
		for _, r := range decoded[[]listedRule](t, dir, append([]string{"rules", "list", "--format", "json", "--customer", customer}, args...)...) {
			if strings.HasPrefix(r.ID, "host-load") || r.Row == "" {
				got[r.ID] = r.Mode
				if r.Override != nil {
					got[r.ID] = r.Mode + ": " + r.Override.Change
				}
			}
		}
		return got
	}
	want := map[string]map[string]string{
		"acme": {"queue@long/QueueLong": "streaming: threshold 50, severity average instead of high", "host-load": "streaming", "host-load@quiet": "off: off", "plain.yml:web/Slow": "plain"},
		"lab":  {"queue/QueueLong": "streaming", "host-load@other": "streaming: threshold 9", "plain.yml:web/Slow": "plain", "plain.yml:web/Lab": "plain"},
	}
	for customer, rules := range want {
		if d := cmp.Diff(rules, changed(customer, "--config", "watchkeeper.yml")); d != "" {
			t.Errorf("%s as configured: (-want +got)\n%s", customer, d)
		}
	}
	if r := run(t, dir, "rules", "list", "--config", "watchkeeper.yml", "--customer", "acne"); r.code != exitFailed || !strings.Contains(r.stderr, `no customer "acne" is configured`) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	out := ok(t, dir, "rules", "list", "--config", "watchkeeper.yml", "--customer", "acme")
	for _, line := range []string{"OVERRIDE", "long: threshold 50, severity average instead of high until 2100-01-01", "every 1m, 1 in a row", "every 1m, for 5m", "quiet: off until 2100-01-01"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	if out := ok(t, dir, "rules", "list", "--config", "watchkeeper.yml"); strings.Contains(out, "quiet") {
		t.Errorf("what is off for one is shown to all:\n%s", out)
	}

	d := start(t, dir)
	d.breach("mail")
	d.breach("web")
	series := func(customer string) string {
		for _, r := range decoded[[]listedRule](t, dir, "rules", "list", "--url", d.url, "--customer", customer, "--format", "json") {
			if r.Alert == "QueueLong" {
				return fmt.Sprint(r.ID, " ", *r.Series, " ", r.State)
			}
		}
		return ""
	}
	apptest.Until(t, "both fire", func() bool { return series("acme") == "queue@long/QueueLong 2 firing" })
	if got := series("lab"); got != "queue/QueueLong 0 inactive" {
		t.Errorf("lab: %s", got)
	}
	for customer, rules := range want {
		if d := cmp.Diff(rules, changed(customer, "--url", d.url)); d != "" {
			t.Errorf("%s of the server: (-want +got)\n%s", customer, d)
		}
	}
	d.stop(syscall.SIGTERM)
	if diff := cmp.Diff(want["acme"], changed("acme", "--data", "data")); diff != "" {
		t.Errorf("of the folder: (-want +got)\n%s", diff)
	}
	if r := run(t, dir, "rules", "list", "--data", "data", "--customer", "acne"); r.code != exitFailed || !strings.Contains(r.stderr, `nothing is known of the customer "acne"`) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}

	for args, says := range map[string]string{"--customer acme": "long past quiet", "--customer lab": "other", "": "long other past quiet"} {
		got := map[string]bool{}
		d := decoded[deviations](t, dir, append([]string{"rules", "deviations", "--config", "watchkeeper.yml", "--format", "json"}, strings.Fields(args)...)...)
		for _, a := range d.Overrides {
			got[a.Override.Name] = true
		}
		for name := range strings.FieldsSeq(says) {
			if !got[name] {
				t.Errorf("deviations %s: no override %s", args, name)
			}
			delete(got, name)
		}
		if len(got) > 0 || len(d.Shipped) != 10 {
			t.Errorf("deviations %s: %v too many, %d shipped", args, got, len(d.Shipped))
		}
	}
}
