package events_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/aliyuntest"
	"watchkeeper/exporters/aliyun/events"
	sim "watchkeeper/internal/sim/aliyun"
)

// The whole course of an event, each step seen by a collector of its own: it is
// announced, goes on, is over, and is shown for a day.
func TestCourseOfAnInstanceEvent(t *testing.T) {
	c, s := newCloud(t), newStore(t)
	id := c.Instances("acs_ecs_dashboard")[3]
	begins, ends := noon.Add(time.Hour), noon.Add(2*time.Hour)
	c.inject(sim.InstanceEvent{Instance: id, Name: "SystemMaintenance.Reboot", PublishAt: noon.Add(-time.Minute), NotBefore: begins, FinishAt: ends})
	state := func(at time.Time) []string {
		c.collect(c.collector(aliyun.EventsECS, s), at, s)
		return s.at(at)
	}
	about := "{event=SystemMaintenance.Reboot instance=" + id + " product=ecs} "
	unix := func(t time.Time) string { return fmt.Sprint(float64(t.Unix())) }
	published := events.MetricPublished + about + unix(noon.Add(-time.Minute))
	for _, step := range []struct {
		at   time.Time
		want []string
	}{
		{noon.Add(-2 * time.Minute), nil},
		{noon, []string{events.MetricExecuting + about + "0", events.MetricNotBefore + about + unix(begins), published, events.MetricScheduled + about + "1"}},
		{begins, []string{events.MetricExecuting + about + "1", events.MetricNotBefore + about + unix(begins), published, events.MetricScheduled + about + "0"}},
		{ends, []string{events.MetricExecuting + about + "0", events.MetricFinished + about + unix(ends), published, events.MetricScheduled + about + "0"}},
		{ends.Add(25 * time.Hour), nil},
	} {
		if d := cmp.Diff(step.want, state(step.at)); d != "" {
			t.Errorf("at %s: %s", step.at, d)
		}
	}
	if len(s.ends) != 0 {
		t.Errorf("ends of other runs: %v", s.ends)
	}
}

// Within one run, series end with a reason: a day after the event, or when the
// instance is gone; not because a list is empty.
func TestEndsOfInstanceEvents(t *testing.T) {
	c, s := newCloud(t), newStore(t)
	ids := c.Instances("acs_ecs_dashboard")
	done, gone := ids[0], ids[1]
	c.inject(sim.InstanceEvent{Instance: done, Name: "SystemMaintenance.Reboot", PublishAt: noon, NotBefore: noon, FinishAt: noon.Add(time.Hour)})
	c.inject(sim.InstanceEvent{Instance: gone, Name: "SystemFailure.Redeploy", PublishAt: noon, NotBefore: noon.Add(100 * time.Hour)})
	collector := c.collector(aliyun.EventsECS, s)
	c.collect(collector, noon, s)
	c.collect(collector, noon.Add(26*time.Hour), s)
	if r := s.ends[events.MetricScheduled+"{event=SystemMaintenance.Reboot instance="+done+" product=ecs}"]; r != "finished" {
		t.Errorf("ends %v", s.ends)
	}
	before := len(s.ends)
	c.ClearFaults() // the service lists nothing any more: no permission, for all we know
	for i := range 3 {
		c.collect(collector, noon.Add(27*time.Hour+time.Duration(i)*5*time.Minute), s)
	}
	if len(s.ends) != before {
		t.Errorf("an empty list ended series: %v", s.ends)
	}
	c.inject(sim.Delete{Instance: gone, At: noon.Add(28 * time.Hour)})
	c.collect(collector, noon.Add(28*time.Hour), s)
	if r := s.ends[events.MetricScheduled+"{event=SystemFailure.Redeploy instance="+gone+" product=ecs}"]; r != "deleted" {
		t.Errorf("ends %v", s.ends)
	}
}

// What products report is said for an hour, denied for an hour, then ended.
func TestRecentSystemEvents(t *testing.T) {
	c, s := newCloud(t), newStore(t)
	id := c.Instances("acs_rds_dashboard")[0]
	c.inject(sim.CloudEvent{Product: "RDS", Name: "Instance:Failover", Level: "CRITICAL", Status: "Executed", Instance: id, At: noon.Add(-10 * time.Minute)})
	c.inject(sim.CloudEvent{Product: "Sms", Name: "Quota", Level: "WARN", At: noon.Add(-5 * time.Minute)})
	collector := c.collector(aliyun.EventsCloudMonitor, s)
	c.collect(collector, noon, s)
	failover := events.MetricRecent + "{event=Instance:Failover instance=" + id + " level=critical product=rds}"
	quota := events.MetricRecent + "{event=Quota level=warn product=sms}"
	if d := cmp.Diff([]string{failover + " 1", quota + " 1"}, s.at(noon)); d != "" {
		t.Error(d)
	}
	later := noon.Add(52 * time.Minute)
	c.collect(collector, later, s)
	if d := cmp.Diff([]string{failover + " 0", quota + " 1"}, s.at(later)); d != "" {
		t.Error(d)
	}
	c.collect(collector, noon.Add(3*time.Hour), s)
	if s.ends[failover] != "passed" || s.ends[quota] != "passed" {
		t.Errorf("ends %v", s.ends)
	}
	counted := events.MetricEvents + "{event=Instance:Failover instance=" + id + " level=critical product=rds status=Executed}"
	if d := cmp.Diff([]string{counted + " 1"}, s.at(noon.Add(-10*time.Minute), events.MetricEvents)); d != "" {
		t.Error(d)
	}
}

// Over polls, failed polls and restarts each event is counted once, in its own
// minute, whenever the service shows it.
func TestNoEventIsLostOrCountedTwice(t *testing.T) {
	for _, source := range []string{aliyun.EventsCloudMonitor, aliyun.EventsActionTrail} {
		t.Run(source, func(t *testing.T) {
			c, s := newCloud(t), newStore(t)
			ids := c.Instances("acs_ecs_dashboard")
			random := rand.New(rand.NewPCG(1, 2))
			want := map[string]float64{}
			first, last := noon.Add(-2*time.Hour), noon.Add(3*time.Hour)
			for n := range 150 {
				at := first.Add(time.Duration(random.Int64N(int64(last.Sub(first)))))
				id := ids[random.IntN(2)]
				minute := at.Add(time.Minute - 1).Truncate(time.Minute)
				if source == aliyun.EventsCloudMonitor {
					c.inject(sim.CloudEvent{Product: "ECS", Name: "Disk:Stalled", Status: "Executing", Instance: id, At: at.Truncate(time.Millisecond)})
					want[line(map[string]string{
						"__name__": events.MetricEvents, "product": "ecs", "instance": id, "event": "Disk:Stalled", "level": "warn", "status": "Executing",
					}, minute)]++
				} else {
					at = at.Truncate(time.Second)
					minute = at.Add(time.Minute - 1).Truncate(time.Minute)
					user := []string{"li.na", "wang.fang"}[n%2]
					c.inject(sim.Change{Instance: id, Event: "RebootInstance", User: user, At: at, Parameters: map[string]string{"Password": "hush"}})
					c.inject(sim.Change{Instance: id, Event: "DescribeInstances", User: user, At: at, Read: true})
					want[line(map[string]string{
						"__name__": events.MetricChanges, "product": "actiontrail", "service": "Ecs", "event": "RebootInstance", "user": user, "result": "ok",
					}, minute)]++
				}
			}
			collector := c.collector(source, s)
			for at := noon; at.Before(last.Add(time.Hour)); at = at.Add(5*time.Minute + 7*time.Second) {
				switch random.IntN(6) {
				case 0: // restart
					collector = c.collector(source, s)
				case 1: // a failed poll
					c.Set(at)
					c.SetKey(sim.Key{ID: aliyuntest.KeyID, Secret: aliyuntest.Secret, Status: sim.Inactive})
					if collector.Collect(t.Context(), at, s) == nil {
						t.Fatal("the failure was not noticed")
					}
					c.SetKey(sim.Key{ID: aliyuntest.KeyID, Secret: aliyuntest.Secret})
					continue
				}
				c.collect(collector, at, s)
			}
			got := map[string]float64{}
			for key, v := range s.samples {
				if strings.HasPrefix(key, events.MetricEvents+"{") || strings.HasPrefix(key, events.MetricChanges+"{") {
					got[key] = v
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// More changes than one read takes, and than the overlap of the next one leaves
// room for, are read in parts; none is lost.
func TestManyChangesAreReadInParts(t *testing.T) {
	c, s := newCloud(t), newStore(t)
	id := c.Instances("acs_ecs_dashboard")[0]
	const many, span = 1200, 20 * time.Minute
	for n := range many {
		c.inject(sim.Change{Instance: id, Event: "RebootInstance", User: fmt.Sprint(n % 3), At: noon.Add(-time.Hour + time.Duration(n)*span/many)})
	}
	collector := c.collector(aliyun.EventsActionTrail, s)
	for polls := range 4 {
		c.collect(collector, noon.Add(time.Duration(polls)*5*time.Minute), s)
	}
	total := 0.0
	for _, v := range s.samples {
		total += v
	}
	if total != many {
		t.Errorf("%v of %d were counted", total, many)
	}
}

// A stranger who invents users cannot make series without bound.
func TestChangesAreBounded(t *testing.T) {
	c, s := newCloud(t), newStore(t)
	id := c.Instances("acs_ecs_dashboard")[0]
	for n := range 120 {
		c.inject(sim.Change{Instance: id, Event: "RebootInstance", User: fmt.Sprintf("session-%d", n), At: noon.Add(-time.Hour + time.Duration(n)*time.Second)})
	}
	c.collect(c.collector(aliyun.EventsActionTrail, s), noon, s)
	series, total := map[string]bool{}, 0.0
	for key, v := range s.samples {
		name, _, _ := strings.Cut(key, "} ")
		series[name] = true
		total += v
	}
	if len(series) != 7 || total != 120 {
		t.Errorf("%d series, %v events", len(series), total)
	}
}

func TestSecurityFindings(t *testing.T) {
	c, s := newCloud(t), newStore(t)
	ids := c.Instances("acs_ecs_dashboard")
	c.inject(sim.SecurityAlert{Instance: ids[0], Name: "WebShell", At: noon.Add(-time.Hour)})
	c.inject(sim.SecurityAlert{Instance: ids[1], Name: "WebShell", At: noon.Add(-time.Hour), DealtAt: noon.Add(time.Hour)})
	c.inject(sim.SecurityAlert{Instance: ids[1], Name: "Login", Level: "remind", At: noon.Add(-time.Hour)})
	c.inject(sim.Vulnerability{Instance: ids[0], Name: "openssl", At: noon.Add(-time.Hour), FixedAt: noon.Add(time.Hour)})
	collector := c.collector(aliyun.EventsSecurity, s)
	alarms := func(at time.Time) []string {
		c.collect(collector, at, s)
		return append(s.at(at, events.MetricAlarms), s.at(at, events.MetricVulns+"{necessity=asap product=sas type=cve}")...)
	}
	const vuln = events.MetricVulns + "{necessity=asap product=sas type=cve} "
	f := func(level string) string { return events.MetricAlarms + "{level=" + level + " product=sas} " }
	if d := cmp.Diff([]string{f("remind") + "1", f("serious") + "2", f("suspicious") + "0", vuln + "1"}, alarms(noon)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{f("remind") + "1", f("serious") + "1", f("suspicious") + "0", vuln + "0"}, alarms(noon.Add(time.Hour))); d != "" {
		t.Error(d)
	}
	if n := len(s.at(noon, events.MetricVulns)); n != 12 {
		t.Errorf("%d counts of vulnerabilities", n)
	}
}

// value finds the one sample of a series at a time.
func (s *store) value(t *testing.T, metric, dim string, at time.Time) float64 {
	t.Helper()
	var found []float64
	for key, v := range s.samples {
		if strings.HasPrefix(key, metric+"{") && strings.Contains(key, dim) && strings.HasSuffix(key, at.UTC().Format(" 02 15:04:05")) {
			found = append(found, v)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s %s: %v", metric, dim, found)
	}
	return found[0]
}

// withBackups are the RDS instances that are not read-only.
func withBackups(c *cloud) []string {
	var ids []string
	for _, id := range c.Instances("acs_rds_dashboard") {
		// The fault names a time that nobody looks at.
		if c.Inject(sim.BackupFailure{Instance: id, From: noon.AddDate(-9, 0, 0), To: noon.AddDate(-8, 0, 0)}) == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestBackups(t *testing.T) {
	c, s := newCloud(t), newStore(t)
	ids := withBackups(c)
	good, failing := "instance="+ids[0]+" ", "instance="+ids[1]+" "
	c.inject(sim.BackupFailure{Instance: ids[1], From: noon.Add(-48 * time.Hour), To: noon})
	collector := c.collector(aliyun.EventsBackups, s)
	c.collect(collector, noon, s)
	if v := s.value(t, events.MetricBackupAge, good, noon); v < 0 || v > 24*3600 {
		t.Errorf("age %v", v)
	}
	if v := s.value(t, events.MetricBackupAge, failing, noon); v < 48*3600 || v > 72*3600 {
		t.Errorf("age %v of a failing one", v)
	}
	if a, b := s.value(t, events.MetricBackupBad, good, noon), s.value(t, events.MetricBackupBad, failing, noon); a != 0 || b != 1 {
		t.Errorf("%v and %v failures", a, b)
	}
	// No backup at all: the age is that of the history.
	c.inject(sim.BackupFailure{Instance: ids[2], From: noon.Add(-1000 * time.Hour), To: noon, Missing: true})
	next := noon.Add(time.Hour)
	c.inject(sim.Delete{Instance: ids[0], At: next})
	c.collect(collector, next, s)
	if v := s.value(t, events.MetricBackupAge, "instance="+ids[2]+" ", next); v != 8*24*3600 {
		t.Errorf("age %v without any", v)
	}
	c.collect(collector, next.Add(time.Hour), s)
	if r := s.ends[events.MetricBackupAge+"{instance="+ids[0]+" product=rds}"]; r != "deleted" || len(s.ends) != 2 {
		t.Errorf("ends %v", s.ends)
	}
}

func TestSnapshots(t *testing.T) {
	c, s := newCloud(t), newStore(t)
	id := c.Instances("acs_ecs_dashboard")[0]
	c.inject(sim.BackupFailure{Instance: id, From: noon.Add(-30 * time.Hour), To: noon})
	collector := c.collector(aliyun.EventsSnapshots, s)
	c.collect(collector, noon, s)
	bad, fresh, without := 0, 0, 0
	for _, sample := range s.at(noon, events.MetricShotAge) {
		var age float64
		fmt.Sscan(sample[strings.LastIndex(sample, " "):], &age)
		switch {
		case strings.Contains(sample, "instance="+id+" ") && age > 24*3600:
			bad++
		case !strings.Contains(sample, "instance="+id+" ") && age <= 24*3600+3600:
			fresh++
		default:
			t.Error(sample)
		}
	}
	for _, sample := range s.at(noon, events.MetricPolicy) {
		if strings.HasSuffix(sample, " 0") {
			without++
		}
	}
	if bad == 0 || fresh == 0 || bad+fresh+without != len(s.at(noon, events.MetricPolicy)) {
		t.Errorf("%d old, %d fresh, %d disks without a policy", bad, fresh, without)
	}
	// A list that is empty all of a sudden is taken for a missing permission.
	c.SetKey(sim.Key{ID: aliyuntest.KeyID, Secret: aliyuntest.Secret, Permissions: []string{"ecs:DescribeDisks"}})
	if err := collector.Collect(t.Context(), noon.Add(time.Hour), s); !errors.Is(err, aliyun.ErrForbidden) {
		t.Errorf("got %v", err)
	}
}

func TestNothingUnlessAsked(t *testing.T) {
	cfg := aliyun.AccountConfig{Name: "main", Regions: []string{region}, AccessKeyID: aliyuntest.KeyID, AccessKeySecret: aliyun.NewSecret(aliyuntest.Secret)}
	if read := cfg.WithDefaults().Events.Read; len(read) != 0 {
		t.Errorf("read by default: %v", read)
	}
}
