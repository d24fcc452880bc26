package dbpolicy

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
	"watchkeeper/ruleset/lint"
)

func TestValidate(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		if _, err := Groups(c); err == nil || err.Error() != "pack database-policy: "+want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(Config{Default: Thresholds{"aliyun_rds_cpu_utilization_percent": 80}}, "default.aliyun_rds_cpu_utilization_percent: is not a counter of the database policy")
	f(Config{Customers: map[string]Thresholds{"acme": {"qps": 5}}}, "customers.acme.qps: is not a counter of the database policy")
	f(Config{Customers: map[string]Thresholds{`a"b`: nil}}, `customers: "a\"b": want lower-case letters, digits and '-'`)
}

func TestNothingWithoutThresholds(t *testing.T) {
	gs, err := Groups(Config{})
	if err != nil || len(gs) != 0 {
		t.Fatalf("%v %v", gs, err)
	}
}

func TestGroups(t *testing.T) {
	gs, err := Groups(Config{
		Default: Thresholds{"aliyun_rds_mysql_queries_per_second": 5000, "aliyun_rds_mysql_innodb_buffer_read_hit_percent": 95},
		Customers: map[string]Thresholds{
			"acme": {"aliyun_rds_mysql_queries_per_second": 20000.5}, "lab": {"aliyun_rds_mysql_queries_per_second": 100, "aliyun_rds_sqlserver_deadlocks_per_second": 0},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, g := range gs {
		for _, r := range g.Rules {
			got[r.ID()] = r.Expr
			if r.Interval != 5*time.Minute || r.Consecutive != 3 || r.Labels.Get(PolicyLabel) != PolicyValue || r.Missing != ruleset.MissingHold {
				t.Errorf("%+v", r)
			}
		}
	}
	want := map[string]string{
		"database-policy/RDSMySQLInnoDBBufferReadHitPercentLow":  `avg_over_time(aliyun_rds_mysql_innodb_buffer_read_hit_percent[5m]) < 95`,
		"database-policy/RDSMySQLQueriesPerSecondHigh":           `avg_over_time(aliyun_rds_mysql_queries_per_second{customer!~"acme|lab"}[5m]) > 5000`,
		"database-policy-acme/RDSMySQLQueriesPerSecondHigh":      `avg_over_time(aliyun_rds_mysql_queries_per_second{customer="acme"}[5m]) > 20000.5`,
		"database-policy-lab/RDSMySQLQueriesPerSecondHigh":       `avg_over_time(aliyun_rds_mysql_queries_per_second{customer="lab"}[5m]) > 100`,
		"database-policy-lab/RDSSQLServerDeadlocksPerSecondHigh": `avg_over_time(aliyun_rds_sqlserver_deadlocks_per_second{customer="lab"}[5m]) > 0`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestAllCounters makes a rule of every counter: none is judged by the alarm
// table too, and lint has nothing to say.
func TestAllCounters(t *testing.T) {
	all := Thresholds{}
	valid := regexp.MustCompile(`^aliyun_rds_(mysql|sqlserver|postgresql)_[a-z_]+$`)
	for _, m := range Metrics() {
		if _, twice := all[m.Name]; twice || !valid.MatchString(m.Name) || m.Counter == "" || m.Unit == "" {
			t.Errorf("counter %+v", m)
		}
		if _, ok := contract.LookupMetric(m.Name); ok {
			t.Errorf("%s: the alarm table has a row for it", m.Name)
		}
		all[m.Name] = 1
	}
	gs, err := Groups(Config{Default: all})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(gs[0].Rules); n != len(all) || n < 50 {
		t.Errorf("%d rules of %d counters", n, len(all))
	}
	known := func(name string) bool { _, ok := Lookup(name); return ok }
	for _, f := range lint.Check(lint.Config{Delivered: known, Shipped: func(string) bool { return true }}, gs) {
		t.Errorf("%+v", f)
	}
	if _, err := os.Stat(filepath.Join("..", "..", gs[0].Rules[0].Annotations.Get("runbook_url"))); err != nil {
		t.Error(err)
	}
}

// The third period of five minutes beyond the threshold fires, the second does not.
func TestThirdPeriodFires(t *testing.T) {
	b, err := File(Config{Default: Thresholds{"aliyun_rds_mysql_sessions": 100}})
	if err != nil {
		t.Fatal(err)
	}
	// Period by period: 50, 300, 300 (two above do not fire), 50, 300, 300, 300 (the third does), 50.
	script := "-- rules.yml --\n" + string(b) + `-- timeline --
load 1m
    aliyun_rds_mysql_sessions{customer="a",instance="rm-1"}  50x6 300x10 50x5 300x15 50x5
at 35m  RDSMySQLSessionsHigh{customer="a",instance="rm-1"} firing
at 40m  RDSMySQLSessionsHigh{customer="a",instance="rm-1"} resolved
`
	if err := ruleset.RunTimeline(t.Context(), "policy", []byte(script)); err != nil {
		t.Error(err)
	}
}
