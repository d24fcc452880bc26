package aliyunaccount

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/lint"
)

func groups(t *testing.T) []ruleset.Group {
	t.Helper()
	gs, err := Groups(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return gs
}

// timelines holds, for each rule, a series as (value x checks) and when it fires
// and resolves, in checks. The values on both sides of the threshold stand next
// to each other.
var timelines = map[string]struct {
	load            string // series and values, one per check
	alert           string // identity
	fires, resolves int
}{
	"ECSEventScheduled": {`aliyun_ecs_event_scheduled{customer="a",instance="i-1",event="SystemMaintenance.Reboot"} 0 0 1 1 0 0`, `customer="a",event="SystemMaintenance.Reboot",instance="i-1"`, 2, 4},
	"ECSEventExecuting": {`aliyun_ecs_event_executing{customer="a",instance="i-1",event="SystemFailure.Reboot"} 0 0 1 0 0 0`, `customer="a",event="SystemFailure.Reboot",instance="i-1"`, 2, 3},
	"AliyunSystemEventCritical": {
		`aliyun_system_events_recent{customer="a",product="rds",instance="rm-1",event="Failover",level="critical"} 0 1 1 0 0 0`,
		`customer="a",event="Failover",instance="rm-1",level="critical",product="rds"`, 1, 3,
	},
	"AliyunSystemEventWarning": {
		`aliyun_system_events_recent{customer="a",product="slb",instance="lb-1",event="Upgrade",level="warn"} 0 1 1 0 0 0`,
		`customer="a",event="Upgrade",instance="lb-1",level="warn",product="slb"`, 1, 3,
	},
	"SecurityAlarmSerious":        {`aliyun_security_alarms{customer="a",account="m",level="serious"} 0 0 2 1 0 0`, `account="m",customer="a",level="serious"`, 2, 4},
	"SecurityAlarmSuspicious":     {`aliyun_security_alarms{customer="a",account="m",level="suspicious"} 0 0 2 1 0 0`, `account="m",customer="a",level="suspicious"`, 2, 4},
	"SecurityVulnerabilityUrgent": {`aliyun_security_vulnerabilities{customer="a",account="m",type="cve",necessity="asap"} 0 3 3 0 0 0`, `account="m",customer="a",necessity="asap",type="cve"`, 1, 3},
	"RDSBackupOld":                {`aliyun_rds_backup_age_seconds{customer="a",instance="rm-1"} 126000 129600 129601 133200 3600 7200`, `customer="a",instance="rm-1"`, 2, 4},
	"RDSBackupFailed":             {`aliyun_rds_backup_failures{customer="a",instance="rm-1"} 0 0 1 1 0 0`, `customer="a",instance="rm-1"`, 2, 4},
	"ECSSnapshotOld":              {`aliyun_ecs_snapshot_age_seconds{customer="a",instance="i-1",disk="d-1"} 126000 129600 129601 133200 3600 7200`, `customer="a",disk="d-1",instance="i-1"`, 2, 4},
	"ECSSnapshotFailed":           {`aliyun_ecs_snapshot_failures{customer="a",instance="i-1",disk="d-1"} 0 0 1 1 0 0`, `customer="a",disk="d-1",instance="i-1"`, 2, 4},
	"AccountBalanceLow":           {`aliyun_account_available_amount{customer="a",account="m",currency="CNY"} 1200 1000 999.99 -5 1000 1000`, `account="m",currency="CNY",customer="a"`, 2, 4},
	"SpendAbnormal": {
		"aliyun_bill_day_ratio{customer=\"a\",account=\"m\"} 1.5 1.4 1.5 9 9 1\n    aliyun_bill_day_amount{customer=\"a\",account=\"m\"} 99 500 100 500 99 500",
		`account="m",customer="a"`, 2, 4,
	},
}

// Every rule fires at its threshold, not before, and resolves.
func TestEachRuleFiresAndResolves(t *testing.T) {
	source, err := Source(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range groups(t) {
		for _, r := range g.Rules {
			n++
			line, ok := timelines[r.Alert]
			if !ok {
				t.Errorf("%s has no timeline", r.Alert)
				continue
			}
			script := fmt.Sprintf("-- rules.yml --\n%s-- timeline --\nload %s\n    %s\nat %s %s{%s} firing\nat %s %s{%s} resolved\n", source,
				model.Duration(r.Interval), line.load,
				model.Duration(time.Duration(line.fires)*r.Interval), r.Alert, line.alert,
				model.Duration(time.Duration(line.resolves)*r.Interval), r.Alert, line.alert)
			if err := ruleset.RunTimeline(t.Context(), r.Alert, []byte(script)); err != nil {
				t.Error(err)
			}
		}
	}
	if n != len(timelines) {
		t.Errorf("%d rules, %d timelines", n, len(timelines))
	}
}

// An ECS event that has rules of its own is not told a second time.
func TestECSEventsAreToldOnce(t *testing.T) {
	source, err := Source(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	script := "-- rules.yml --\n" + string(source) + `-- timeline --
load 5m
    aliyun_system_events_recent{customer="a",product="ecs",instance="i-1",event="Instance:SystemFailure.Reboot",level="critical"} 1x6
    aliyun_system_events_recent{customer="a",product="ecs",instance="i-1",event="Instance:SystemMaintenance.Reboot",level="warn"} 1x6
`
	if err := ruleset.RunTimeline(t.Context(), "once", []byte(script)); err != nil {
		t.Error(err)
	}
}

// All rules stream, say what they are about, and read what they declare.
func TestRules(t *testing.T) {
	read := map[string]bool{}
	for _, g := range groups(t) {
		for _, r := range g.Rules {
			if mode, why := r.Mode(); mode != ruleset.ModeStreaming {
				t.Errorf("%s: %s, %s", r.ID(), mode, why)
			}
			page, anchor, _ := strings.Cut(r.Annotations.Get("runbook_url"), "#")
			text, err := os.ReadFile(filepath.Join("..", "..", page))
			if err != nil || !strings.Contains(strings.ToLower(string(text)), "\n## "+anchor+"\n") {
				t.Errorf("%s: no runbook %s, section %s (%v)", r.ID(), page, anchor, err)
			}
			for _, m := range Metrics() {
				if strings.Contains(r.Expr, m+" ") || strings.Contains(r.Expr, m+"{") {
					read[m] = true
				}
			}
		}
	}
	for _, m := range Metrics() {
		if !read[m] {
			t.Errorf("no rule reads %s", m)
		}
	}
	for _, f := range lint.Check(lint.Config{Delivered: Reads, Shipped: func(string) bool { return true }}, groups(t)) {
		t.Errorf("%+v", f)
	}
}

func TestValidate(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		if _, err := Groups(c); err == nil || !strings.HasPrefix(err.Error(), "pack aliyun-account: "+want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(func(c *Config) { c.BackupAge = 0 }, "backup_age: ")
	f(func(c *Config) { c.SnapshotAge = model.Duration(8 * 24 * time.Hour) }, "snapshot_age: ")
	f(func(c *Config) { c.SpendRatio = 1 }, "spend_ratio: ")
}
