package aliyun

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	history      = api{"ecs.cn-hangzhou.aliyuncs.com", ecsVersion, "DescribeInstanceHistoryEvents"}
	fullStatus   = api{"ecs.cn-hangzhou.aliyuncs.com", ecsVersion, "DescribeInstancesFullStatus"}
	systemEvents = api{"metrics.cn-hangzhou.aliyuncs.com", cmsVersion, "DescribeSystemEventAttribute"}
	trailEvents  = api{"actiontrail.cn-hangzhou.aliyuncs.com", trailVersion, "LookupEvents"}
	alerts       = api{"tds.aliyuncs.com", sasVersion, "DescribeSuspEvents"}
	vulList      = api{"tds.aliyuncs.com", sasVersion, "DescribeVulList"}
	metricTop    = api{"metrics.cn-hangzhou.aliyuncs.com", cmsVersion, "DescribeMetricTop"}
)

// pending are the statuses that must be asked for by name.
var pending = map[string]string{
	"InstanceEventCycleStatus.1": "Scheduled", "InstanceEventCycleStatus.2": "Executing", "InstanceEventCycleStatus.3": "Inquiring",
}

func TestLifeOfAnInstanceEvent(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { c.Now = func() time.Time { return now } })
	id := s.Instances(nsECS)[0]
	inject(t, s, InstanceEvent{Instance: id, Name: "SystemFailure.Reboot", PublishAt: noon.Add(time.Hour), NotBefore: noon.Add(2 * time.Hour), FinishAt: noon.Add(3 * time.Hour)})
	f := func(after time.Duration, params map[string]string, want string) {
		t.Helper()
		now = noon.Add(after)
		got := ""
		for _, row := range items(t, history.get(t, s, params), "InstanceSystemEventSet.InstanceSystemEventType") {
			got += fmt.Sprint(at(t, row, "EventCycleStatus.Name"))
		}
		if got != want {
			t.Errorf("after %s: %q, want %q", after, got, want)
		}
	}
	f(0, pending, "")
	f(time.Hour, pending, "Scheduled")
	f(time.Hour, nil, "") // by default only finished ones
	f(2*time.Hour, pending, "Executing")
	running := items(t, fullStatus.get(t, s, map[string]string{"InstanceId.1": id}), "InstanceFullStatusSet.InstanceFullStatusType")
	if len(running) != 1 || at(t, running[0], "HealthStatus.Name") != "Impaired" || len(items(t, running[0], "ScheduledSystemEventSet.ScheduledSystemEventType")) != 1 {
		t.Errorf("full status %v", running)
	}
	f(3*time.Hour, pending, "")
	f(3*time.Hour, nil, "Executed")
	f(3*time.Hour, map[string]string{"EventCycleStatus": "Executed"}, "Executed")
	f(3*time.Hour, map[string]string{"ResourceId.1": "i-nobody"}, "")
	f(3*time.Hour, map[string]string{"EventPublishTime.Start": noon.Add(2 * time.Hour).Format(secondLayout)}, "")
	f(40*day, nil, "") // older than 30 days
	now = noon.Add(4 * time.Hour)
	got := texts(items(t, systemEvents.get(t, s, map[string]string{"Product": "ECS"}), "SystemEvents.SystemEvent"), "Status")
	if diff := cmp.Diff([]string{"Executed", "Executing", "Scheduled"}, got); diff != "" {
		t.Error(diff)
	}
	history.fails(t, s, 400, "InvalidParameter", map[string]string{"InstanceEventCycleStatus.1": "Nothing"})
}

// An upgrade that the vendor announces for a database.
func TestAnnouncedUpgrade(t *testing.T) {
	s := newTestServer(t, func(c *Config) { allProducts(c); c.Regions = []string{"cn-hangzhou", "cn-beijing"} })
	id := s.Instances(nsRDS)[0]
	inject(t, s,
		CloudEvent{Product: "RDS", Name: "Instance_Maintenance", Level: "WARN", Status: "Normal", Instance: id, At: noon.Add(-time.Hour), Content: map[string]string{"switchTime": "2026-11-25T18:00Z"}},
		CloudEvent{Product: "RDS", Name: "Future", At: noon.Add(time.Hour)},
		CloudEvent{Product: "OSS", Name: "Notice", Level: "INFO", At: noon.Add(-2 * day)},
	)
	look := func(params map[string]string) []object {
		return items(t, systemEvents.get(t, s, params), "SystemEvents.SystemEvent")
	}
	got := look(nil)
	if len(got) != 1 || got[0]["Name"] != "Instance_Maintenance" || got[0]["Content"] != `{"switchTime":"2026-11-25T18:00Z"}` || !strings.HasSuffix(fmt.Sprint(got[0]["ResourceId"]), id) {
		t.Errorf("events %v", got)
	}
	if got := look(map[string]string{"RegionId": "cn-beijing"}); len(got) != 0 {
		t.Errorf("in another region: %v", got)
	}
	if got := look(map[string]string{"RegionId": "cn-beijing", "StartTime": ms(noon.Add(-3 * day))}); len(got) != 1 || got[0]["Name"] != "Notice" {
		t.Errorf("of the account: %v", got)
	}
}

func TestTrailTellsChanges(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { allProducts(c); c.Now = func() time.Time { return now } })
	ids := s.Instances(nsECS)
	inject(t, s,
		Create{Instance: ids[0], At: noon.Add(time.Minute)},
		Rename{Instance: ids[1], Name: "x", At: noon.Add(2 * time.Minute)},
		Delete{Instance: ids[2], At: noon.Add(3 * time.Minute)},
		Change{Instance: ids[3], Event: "DescribeInstances", At: noon.Add(4 * time.Minute), Read: true},
		Change{Service: "Ram", Event: "CreateUser", At: noon.Add(5 * time.Minute), ErrorCode: "NoPermission"},
	)
	look := func(params map[string]string) []string {
		return texts(items(t, trailEvents.get(t, s, params), "Events"), "eventName")
	}
	if now = noon.Add(time.Minute); len(look(nil)) != 0 {
		t.Error("an event shows at once")
	}
	now = noon.Add(20 * time.Minute)
	all := []string{"RunInstances", "ModifyInstanceAttribute", "DeleteInstance", "DescribeInstances", "CreateUser"}
	if diff := cmp.Diff(all, look(map[string]string{"Direction": "FORWARD"})); diff != "" {
		t.Error(diff)
	}
	slices.Reverse(all)
	paged, token := []string{}, ""
	for {
		body := trailEvents.get(t, s, map[string]string{"MaxResults": "2", "NextToken": token})
		paged = append(paged, texts(items(t, body, "Events"), "eventName")...)
		if token = fmt.Sprint(body["NextToken"]); token == "" {
			break
		}
	}
	if diff := cmp.Diff(all, paged); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"DescribeInstances"}, look(map[string]string{"LookupAttribute.1.Key": "EventRW", "LookupAttribute.1.Value": "Read"})); diff != "" {
		t.Error(diff)
	}
	now = noon.Add(100 * day)
	if got := look(map[string]string{"StartTime": now.Add(-90 * day).Format(secondLayout)}); len(got) != 0 {
		t.Errorf("after 90 days: %v", got)
	}
	trailEvents.fails(t, s, 400, "InvalidQueryParameter", map[string]string{"StartTime": now.Add(-100 * day).Format(secondLayout)})
}

func TestTrailAllowsTwoCallsASecond(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.RateLimits = nil })
	trailEvents.get(t, s, nil)
	trailEvents.get(t, s, nil)
	trailEvents.fails(t, s, 400, "Throttling.User", nil)
}

func TestSecurityAlertsAreDealtWith(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { c.Now = func() time.Time { return now } })
	id := s.Instances(nsECS)[0]
	inject(t, s,
		SecurityAlert{Instance: id, Name: "Reverse shell", At: noon, DealtAt: noon.Add(time.Hour)},
		SecurityAlert{Instance: id, Name: "Unusual log-in", Level: "remind", At: noon.Add(time.Minute)},
		Vulnerability{Instance: id, Name: "CVE-1", At: noon, FixedAt: noon.Add(time.Hour)},
		Vulnerability{Instance: id, Name: "weak.password", Type: "app", Necessity: "later", At: noon},
	)
	f := func(a api, list, name string, after time.Duration, params map[string]string, want ...string) {
		t.Helper()
		now = noon.Add(after)
		body := a.get(t, s, params)
		if diff := cmp.Diff(want, texts(items(t, body, list), name)); diff != "" {
			t.Errorf("%s %v after %s: %s", a.action, params, after, diff)
		}
	}
	minute := time.Minute
	f(alerts, "SuspEvents", "Name", minute, nil, "Unusual log-in", "Reverse shell")
	f(alerts, "SuspEvents", "Name", minute, map[string]string{"Levels": "serious,suspicious"}, "Reverse shell")
	f(alerts, "SuspEvents", "Name", time.Hour, map[string]string{"Dealed": "N"}, "Unusual log-in")
	f(alerts, "SuspEvents", "EventStatus", time.Hour, map[string]string{"Dealed": "Y"}, "32")
	f(alerts, "SuspEvents", "Name", minute, map[string]string{"PageSize": "1", "CurrentPage": "2"}, "Reverse shell")
	f(vulList, "VulRecords", "Name", minute, map[string]string{"Type": "cve"}, "CVE-1")
	f(vulList, "VulRecords", "Name", time.Hour, map[string]string{"Dealed": "n", "Necessity": "asap,later"}, "weak.password")
	f(vulList, "VulRecords", "Status", time.Hour, map[string]string{"Dealed": "y"}, "7")
	for _, fault := range []Fault{
		SecurityAlert{Instance: id, Level: "loud"}, Vulnerability{Instance: id, Type: "x"}, SecurityAlert{Instance: "i-nobody"},
		InstanceEvent{Instance: id, Name: "Nothing"}, Change{Instance: "i-nobody"}, CloudEvent{Product: "RDS"}, Spend{Instance: "x"},
		SlowQueries{Instance: id}, DomainErrors{Domain: id}, BackupFailure{Instance: "x"},
	} {
		if err := s.Inject(fault); err == nil {
			t.Errorf("%+v is accepted", fault)
		}
	}
}

func TestMetricTop(t *testing.T) {
	s := newTestServer(t, nil)
	top := func(params map[string]string) []float64 {
		t.Helper()
		all := map[string]string{"Namespace": nsECS, "MetricName": "CPUUtilization", "Orderby": "Average", "Length": "5"}
		for name, value := range params {
			all[name] = value
		}
		a := cms(t, s, "DescribeMetricTop", all)
		a.wantCode(t, 200, "200")
		out := []float64{}
		for _, p := range a.points(t) {
			out = append(out, p["Average"].(float64))
		}
		return out
	}
	down, up := top(nil), top(map[string]string{"OrderDesc": "True"})
	if len(down) != 5 || len(up) != 5 || !slices.IsSorted(up) || slices.IsSorted(down) || up[0] >= down[0] {
		t.Errorf("down %v, up %v", down, up)
	}
	metricTop.fails(t, s, 400, "MissingParameter", map[string]string{"Namespace": nsECS, "MetricName": "CPUUtilization"})
	metricTop.fails(t, s, 400, "ParameterInvalid", map[string]string{"Namespace": nsECS, "MetricName": "CPUUtilization", "Orderby": "Sum"})
}
