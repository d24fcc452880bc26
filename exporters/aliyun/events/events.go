// Package events reads what happens to an Alibaba Cloud account besides its
// metrics: scheduled maintenance and failures of ECS instances, CloudMonitor's
// system events, changes that ActionTrail records, findings of the Security
// Center, backups of RDS and snapshots of ECS disks.
//
// Two forms of series come of it. What has a state (an open event, a pending
// alarm, a backup's age) is a gauge at every check, derived anew from the
// service's list each time, so that a restart changes nothing; zero is said,
// not left out, since absence never resolves an alert. What just happens
// (system events, changes) is counted by the minute, at the minute's end, once
// the minute is old enough that no event of it is still to come: the count is
// final, and delivering it again after a restart is the same sample.
package events

import (
	"log/slog"
	"time"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/internal/sample"
)

// Names of the series. Package ruleset/aliyunaccount judges some of them.
const (
	MetricScheduled = "aliyun_ecs_event_scheduled"                    // events of a kind that are announced
	MetricExecuting = "aliyun_ecs_event_executing"                    // events of a kind that go on
	MetricNotBefore = "aliyun_ecs_event_not_before_timestamp_seconds" // when the next open one begins
	MetricPublished = "aliyun_ecs_event_published_timestamp_seconds"  // when the newest was announced
	MetricFinished  = "aliyun_ecs_event_finished_timestamp_seconds"   // when the last one ended
	MetricEvents    = "aliyun_system_events"                          // CloudMonitor's, by the minute
	MetricRecent    = "aliyun_system_events_recent"                   // CloudMonitor's of the last hour
	MetricChanges   = "aliyun_change_events"                          // ActionTrail's, by the minute
	MetricAlarms    = "aliyun_security_alarms"                        // pending
	MetricVulns     = "aliyun_security_vulnerabilities"               // not dealt with
	MetricBackupAge = "aliyun_rds_backup_age_seconds"                 // since the newest good one ended
	MetricBackupBad = "aliyun_rds_backup_failures"                    // in the last 24 h
	MetricPolicy    = "aliyun_ecs_disk_snapshot_policy"               // 1: snapshots are made automatically
	MetricShotAge   = "aliyun_ecs_snapshot_age_seconds"               // since the newest good one began
	MetricShotBad   = "aliyun_ecs_snapshot_failures"                  // in the last 24 h
)

// Metrics names all series of this package.
func Metrics() []string {
	return []string{
		MetricScheduled, MetricExecuting, MetricNotBefore, MetricPublished, MetricFinished, MetricEvents, MetricRecent, MetricChanges,
		MetricAlarms, MetricVulns, MetricBackupAge, MetricBackupBad, MetricPolicy, MetricShotAge, MetricShotBad,
	}
}

// day is the window of "lately" for failures and finished events.
const day = 24 * time.Hour

// Jobs returns the collectors that the account's configuration asks for: none
// unless events.read names some.
func Jobs(a *aliyun.Account) []exporters.Job {
	cfg := a.Config()
	var jobs []exporters.Job
	for _, source := range cfg.Events.Read {
		build, interval := builders[source], time.Duration(cfg.Events.Interval)
		if build.state {
			interval = time.Duration(cfg.Events.StateInterval)
		}
		regions := cfg.Regions
		if build.global {
			regions = regions[:1]
		}
		for i, region := range regions {
			name := region
			if build.global {
				name = "global"
			}
			r := reader{account: a, client: a.Client(), region: region, first: i == 0, source: a.Source(name, "events", source)}
			r.log = a.Log().With("source", r.source.Name)
			jobs = append(jobs, a.Job(build.make(r), interval))
		}
	}
	return jobs
}

// builders by the words of EventsConfig.Read.
var builders = map[string]struct {
	state  bool // read at StateInterval
	global bool // one for all regions
	make   func(reader) exporters.Collector
}{
	aliyun.EventsECS:          {make: func(r reader) exporters.Collector { return newInstanceEvents(r) }},
	aliyun.EventsCloudMonitor: {make: func(r reader) exporters.Collector { return newSystemEvents(r) }},
	aliyun.EventsActionTrail:  {make: func(r reader) exporters.Collector { return newChanges(r) }},
	aliyun.EventsSecurity:     {make: func(r reader) exporters.Collector { return newSecurity(r) }, global: true},
	aliyun.EventsBackups:      {make: func(r reader) exporters.Collector { return newBackups(r) }, state: true},
	aliyun.EventsSnapshots:    {make: func(r reader) exporters.Collector { return newSnapshots(r) }, state: true},
}

// reader is what all collectors of this package share.
type reader struct {
	account *aliyun.Account
	client  aliyun.Client
	region  string
	first   bool // region is the account's first: it takes what belongs to no region
	source  sample.Source
	log     *slog.Logger
}

// Source names the collector.
func (r *reader) Source() sample.Source { return r.source }

// builder makes samples of the account's product in this region at a check.
func (r *reader) builder(at time.Time, product string) *exporters.Builder {
	return exporters.NewBuilder(at, "customer", r.account.Customer(), "product", product, "region", r.region)
}
