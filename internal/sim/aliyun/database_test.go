package aliyun

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	performance = api{"rds.aliyuncs.com", rdsVersion, "DescribeDBInstancePerformance"}
	backups     = api{"rds.aliyuncs.com", rdsVersion, "DescribeBackups"}
	slowRecords = api{"rds.aliyuncs.com", rdsVersion, "DescribeSlowLogRecords"}
	slowLogs    = api{"rds.aliyuncs.com", rdsVersion, "DescribeSlowLogs"}
)

// minutes is a range for the actions of RDS.
func minutes(id string, from, to time.Time) map[string]string {
	return map[string]string{"DBInstanceId": id, "StartTime": from.UTC().Format(minuteLayout), "EndTime": to.UTC().Format(minuteLayout)}
}

// rdsOf is the first instance of a variant that samples at this frequency.
func rdsOf(t *testing.T, s *Server, variant string, frequency int) *resource {
	t.Helper()
	for _, r := range s.estate.byProduct[nsRDS] {
		if r.variant == variant && r.monitoringFrequency() == frequency {
			return r
		}
	}
	t.Fatalf("no %s at %d s", variant, frequency)
	return nil
}

func withRDS(c *Config) { c.Products = map[string]int{nsRDS: 100} }

func TestPerformanceGranularity(t *testing.T) {
	s := newTestServer(t, withRDS)
	f := func(variant string, frequency int, width, want time.Duration) {
		t.Helper()
		if got := rdsOf(t, s, variant, frequency).performanceStep(width); got != want {
			t.Errorf("%s at %d s over %s: points every %s, want %s", variant, frequency, width, got, want)
		}
	}
	f(rdsMySQL, 5, 59*time.Minute, 5*time.Second)
	f(rdsMySQL, 5, time.Hour, time.Minute)
	f(rdsMySQL, 5, 25*time.Hour, time.Hour)
	f(rdsMySQL, 5, 8*day, day)
	f(rdsMySQL, 60, 7*day, time.Minute)
	f(rdsMySQL, 60, 7*day+1, time.Hour)
	f(rdsMySQL, 60, 31*day, day)
	f(rdsMySQL, 300, time.Hour, 5*time.Minute)
	f(rdsMSSQL, 300, 8*day, time.Hour)
	f(rdsPostgres, 60, time.Hour, 5*time.Second)
	f(rdsPostgres, 60, 2*time.Hour, 10*time.Second)
	f(rdsPostgres, 60, 6*time.Hour, 30*time.Second)
	f(rdsPostgres, 60, 12*time.Hour, time.Minute)
	f(rdsPostgres, 60, day, 2*time.Minute)
	f(rdsPostgres, 60, 5*day, 10*time.Minute)
	f(rdsPostgres, 60, 15*day, 30*time.Minute)
	f(rdsPostgres, 60, 30*day, time.Hour)
}

func TestPerformanceValuesAreThoseOfTheirFormat(t *testing.T) {
	s := newTestServer(t, withRDS)
	from := noon.Add(-30 * time.Minute)
	for _, variant := range []string{rdsMySQL, rdsMSSQL, rdsPostgres, rdsPPAS} {
		r := rdsOf(t, s, variant, 60)
		inject(t, s, Breach{Instance: r.id, Metric: breachableKey[variant][0], Dimensions: map[string]string{"part": breachableKey[variant][1]}, From: from, To: noon, Value: 4321})
		engine, _ := r.engine()
		for _, k := range performanceKeys {
			if k.engine != engine {
				continue
			}
			params := minutes(r.id, from, noon)
			params["Key"] = k.name
			key := items(t, performance.get(t, s, params), "PerformanceKeys.PerformanceKey")[0]
			values := items(t, key, "Values.PerformanceValue")
			if key["ValueFormat"] != k.format || len(values) < 20 {
				t.Errorf("%s: format %v, %d values", k.name, key["ValueFormat"], len(values))
				continue
			}
			at, err := time.Parse(secondLayout, fmt.Sprint(values[5]["Date"]))
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, part := range s.Performance(r.id, k.name, at) {
				if breaching := k.name == breachableKey[variant][0] && part.Name == breachableKey[variant][1]; breaching != (part.Value == 4321) {
					t.Errorf("%s %s is %v", k.name, part.Name, part.Value)
				}
				want = append(want, strconv.FormatFloat(part.Value, 'f', -1, 64))
			}
			if got := values[5]["Value"]; got != strings.Join(want, "&") || len(want) != 1+strings.Count(k.format, "&") {
				t.Errorf("%s: value %v, want %v", k.name, got, want)
			}
		}
	}
}

var breachableKey = map[string][2]string{
	rdsMySQL: {"MySQL_Sessions", "total_session"}, rdsMSSQL: {"SQLServer_Deadlock", ""}, rdsPostgres: {"PolarDBConnections", "waiting"}, rdsPPAS: {"PgSQL_IOPS", ""},
}

func TestPerformanceLimits(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { withRDS(c); c.Now = func() time.Time { return now } })
	r := rdsOf(t, s, rdsMySQL, 300)
	ask := func(from, to time.Time, keys string) []object {
		t.Helper()
		params := minutes(r.id, from, to)
		params["Key"] = keys
		return items(t, performance.get(t, s, params), "PerformanceKeys.PerformanceKey")
	}
	values := func(from, to time.Time) int {
		return len(items(t, ask(from, to, "MySQL_IOPS")[0], "Values.PerformanceValue"))
	}
	if got := values(noon.Add(-20*time.Minute), noon.Add(-15*time.Minute)); got != 0 {
		t.Errorf("a range as wide as the distance of points has %d", got)
	}
	if got := values(noon.Add(-30*time.Minute), noon); got != 6 { // noon's own point is not out yet
		t.Errorf("%d points, want 6", got)
	}
	now = noon.Add(3 * time.Minute)
	if got := values(noon.Add(-30*time.Minute), noon); got != 7 {
		t.Errorf("%d points later, want 7", got)
	}
	inject(t, s, Breach{Instance: r.id, Metric: "MySQL_IOPS", Missing: []time.Time{noon.Add(-10 * time.Minute)},
		Late: map[time.Time]time.Duration{noon.Add(-15 * time.Minute): time.Hour}})
	if got := values(noon.Add(-30*time.Minute), noon); got != 5 {
		t.Errorf("%d points besides the missing and the late one, want 5", got)
	}
	if got := ask(noon.Add(-time.Hour), noon, "MySQL_IOPS,CpuUsage,Nothing"); len(got) != 1 {
		t.Errorf("keys of others: %v", got)
	}
	f := func(status int, code string, change map[string]string) {
		t.Helper()
		params := minutes(r.id, noon.Add(-time.Hour), noon)
		params["Key"] = "MySQL_IOPS"
		for name, value := range change {
			params[name] = value
		}
		performance.fails(t, s, status, code, params)
	}
	f(400, "InvalidParameter", map[string]string{"Key": strings.Repeat("MySQL_IOPS,", 30) + "MySQL_MBPS"})
	f(400, "InvalidParameter", map[string]string{"Key": "MySQL_SpaceUsage", "StartTime": noon.Add(-25 * time.Hour).Format(minuteLayout)})
	f(400, "InvalidParameter", map[string]string{"StartTime": "yesterday"})
	f(400, "InvalidEndTime.Mismatch", map[string]string{"StartTime": noon.Format(minuteLayout)})
	f(400, "MissingParameter", map[string]string{"Key": "-"})
	f(404, "InvalidDBInstanceId.NotFound", map[string]string{"DBInstanceId": "rm-nobody"})
}

func TestBackupsFailAndGoMissing(t *testing.T) {
	s := newTestServer(t, withRDS)
	id := s.Instances(nsRDS)[0]
	midnight := noon.Truncate(day)
	inject(t, s,
		BackupFailure{Instance: id, From: midnight.Add(-3 * day), To: midnight.Add(-2 * day)},
		BackupFailure{Instance: id, From: midnight.Add(-5 * day), To: midnight.Add(-4 * day), Missing: true},
	)
	body := backups.get(t, s, minutes(id, midnight.Add(-6*day), noon))
	got := texts(items(t, body, "Items.Backup"), "BackupStatus")
	if diff := cmp.Diff([]string{"Success", "Success", "Failed", "Success", "Success"}, got); diff != "" { // the newest first, one is missing
		t.Error(diff)
	}
	if body["TotalRecordCount"] != "5" || body["PageRecordCount"] != "5" { // texts
		t.Errorf("counts %v, %v", body["TotalRecordCount"], body["PageRecordCount"])
	}
	params := minutes(id, midnight.Add(-6*day), noon)
	params["BackupStatus"] = "Failed"
	if failed := items(t, backups.get(t, s, params), "Items.Backup"); len(failed) != 1 || fmt.Sprint(failed[0]["IsAvail"]) != "0" {
		t.Errorf("failed backups: %v", failed)
	}
	readOnly := s.Instances(nsRDS)[1]
	if rows := items(t, backups.get(t, s, minutes(readOnly, midnight.Add(-6*day), noon)), "Items.Backup"); len(rows) != 0 {
		t.Errorf("a read-only instance has backups: %v", rows)
	}
	if err := s.Inject(BackupFailure{Instance: readOnly, From: noon, To: noon.Add(day)}); err == nil {
		t.Error("and they can fail")
	}
}

func TestSnapshotsFollowTheirDisk(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { c.Now = func() time.Time { return now } })
	var d disk
	for _, r := range s.estate.byProduct[nsECS] {
		if d = (disk{r, 0}); d.hasPolicy() {
			break
		}
	}
	start := backupStart(d.key(), noon.Truncate(day))
	inject(t, s, BackupFailure{Instance: d.r.id, From: start.Add(-2 * day), To: start.Add(-2*day + time.Second)})
	look := func(status string) []object {
		params := map[string]string{"DiskId": d.id(), "PageSize": "100"}
		if status != "" {
			params["Status"] = status
		}
		return items(t, snapshotList.get(t, s, params), "Snapshots.Snapshot")
	}
	if all, failed := look(""), look("failed"); len(all) != 7 || len(failed) != 1 || failed[0]["CreationTime"] != start.Add(-2*day).Format(secondLayout) {
		t.Errorf("%d snapshots, failed %v", len(all), failed)
	}
	now = start.Add(2 * time.Minute)
	if newest := look("")[0]; newest["Status"] != "progressing" || newest["Progress"] == "100%" {
		t.Errorf("newest %v", newest)
	}
	now = start.Add(time.Hour)
	if newest := look("")[0]; newest["Status"] != "accomplished" || newest["Progress"] != "100%" || newest["SourceDiskId"] != d.id() {
		t.Errorf("newest %v", newest)
	}
}

func TestSlowQueries(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { withRDS(c); c.Now = func() time.Time { return now } })
	id := s.Instances(nsRDS)[0]
	from, to := noon.Add(-2*time.Hour), noon.Add(-time.Hour)
	quiet := s.SlowQueryCount(id, from, to)
	inject(t, s, SlowQueries{Instance: id, From: from, To: from.Add(10 * time.Minute), PerMinute: 4, Duration: 9 * time.Second})
	if got := s.SlowQueryCount(id, from, to); got != quiet+40 {
		t.Errorf("%d slow queries, %d without the fault", got, quiet)
	}
	seen := []string{}
	for page := 1; page <= 3; page++ {
		params := minutes(id, from, to)
		params["PageNumber"] = strconv.Itoa(page)
		seen = append(seen, texts(items(t, slowRecords.get(t, s, params), "Items.SQLSlowRecord"), "ExecutionStartTime")...)
	}
	if len(seen) != quiet+40 || !slices.IsSorted(seen) {
		t.Errorf("%d records %v", len(seen), seen)
	}
	count := func() (n int64) {
		params := map[string]string{"DBInstanceId": id, "StartTime": "2026-11-21Z", "EndTime": "2026-11-21Z"}
		for _, row := range items(t, slowLogs.get(t, s, params), "Items.SQLSlowLog") {
			executions, err := strconv.ParseInt(fmt.Sprint(row["MySQLTotalExecutionCounts"]), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			n += executions
		}
		return n
	}
	if got := count(); got != 0 { // noon in China's afternoon is 04:00 UTC: six hours earlier was yesterday
		t.Errorf("statistics of %d, too early", got)
	}
	now = noon.Add(20 * time.Hour)
	if got := count(); got < 40 || got != int64(s.SlowQueryCount(id, noon.Truncate(day), noon.Add(14*time.Hour))) {
		t.Errorf("statistics of %d", got)
	}
}
