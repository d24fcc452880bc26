package sdktest

import (
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/actiontrail"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/cdn"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/cms"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/rds"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sas"

	"watchkeeper/internal/sim/aliyun"
)

func inject(t *testing.T, w *world, faults ...aliyun.Fault) {
	t.Helper()
	for _, f := range faults {
		if err := w.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEventsOfECS(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now()
	id := w.Instances("acs_ecs_dashboard")[3]
	inject(t, w, aliyun.InstanceEvent{Instance: id, Name: "SystemMaintenance.Reboot", PublishAt: now.Add(-time.Hour), NotBefore: now.Add(day), Reason: "hardware"})
	history := func(statuses ...string) []ecs.InstanceSystemEventType {
		r := ecs.CreateDescribeInstanceHistoryEventsRequest()
		if len(statuses) > 0 {
			r.InstanceEventCycleStatus = &statuses
		}
		a := must[*ecs.DescribeInstanceHistoryEventsResponse](t)(ecsClient(t, w, key).DescribeInstanceHistoryEvents(r))
		return a.InstanceSystemEventSet.InstanceSystemEventType
	}
	full := ecs.CreateDescribeInstancesFullStatusRequest()
	full.InstanceId = &[]string{id}
	status := must[*ecs.DescribeInstancesFullStatusResponse](t)(ecsClient(t, w, key).DescribeInstancesFullStatus(full)).InstanceFullStatusSet.InstanceFullStatusType
	if len(status) != 1 || status[0].HealthStatus.Name != "OK" || len(status[0].ScheduledSystemEventSet.ScheduledSystemEventType) != 1 {
		t.Errorf("full status %+v", status)
	}
	if got := history(); len(got) != 0 {
		t.Errorf("a pending event shows by default: %+v", got)
	}
	got := history("Scheduled", "Executing", "Inquiring")
	if len(got) != 1 || got[0].InstanceId != id || got[0].EventType.Name != "SystemMaintenance.Reboot" || got[0].EventCycleStatus.Name != "Scheduled" ||
		got[0].NotBefore == "" || got[0].EventId == "" {
		t.Errorf("events %+v", got)
	}
	a := must[*cms.DescribeSystemEventAttributeResponse](t)(cmsClient(t, w, key).DescribeSystemEventAttribute(cms.CreateDescribeSystemEventAttributeRequest()))
	events := a.SystemEvents.SystemEvent
	if a.Success != "true" || len(events) != 1 || events[0].Level != "WARN" || events[0].Status != "Scheduled" || !strings.Contains(events[0].Content, got[0].EventId) ||
		events[0].RegionId != region || events[0].Time != now.Add(-time.Hour).UnixMilli() {
		t.Errorf("system events %+v", a)
	}
}

const day = 24 * time.Hour

func TestTrail(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now()
	id := w.Instances("acs_ecs_dashboard")[3]
	inject(t, w, aliyun.Change{Instance: id, Event: "ModifyInstanceAttribute", User: "li.na", At: now.Add(-time.Hour), Parameters: map[string]string{"Password": "hunter2"}})
	c := must[*actiontrail.Client](t)(actiontrail.NewClientWithOptions(region, config(w), credential(key)))
	r := actiontrail.CreateLookupEventsRequest()
	r.StartTime, r.EndTime, r.MaxResults = now.Add(-2*time.Hour).UTC().Format("2006-01-02T15:04:05Z"), now.UTC().Format("2006-01-02T15:04:05Z"), "50"
	r.LookupAttribute = &[]actiontrail.LookupEventsLookupAttribute{{Key: "EventRW", Value: "Write"}}
	a := must[*actiontrail.LookupEventsResponse](t)(c.LookupEvents(r))
	if len(a.Events) != 1 || a.Events[0]["eventName"] != "ModifyInstanceAttribute" || a.Events[0]["resourceName"] != id ||
		a.Events[0]["userIdentity"].(map[string]any)["userName"] != "li.na" || a.Events[0]["requestParameters"].(map[string]any)["Password"] != "hunter2" {
		t.Errorf("events %+v", a.Events)
	}
}

func TestSecurityCenter(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now()
	id := w.Instances("acs_ecs_dashboard")[3]
	inject(t, w,
		aliyun.SecurityAlert{Instance: id, Name: "Reverse shell", At: now.Add(-time.Hour)},
		aliyun.SecurityAlert{Instance: id, Name: "Brute force", Level: "suspicious", At: now.Add(-2 * time.Hour), DealtAt: now.Add(-time.Minute)},
		aliyun.Vulnerability{Instance: id, Name: "alilinux3:2.1:ALINUX3-SA-1", AliasName: "openssl", At: now.Add(-day)},
	)
	c := must[*sas.Client](t)(sas.NewClientWithOptions(region, config(w), credential(key)))
	r := sas.CreateDescribeSuspEventsRequest()
	r.Dealed, r.PageSize, r.CurrentPage = "N", "20", "1"
	a := must[*sas.DescribeSuspEventsResponse](t)(c.DescribeSuspEvents(r))
	if len(a.SuspEvents) != 1 || a.TotalCount != 1 || a.SuspEvents[0].AlarmEventName != "Reverse shell" || a.SuspEvents[0].Level != "serious" ||
		a.SuspEvents[0].EventStatus != 1 || a.SuspEvents[0].InstanceId != id {
		t.Errorf("alerts %+v", a.SuspEvents)
	}
	v := sas.CreateDescribeVulListRequest()
	v.Type, v.Dealed = "cve", "n"
	b := must[*sas.DescribeVulListResponse](t)(must[*sas.Client](t)(sas.NewClientWithOptions(region, config(w), credential(key))).DescribeVulList(v))
	if len(b.VulRecords) != 1 || b.VulRecords[0].AliasName != "openssl" || b.VulRecords[0].Necessity != "asap" || b.VulRecords[0].FirstTs != now.Add(-day).UnixMilli() {
		t.Errorf("vulnerabilities %+v", b.VulRecords)
	}
}

func TestBackupsAndSlowLogs(t *testing.T) {
	w := newWorld(t, everything)
	now := time.Now().UTC()
	id := w.Instances("acs_rds_dashboard")[0]
	inject(t, w,
		aliyun.BackupFailure{Instance: id, From: now.Add(-3 * day), To: now},
		aliyun.SlowQueries{Instance: id, From: now.Add(-time.Hour), To: now.Add(-30 * time.Minute), PerMinute: 3, Duration: 7 * time.Second},
	)
	r := rds.CreateDescribeBackupsRequest()
	r.DBInstanceId, r.StartTime, r.EndTime = id, now.Add(-6*day).Format("2006-01-02T15:04Z"), now.Format("2006-01-02T15:04Z")
	a := must[*rds.DescribeBackupsResponse](t)(rdsClient(t, w).DescribeBackups(r))
	statuses := map[string]int{}
	for _, b := range a.Items.Backup {
		statuses[b.BackupStatus]++
		if _, err := time.Parse(time.RFC3339, b.BackupEndTime); err != nil {
			t.Error(err)
		}
	}
	if statuses["Failed"] < 2 || statuses["Success"] < 2 || a.PageNumber != "1" || a.TotalBackupSize == 0 {
		t.Errorf("backups %v in page %q", statuses, a.PageNumber)
	}
	l := rds.CreateDescribeSlowLogRecordsRequest()
	from, to := now.Add(-time.Hour).Truncate(time.Minute), now.Add(-20*time.Minute).Truncate(time.Minute)
	l.DBInstanceId, l.StartTime, l.EndTime = id, from.Format("2006-01-02T15:04Z"), to.Format("2006-01-02T15:04Z")
	records := must[*rds.DescribeSlowLogRecordsResponse](t)(rdsClient(t, w).DescribeSlowLogRecords(l))
	if records.TotalRecordCount != w.SlowQueryCount(id, from, to) || records.TotalRecordCount < 80 || len(records.Items.SQLSlowRecord) != 30 || records.Items.SQLSlowRecord[9].QueryTimes == 0 {
		t.Errorf("%d slow queries, %d in the page", records.TotalRecordCount, len(records.Items.SQLSlowRecord))
	}
	g := rds.CreateDescribeSlowLogsRequest()
	g.DBInstanceId, g.StartTime, g.EndTime = id, now.Add(-2*day).Format("2006-01-02Z"), now.Format("2006-01-02Z")
	days := must[*rds.DescribeSlowLogsResponse](t)(rdsClient(t, w).DescribeSlowLogs(g))
	if len(days.Items.SQLSlowLog) < 3 || days.Items.SQLSlowLog[0].MySQLTotalExecutionCounts == 0 || days.Items.SQLSlowLog[0].CreateTime == "" {
		t.Errorf("statistics %+v", days.Items.SQLSlowLog)
	}
}

func TestPerformance(t *testing.T) {
	w := newWorld(t, everything)
	now := time.Now().UTC().Truncate(time.Minute)
	for i, want := range []string{"recv_k&sent_k", "recv_k&sent_k", "", "sent_k&recv_k"} { // MySQL, its read-only, PostgreSQL, SQL Server
		id := w.Instances("acs_rds_dashboard")[i]
		r := rds.CreateDescribeDBInstancePerformanceRequest()
		r.DBInstanceId, r.Key = id, "MySQL_NetworkTraffic,SQLServer_NetworkTraffic,CpuUsage"
		r.StartTime, r.EndTime = now.Add(-20*time.Minute).Format("2006-01-02T15:04Z"), now.Format("2006-01-02T15:04Z")
		a := must[*rds.DescribeDBInstancePerformanceResponse](t)(rdsClient(t, w).DescribeDBInstancePerformance(r))
		if len(a.PerformanceKeys.PerformanceKey) != 1 {
			t.Fatalf("%s: keys %+v", a.Engine, a.PerformanceKeys)
		}
		k := a.PerformanceKeys.PerformanceKey[0]
		values := k.Values.PerformanceValue
		if k.ValueFormat != want || len(values) < 2 || strings.Count(values[0].Value, "&") != strings.Count(want, "&") {
			t.Errorf("%s: %q with values %v", a.Engine, k.ValueFormat, values)
		}
		if _, err := time.Parse("2006-01-02T15:04:05Z", values[0].Date); err != nil {
			t.Error(err)
		}
	}
}

func TestStatusCodesOfCDN(t *testing.T) {
	w := newWorld(t, everything)
	domain := w.Instances("acs_cdn")[0]
	now := time.Now().UTC().Truncate(5 * time.Minute)
	from, to := now.Add(-time.Hour), now
	inject(t, w, aliyun.DomainErrors{Domain: domain, From: from, To: to, Code: 503, Ratio: 0.2})
	c := must[*cdn.Client](t)(cdn.NewClientWithOptions(region, config(w), credential(key)))
	r := cdn.CreateDescribeDomainHttpCodeDataRequest()
	r.DomainName, r.StartTime, r.EndTime, r.Interval = domain, from.Format("2006-01-02T15:04:05Z"), to.Format("2006-01-02T15:04:05Z"), "300"
	a := must[*cdn.DescribeDomainHttpCodeDataResponse](t)(c.DescribeDomainHttpCodeData(r))
	slots := a.HttpCodeData.UsageData
	if len(slots) < 8 || len(slots) > 10 { // the newest 15 minutes are not there yet
		t.Fatalf("%d slots of 12", len(slots))
	}
	codes := map[string]bool{}
	for _, p := range slots[0].Value.CodeProportionData {
		codes[p.Code] = p.Count != "" && p.Proportion != ""
	}
	if !codes["200"] || !codes["503"] || slots[0].TimeStamp != from.Format("2006-01-02T15:04:05Z") {
		t.Errorf("%s: %+v", slots[0].TimeStamp, slots[0].Value)
	}
	o := cdn.CreateDescribeDomainSrcHttpCodeDataRequest()
	o.DomainName = domain
	b := must[*cdn.DescribeDomainSrcHttpCodeDataResponse](t)(must[*cdn.Client](t)(cdn.NewClientWithOptions(region, config(w), credential(key))).DescribeDomainSrcHttpCodeData(o))
	if len(b.HttpCodeData.UsageData) < 280 || len(b.HttpCodeData.UsageData[0].Value.CodeProportionData) == 0 {
		t.Errorf("origin: %d slots", len(b.HttpCodeData.UsageData))
	}
}

func TestTopAndData(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now()
	r := cms.CreateDescribeMetricTopRequest()
	r.Namespace, r.MetricName, r.Orderby, r.Length = "acs_ecs_dashboard", "CPUUtilization", "Average", "3"
	a := must[*cms.DescribeMetricTopResponse](t)(cmsClient(t, w, key).DescribeMetricTop(r))
	if strings.Count(a.Datapoints, `"timestamp"`) != 3 || a.Code != "200" {
		t.Errorf("top %s %s", a.Code, a.Datapoints)
	}
	d := cms.CreateDescribeMetricDataRequest()
	list := metricRequest(now.Add(-10*time.Minute), now)
	d.Namespace, d.MetricName, d.Period, d.StartTime, d.EndTime = list.Namespace, list.MetricName, list.Period, list.StartTime, list.EndTime
	b := must[*cms.DescribeMetricDataResponse](t)(cmsClient(t, w, key).DescribeMetricData(d))
	if strings.Count(b.Datapoints, `"timestamp"`) != 1000 {
		t.Errorf("data of %d bytes", len(b.Datapoints))
	}
}
