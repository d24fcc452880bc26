package events

import (
	"context"
	"errors"
	"slices"
	"time"

	"watchkeeper/exporters/aliyun"
)

// Size is how much there is of what the collectors of a region list.
type Size struct {
	Events    int // system events of ECS instances of the last 30 days
	Databases int // RDS instances
	BackedUp  int // of them, those that have backups: no read-only ones
	Disks     int // of ECS
	Snapshots int // of all disks
}

// Measure counts what the configured collectors of a region list, by listing it.
// What the key may not list counts as none.
func Measure(ctx context.Context, a *aliyun.Account, region string) (Size, error) {
	r := reader{account: a, client: a.Client(), region: region, log: a.Log()}
	var s Size
	for source, measure := range map[string]func(context.Context, reader) error{
		aliyun.EventsECS: s.measureEvents, aliyun.EventsBackups: s.measureBackups, aliyun.EventsSnapshots: s.measureSnapshots,
	} {
		if !slices.Contains(a.Config().Events.Read, source) {
			continue
		}
		if err := measure(ctx, r); err != nil && !errors.Is(err, aliyun.ErrForbidden) {
			return s, err
		}
	}
	return s, nil
}

func (s *Size) measureEvents(ctx context.Context, r reader) error {
	c := newInstanceEvents(r)
	_, err := c.list(ctx)
	s.Events = c.listed
	return err
}

func (s *Size) measureBackups(ctx context.Context, r reader) error {
	databases, err := newBackups(r).databases(ctx)
	s.Databases = len(databases)
	for _, db := range databases {
		if db.backedUp() {
			s.BackedUp++
		}
	}
	return err
}

func (s *Size) measureSnapshots(ctx context.Context, r reader) error {
	c := newSnapshots(r)
	disks, err := c.disks(ctx)
	s.Disks = c.listed
	if err != nil || len(disks) == 0 {
		return err
	}
	_, err = c.snapshots(ctx, time.Now())
	s.Snapshots = c.listedShots
	return err
}

// Rounds are the calls that the configured collectors of a region make when there
// is so much; first says that it is the account's first region. A page of system
// events, of changes and of an instance's backups is taken to be enough.
func Rounds(cfg aliyun.AccountConfig, first bool, s Size) []aliyun.Round {
	interval, slow := time.Duration(cfg.Events.Interval), time.Duration(cfg.Events.StateInterval)
	var out []aliyun.Round
	for _, source := range cfg.Events.Read {
		switch source {
		case aliyun.EventsECS:
			out = append(out, aliyun.Round{API: "Ecs.DescribeInstanceHistoryEvents", Calls: numberedPages(s.Events), Every: interval})
		case aliyun.EventsCloudMonitor:
			out = append(out, aliyun.Round{API: "Cms.DescribeSystemEventAttribute", Calls: 1, Every: interval})
		case aliyun.EventsActionTrail:
			out = append(out, aliyun.Round{API: "Actiontrail.LookupEvents", Calls: 1, Every: interval})
		case aliyun.EventsSecurity:
			if first {
				out = append(out, aliyun.Round{API: "Sas.DescribeSuspEvents", Calls: len(alarmLevels), Every: interval},
					aliyun.Round{API: "Sas.DescribeVulList", Calls: len(cfg.Events.VulnerabilityTypes) * len(necessities), Every: interval})
			}
		case aliyun.EventsBackups:
			out = append(out, aliyun.Round{API: "Rds.DescribeDBInstances", Calls: numberedPages(s.Databases), Every: slow},
				aliyun.Round{API: "Rds.DescribeBackups", Calls: s.BackedUp, Every: slow})
		case aliyun.EventsSnapshots:
			out = append(out, aliyun.Round{API: "Ecs.DescribeDisks", Calls: max((s.Disks+pageSize-1)/pageSize, 1), Every: slow})
			if s.Disks > 0 {
				out = append(out, aliyun.Round{API: "Ecs.DescribeSnapshots", Calls: max((s.Snapshots+pageSize-1)/pageSize, 1), Every: slow})
			}
		}
	}
	return out
}

// numberedPages are those of a list that ends with a page that is not full.
func numberedPages(n int) int { return n/pageSize + 1 }
