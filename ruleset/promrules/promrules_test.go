package promrules_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/ruleset/promrules"
)

func TestRecordedSeriesIsVisibleToTheNextRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, `
groups:
- name: totals
  interval: 1m
  rules:
  - {record: "requests:sum", expr: "sum by (customer) (requests)"}
  - {record: "requests:double", expr: "2 * requests:sum"}
  - {record: "everybody:sum", expr: "sum(requests:double)"}
`)
		s.put("acme", 3, "__name__", "requests", "instance", "a")
		s.put("acme", 4, "__name__", "requests", "instance", "b")
		s.put("zeta", 1, "__name__", "requests", "instance", "c")
		time.Sleep(time.Minute)
		synctest.Wait()

		sum := s.last("__name__", "requests:sum", "customer", "acme")
		for _, c := range []struct {
			name, customer string
			want           float64
		}{
			{"requests:sum", "acme", 7},
			{"requests:double", "acme", 14},
			{"requests:double", "zeta", 2},
			{"everybody:sum", "default", 16},
		} {
			if got, want := s.last("__name__", c.name, "customer", c.customer), (stored{at: sum.at, v: c.want}); got != want {
				t.Errorf("%s of %s: got %v, want %v", c.name, c.customer, got, want)
			}
		}
		src, ok := s.store.SourceOf(labels.FromStrings("__name__", "requests:sum", "customer", "zeta"))
		if !ok || src.Customer != "zeta" || src.Name != "rules/totals" {
			t.Errorf("source of the recorded series: %v", src)
		}
		if up := s.last("__name__", "watchkeeper_source_up", "source", "rules/totals", "customer", "acme"); up.v != 1 || !up.at.Equal(sum.at) {
			t.Errorf("up-sample of the rules: %v", up)
		}
	})
}

const diskRules = `
groups:
- name: disk
  interval: 1m
  rules:
  - alert: DiskFull
    expr: disk_used_percent > 90
    for: 3m
    keep_firing_for: 2m
    labels: {severity: high}
    annotations: {summary: "{{ $labels.instance }} is at {{ $value }}"}
`

var disk = []string{"__name__", "disk_used_percent", "instance", "a"}

func TestLifeOfAnAlert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, diskRules)
		s.hold(3*time.Minute, "acme", 95, disk...)
		if told := s.takeTold(); len(told) > 0 {
			t.Fatalf("told while pending: %v", told)
		}
		alerts := []string{"__name__", "ALERTS", "alertname", "DiskFull", "customer", "acme", "instance", "a", "severity", "high", "alertstate"}
		if got := s.last(append(alerts, "pending")...); got.v != 1 || got.stale {
			t.Errorf("ALERTS pending: %v", got)
		}

		s.hold(3*time.Minute, "acme", 96, disk...)
		told := s.takeTold()
		if diff := cmp.Diff([]promrules.State{promrules.StateFiring}, states(told)); diff != "" || len(told) < 2 {
			t.Fatalf("told %d times, all of the same check: %s", len(told), diff)
		}
		fired := told[0]
		if got := fired.FiredAt.Sub(fired.ActiveAt); got != 3*time.Minute {
			t.Errorf("fired %s after it became active", got)
		}
		if fired.RuleID != "rules.yml:disk/DiskFull" || fired.Customer != "acme" || fired.File != "rules.yml" || fired.Expr != "disk_used_percent > 90" ||
			fired.Annotations.Get("summary") != "a is at 96" || fired.Labels.Get("severity") != "high" || fired.ValidUntil.Sub(fired.FiredAt) != 4*time.Minute {
			t.Errorf("told %+v", fired)
		}
		if got := s.last(append(alerts, "pending")...); !got.stale || !got.at.Equal(fired.Check) {
			t.Errorf("ALERTS pending ends with a stale marker when it fires: %v", got)
		}
		if got := s.read(append(alerts, "firing")...)[0]; got.v != 1 || !got.at.Equal(fired.Check) {
			t.Errorf("ALERTS firing begins at the check: %v", got)
		}
		if got := s.last("__name__", "ALERTS_FOR_STATE", "alertname", "DiskFull", "customer", "acme"); got.v != float64(fired.ActiveAt.Unix()) {
			t.Errorf("ALERTS_FOR_STATE: got %v, want %d", got, fired.ActiveAt.Unix())
		}

		// Good again: it goes on firing for two minutes more.
		good := time.Now()
		s.hold(6*time.Minute, "acme", 50, disk...)
		told = s.takeTold()
		if diff := cmp.Diff([]promrules.State{promrules.StateFiring, promrules.StateResolved}, states(told)); diff != "" {
			t.Fatal(diff)
		}
		resolved := told[len(told)-1]
		if kept := resolved.Check.Sub(good); kept < 2*time.Minute || kept > 3*time.Minute || resolved.Check.UnixMilli() != resolved.ResolvedAt.UnixMilli() {
			t.Errorf("resolved %s after it was good: %+v", kept, resolved)
		}
		if got := s.last(append(alerts, "firing")...); !got.stale || !got.at.Equal(resolved.Check) {
			t.Errorf("ALERTS firing ends with a stale marker when it resolves: %v", got)
		}
	})
}

func TestSeriesOfARemovedRuleGroupGoStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, `groups: [{name: a, interval: 1m, rules: [{record: x, expr: requests}]}]`)
		requests := []string{"__name__", "requests", "instance", "a"}
		s.hold(2*time.Minute, "acme", 1, requests...)
		if s.last("__name__", "x").stale {
			t.Fatal("stale while the rule is there")
		}
		s.update(`groups: []`)
		s.hold(3*time.Minute, "acme", 1, requests...)
		if !s.last("__name__", "x").stale {
			t.Error("not stale after the rule group was removed")
		}
	})
}

// A stale marker of the old rule group would hide the series that its new group
// goes on writing.
func TestSeriesOfARenamedRuleGroupGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, `groups: [{name: a, interval: 1m, rules: [{record: x, expr: requests}]}]`)
		requests := []string{"__name__", "requests", "instance", "a"}
		s.hold(2*time.Minute, "acme", 1, requests...)
		s.update(`groups: [{name: b, interval: 1m, rules: [{record: x, expr: requests}]}]`)
		s.hold(5*time.Minute, "acme", 1, requests...)
		for _, x := range s.read("__name__", "x") {
			if x.stale {
				t.Errorf("stale marker at %s", x.at)
			}
		}
	})
}

func TestPendingTimeSurvivesARestart(t *testing.T) {
	const rules = `groups: [{name: disk, interval: 1m, rules: [{alert: DiskFull, expr: disk_used_percent > 90, for: 30m}, {alert: NoCustomer, expr: max(disk_used_percent) > 90, for: 30m}]}]`
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		store := openStore(t, dir)
		first := newServer(t, store, promrules.DefaultConfig())
		first.update(rules)
		first.start()
		began := time.Now()
		first.hold(15*time.Minute, "acme", 95, disk...)
		first.stop()
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}

		time.Sleep(5 * time.Minute)
		store = openStore(t, dir)
		defer store.Close()
		second := newServer(t, store, promrules.DefaultConfig())
		second.update(rules)
		second.start()
		defer second.stop()
		second.hold(25*time.Minute, "acme", 95, disk...)
		fired := map[string]time.Duration{}
		for _, a := range second.takeTold() {
			fired[a.Name] = a.Check.Sub(began)
		}
		// 30 minutes of being pending and 5 of nobody looking.
		for _, name := range []string{"DiskFull", "NoCustomer"} {
			if got := fired[name]; got < 34*time.Minute || got > 38*time.Minute {
				t.Errorf("%s fired %s after it began, want about 35m", name, got)
			}
		}
	})
}

func TestRefusedUpdateChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, diskRules)
		s.hold(5*time.Minute, "acme", 95, disk...)
		err := s.runner.Update(s.cfg, []promrules.File{
			{Name: "good.yml", Data: []byte(`groups: [{name: g, rules: [{record: x, expr: requests}]}]`)},
			{Name: "bad.yml", Data: []byte("groups:\n- name: g\n  rules:\n  - {record: x, expr: 'sum('}\n")},
		})
		if err == nil || !strings.HasPrefix(err.Error(), "bad.yml:4: groups[0].rules[0]: could not parse expression") {
			t.Errorf("got %v", err)
		}
		changed := s.cfg
		changed.ResendDelay *= 2
		if err := s.runner.Update(changed, nil); err == nil || err.Error() != "resend_delay: changed; this needs a restart" {
			t.Errorf("got %v", err)
		}
		s.takeTold()
		s.hold(3*time.Minute, "acme", 95, disk...)
		if diff := cmp.Diff([]promrules.State{promrules.StateFiring}, states(s.takeTold())); diff != "" {
			t.Error(diff)
		}
		if got := len(s.runner.Groups()); got != 1 {
			t.Errorf("%d rule groups", got)
		}
	})
}

func TestUnchangedRulesKeepTheirStateAcrossUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, diskRules)
		s.hold(5*time.Minute, "acme", 95, disk...)
		first := s.takeTold()[0]
		s.update(diskRules) // the same
		s.hold(2*time.Minute, "acme", 95, disk...)
		s.update(strings.Replace(diskRules, "> 90", "> 91", 1)) // another expression, the same name and labels
		s.hold(2*time.Minute, "acme", 95, disk...)
		for _, a := range s.takeTold() {
			if a.State != promrules.StateFiring || !a.Check.Equal(first.Check) {
				t.Errorf("told %s of %s, want the alert of %s", a.State, a.Check, first.Check)
			}
		}
	})
}

func TestAlertOfARemovedRuleEnds(t *testing.T) {
	for _, c := range []struct{ rules, reason string }{
		{"groups: []", promrules.ReasonRemoved},
		{strings.Replace(diskRules, "name: disk", "name: disks", 1), promrules.ReasonRemoved},
		{strings.Replace(diskRules, "severity: high", "severity: high, team: b", 1), promrules.ReasonChanged},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t, diskRules)
			s.hold(5*time.Minute, "acme", 95, disk...)
			s.takeTold()
			s.refuseNotices(true)
			s.update(c.rules)
			s.refuseNotices(false)
			at := time.Now()
			s.update(c.rules)
			s.hold(time.Minute, "acme", 95, disk...)
			told := s.takeTold()
			if len(told) != 1 || told[0].State != promrules.StateEnded || told[0].Reason != c.reason || told[0].RuleID != "rules.yml:disk/DiskFull" {
				t.Fatalf("told %+v", told)
			}
			// What became of an alert whose rule was changed, the rule's next evaluation tells.
			if late := told[0].Check.Sub(at); late < -time.Millisecond || late > time.Minute || c.reason == promrules.ReasonRemoved && told[0].Check.UnixMilli() != at.UnixMilli() {
				t.Errorf("ended %s after the update", late)
			}
		})
	}
}

// An alert that was firing when the server stopped, and whose expression holds no
// more when it starts, is resolved when it would run out; one whose rule is gone
// ends at once; one that fires still is told as ever.
func TestAlertsThatCeasedWhileNobodyLooked(t *testing.T) {
	const rules = `groups: [{name: disk, interval: 1m, rules: [
{alert: DiskFull, expr: disk_used_percent > 90}, {alert: Slow, expr: disk_used_percent > 90, for: 2m}, {alert: Fuller, expr: disk_used_percent > 20}, {alert: Gone, expr: disk_used_percent > 90},
{alert: Broken, expr: disk_used_percent > 90}]}]`
	const broken = "disk_used_percent / on() group_left disk_used_percent"
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t, t.TempDir())
		defer store.Close()
		first := newServer(t, store, promrules.DefaultConfig())
		first.update(rules)
		first.start()
		hold := func(s *server, minutes int, v float64) {
			for range minutes {
				s.put("acme", 30, "__name__", "disk_used_percent", "instance", "b")
				s.hold(time.Minute, "acme", v, disk...)
			}
		}
		hold(first, 6, 95)
		first.stop()
		last := map[string]promrules.Alert{}
		for _, a := range first.takeTold() {
			last[a.Key()] = a
		}
		var open []promrules.Alert
		for _, a := range last {
			open = append(open, a)
		}
		if len(open) != 6 {
			t.Fatalf("firing before the restart: %+v", open)
		}

		first.put("acme", 50, disk...)
		second := newServer(t, store, promrules.DefaultConfig())
		second.runner.Resume(open)
		second.update(strings.NewReplacer("{alert: Gone, expr: disk_used_percent > 90},", "", "{alert: Broken, expr: disk_used_percent > 90}", "{alert: Broken, expr: "+broken+"}").Replace(rules))
		began := time.Now()
		second.start()
		defer second.stop()
		hold(second, 10, 50)
		got := map[string]string{}
		for _, a := range second.takeTold() {
			name := a.Name + "/" + a.Labels.Get("instance")
			if a.State != promrules.StateFiring && (a.Name == "Gone") != (a.Check.Sub(began) < time.Minute) {
				t.Errorf("%s %s %s after the start", name, a.State, a.Check.Sub(began))
			}
			if n := len(got[name]); n == 0 || !strings.HasSuffix(got[name], string(a.State)) {
				got[name] += " " + string(a.State)
			}
		}
		want := map[string]string{
			"DiskFull/a": " resolved", "Slow/a": " resolved", "Gone/a": " ended", "Fuller/a": " firing", "Fuller/b": " firing",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// A longer for makes a firing alert pending again; when it ceases then, nobody
// hears of it from the rules package, but the incident must not stay open.
func TestAlertThatCeasesAfterALongerFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, diskRules)
		s.hold(10*time.Minute, "acme", 95, disk...)
		s.takeTold()
		s.update(strings.Replace(diskRules, " for: 3m", " for: 1h", 1))
		s.hold(5*time.Minute, "acme", 95, disk...)
		if told := s.takeTold(); len(told) != 0 {
			t.Errorf("told while pending: %+v", told)
		}
		s.hold(5*time.Minute, "acme", 50, disk...)
		if told := s.takeTold(); len(told) != 1 || told[0].State != promrules.StateResolved {
			t.Errorf("told: %+v", told)
		}
	})
}

func TestRefusedNoticesComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, diskRules)
		s.refuseNotices(true)
		s.hold(5*time.Minute, "acme", 95, disk...)
		s.refuseNotices(false)
		s.hold(2*time.Minute, "acme", 95, disk...)
		if diff := cmp.Diff([]promrules.State{promrules.StateFiring}, states(s.takeTold())); diff != "" {
			t.Error(diff)
		}
		var b strings.Builder
		s.set.WritePrometheus(&b)
		if strings.Contains(b.String(), "alerts_notified_failed_total 0\n") {
			t.Error("the refusals are not counted")
		}
	})
}

func TestLimitAndQueryOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, `
groups:
- name: limited
  interval: 1m
  limit: 1
  rules: [{record: limited, expr: requests}]
- name: late
  interval: 1m
  query_offset: 2m
  rules: [{record: late, expr: requests}]
`)
		for _, instance := range []string{"a", "b"} {
			s.put("acme", 1, "__name__", "requests", "instance", instance)
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if got := s.read("__name__", "limited"); len(got) > 0 {
			t.Errorf("two series beyond a limit of one: %v", got)
		}
		groups := s.runner.Groups()
		if err := groups[1].Rules()[0].LastError(); err == nil || !strings.Contains(err.Error(), "exceeded limit of 1 with 2 series") {
			t.Errorf("last error: %v", err)
		}
		want := groups[0].GetLastEvalTimestamp().Add(-2 * time.Minute).Truncate(time.Millisecond)
		if got := s.last("__name__", "late", "instance", "a"); !got.at.Equal(want) {
			t.Errorf("sample at %s, want %s", got.at, want)
		}
	})
}

func TestWhatTheStoreDoesNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, `
groups:
- name: mixed
  interval: 1m
  rules:
  - {record: watchkeeper_source_fake, expr: requests}
  - {record: x, expr: requests}
`)
		requests := []string{"__name__", "requests", "instance", "a"}
		s.hold(2*time.Minute, "acme", 1, requests...)
		if !s.metricAbove("watchkeeper_promrules_samples_refused_total", 0) || len(s.read("__name__", "watchkeeper_source_fake")) > 0 {
			t.Error("a reserved name was taken, or its refusal not counted")
		}
		s.full.Store(true)
		s.hold(2*time.Minute, "acme", 1, requests...)
		x := s.runner.Groups()[0].Rules()[1]
		if err := x.LastError(); err == nil || !strings.Contains(err.Error(), `customer "acme": storage: disk full`) {
			t.Errorf("last error while the disk is full: %v", err)
		}
		before := s.last("__name__", "x")
		s.full.Store(false)
		s.hold(2*time.Minute, "acme", 1, requests...)
		if after := s.last("__name__", "x"); !after.at.After(before.at) || x.LastError() != nil {
			t.Errorf("does not recover: %v, %v", after, x.LastError())
		}
	})
}

func TestStoppedRunnerTakesNoUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, diskRules)
		s.hold(time.Minute, "acme", 1, disk...)
		s.stop()
		if err := s.runner.Update(s.cfg, nil); err != promrules.ErrStopped {
			t.Errorf("got %v", err)
		}
	})
}
