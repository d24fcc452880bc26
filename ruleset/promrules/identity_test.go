package promrules_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/ruleset/promrules"
)

// story is what was told, each news once: state, severity, rule and identity.
func story(told []promrules.Alert) []string {
	var out []string
	last := map[string]string{}
	for _, a := range told {
		key := a.RuleID + a.Identity.String()
		line := fmt.Sprintf("%s %s %s %s %s", a.Customer, a.RuleID, a.Identity, a.State, a.Labels.Get("severity"))
		if a.Reason != "" {
			line += " " + a.Reason
		}
		if last[key] != line {
			out = append(out, line)
		}
		last[key] = line
	}
	return out
}

func (s *server) tells(want ...string) {
	s.t.Helper()
	if d := cmp.Diff(want, story(s.takeTold())); d != "" {
		s.t.Errorf("told (-want +got):\n%s", d)
	}
}

// Rules of one name in two files are two, whatever the folder's name.
func TestAlertsOfTwoFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, "groups: []")
		files := []promrules.File{
			{Name: "/etc/w/a.yml", ID: "a.yml", Data: []byte(diskRules)},
			{Name: "/etc/w/b.yml", ID: "b.yml", Data: []byte(strings.Replace(diskRules, "severity: high", "severity: high, customer: lab", 1))},
		}
		if err := s.runner.Update(s.cfg, files); err != nil {
			t.Fatal(err)
		}
		s.hold(5*time.Minute, "acme", 95, disk...)
		told := s.takeTold()
		got := map[string]bool{}
		for _, line := range story(told) {
			got[line] = true
		}
		want := map[string]bool{`acme a.yml:disk/DiskFull {instance="a"} firing high`: true, `lab b.yml:disk/DiskFull {instance="a"} firing high`: true}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("told (-want +got):\n%s", d)
		}
		if id := s.runner.RuleID("/etc/w/a.yml", "disk", "DiskFull"); id != "a.yml:disk/DiskFull" {
			t.Error(id)
		}

		// One of them goes on in another file; the other is gone.
		files = []promrules.File{{Name: "/etc/w/c.yml", ID: "c.yml", Data: files[0].Data}}
		if err := s.runner.Update(s.cfg, files); err != nil {
			t.Fatal(err)
		}
		s.hold(5*time.Minute, "acme", 95, disk...)
		got = map[string]bool{}
		for _, line := range story(s.takeTold()) {
			got[line] = true
		}
		want = map[string]bool{`acme a.yml:disk/DiskFull {instance="a"} firing high`: true, `lab b.yml:disk/DiskFull {instance="a"} ended high rule changed`: true}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("told (-want +got):\n%s", d)
		}
		s.hold(5*time.Minute, "acme", 50, disk...)
		s.tells(`acme a.yml:disk/DiskFull {instance="a"} firing high`, `acme a.yml:disk/DiskFull {instance="a"} resolved high`) // kept firing first
	})
}

// An alert that stands is the same one when its severity changes.
func TestSeverityOfAnAlertThatStands(t *testing.T) {
	const id = `acme rules.yml:disk/DiskFull {instance="a"} `
	t.Run("edited", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, diskRules)
			s.hold(5*time.Minute, "acme", 95, disk...)
			s.update(strings.Replace(diskRules, "severity: high", "severity: low", 1))
			s.hold(6*time.Minute, "acme", 95, disk...)
			s.tells(id+"firing high", id+"firing low")
			s.hold(5*time.Minute, "acme", 50, disk...)
			s.tells(id+"firing low", id+"resolved low") // the first is kept firing, and repeated
		})
	})
	t.Run("by value", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, `groups: [{name: disk, interval: 1m, rules: [{alert: DiskFull, expr: disk_used_percent > 90, labels: {severity: '{{ if gt $value 98.0 }}disaster{{ else }}high{{ end }}'}}]}]`)
			for _, v := range []float64{95, 99, 95, 99} {
				s.hold(3*time.Minute, "acme", v, disk...)
			}
			s.tells(id+"firing high", id+"firing disaster", id+"firing high", id+"firing disaster")
			s.hold(5*time.Minute, "acme", 50, disk...)
			s.tells(id + "resolved disaster")
		})
	})
	// Two rules of one name are told apart by it, as series that bear it are.
	t.Run("two rules", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, `groups: [{name: disk, interval: 1m, rules: [
{alert: DiskFull, expr: disk_used_percent > 90, labels: {severity: high}}, {alert: DiskFull, expr: disk_used_percent > 98, labels: {severity: disaster}}]}]`)
			s.hold(3*time.Minute, "acme", 99, disk...)
			s.hold(5*time.Minute, "acme", 95, disk...)
			id := func(severity string) string {
				return fmt.Sprintf(`acme rules.yml:disk/DiskFull {instance="a", severity=%q} `, severity)
			}
			s.tells(id("high")+"firing high", id("disaster")+"firing disaster", id("disaster")+"resolved disaster")
		})
	})
	t.Run("of the series", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, `groups: [{name: disk, interval: 1m, rules: [{alert: DiskFull, expr: disk_used_percent > 90}]}]`)
			s.hold(3*time.Minute, "acme", 99, append(disk, "severity", "high")...)
			s.tells(`acme rules.yml:disk/DiskFull {instance="a", severity="high"} firing high`)
		})
	})
}

// What a former version told, by group and alert alone and with the severity in the
// identity, goes on as that until it closes.
func TestAlertOfAFormerVersionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t, t.TempDir())
		defer store.Close()
		s := newServer(t, store, promrules.DefaultConfig())
		all := labels.FromStrings("alertname", "DiskFull", "customer", "acme", "instance", "a", "severity", "high")
		s.runner.Resume([]promrules.Alert{{
			RuleID: "disk/DiskFull", Group: "disk", Name: "DiskFull", Customer: "acme", Labels: all, Identity: labels.FromStrings("instance", "a", "severity", "high"),
			State: promrules.StateFiring, ValidUntil: time.Now().Add(4 * time.Minute),
		}})
		rules := `groups: [{name: disk, interval: 1m, rules: [{alert: DiskFull, expr: disk_used_percent > 90, labels: {severity: high}}]}]`
		s.update(rules)
		s.start()
		defer s.stop()
		s.hold(5*time.Minute, "acme", 95, disk...)
		s.update(strings.Replace(rules, "severity: high", "severity: low", 1))
		s.hold(5*time.Minute, "acme", 95, disk...)
		s.hold(5*time.Minute, "acme", 50, disk...)
		s.hold(5*time.Minute, "acme", 95, disk...)
		const was = `acme disk/DiskFull {instance="a", severity="high"} `
		s.tells(was+"firing high", was+"firing low", was+"resolved low", `acme rules.yml:disk/DiskFull {instance="a"} firing low`)
	})
}
