package events

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
)

// backupHistory is how far back backups are looked at: further than the longest
// time that the service lets pass between two.
const backupHistory = 8 * day

// backups reads how old the newest good backup of each RDS instance of a region
// is, and how many failed lately. Read-only instances have none.
type backups struct {
	reader
	book book
}

func newBackups(r reader) *backups { return &backups{reader: r} }

var _ exporters.Collector = (*backups)(nil)

// database is an item of DescribeDBInstances.
type database struct {
	ID      word `json:"DBInstanceId"`
	Kind    word `json:"DBInstanceType"`
	Created word `json:"CreateTime"`
}

// backedUp tells whether there are backups of its own.
func (db database) backedUp() bool { return db.Kind == "" || db.Kind == "Primary" }

// Collect asks for the backups of one instance after the other.
func (c *backups) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	databases, err := c.databases(ctx)
	if err != nil {
		return err
	}
	b := c.builder(at, "rds")
	listed := map[string]bool{}
	for _, db := range databases {
		listed[string(db.ID)] = true
		if !db.backedUp() {
			continue
		}
		newest, failed, err := c.backups(ctx, string(db.ID), at)
		if errors.Is(err, aliyun.ErrParameter) {
			// Deleted meanwhile, or of a sort that has no backups.
			c.log.Warn("backups not read", "instance", db.ID, "err", err)
			continue
		}
		if err != nil {
			return err
		}
		b.Add(MetricBackupAge, age(at, newest, db.Created.moment(), backupHistory).Seconds(), "instance", string(db.ID))
		b.Add(MetricBackupBad, float64(failed), "instance", string(db.ID))
	}
	return c.book.deliver(ctx, sink, exporters.Looked(c.source, at, b.Samples()), nil, func(ls labels.Labels, absent int) (string, bool) {
		// An empty list may be a missing permission.
		return reasonDeleted, absent >= 2 && len(listed) > 0 && !listed[ls.Get("instance")]
	})
}

// age of the newest good one. Without one it is the time since which there is
// none: since the creation, or for as long as the history reaches.
func age(at, newest, created time.Time, history time.Duration) time.Duration {
	if newest.IsZero() {
		newest = later(at.Add(-history), created)
	}
	return max(at.Sub(newest), 0)
}

func (c *backups) databases(ctx context.Context) ([]database, error) {
	var all []database
	seen := map[word]bool{}
	request := c.rds("DescribeDBInstances", map[string]string{"PageSize": strconv.Itoa(pageSize)})
	err := c.numbered(ctx, request, "PageNumber", pageSize, func(body []byte) (int, error) {
		var answer struct {
			Items struct{ DBInstance []database }
		}
		if err := decode(body, &answer); err != nil {
			return 0, err
		}
		for _, db := range answer.Items.DBInstance {
			if db.ID != "" && !seen[db.ID] {
				all = append(all, db)
			}
			seen[db.ID] = true
		}
		return len(answer.Items.DBInstance), nil
	})
	return all, err
}

// backups returns the end of an instance's newest good backup, zero if there is
// none, and how many of the last day failed.
func (c *backups) backups(ctx context.Context, instance string, at time.Time) (newest time.Time, failed int, err error) {
	const layout = "2006-01-02T15:04Z"
	request := c.rds("DescribeBackups", map[string]string{
		"DBInstanceId": instance, "PageSize": strconv.Itoa(pageSize),
		"StartTime": at.Add(-backupHistory).UTC().Format(layout), "EndTime": at.UTC().Format(layout),
	})
	seen := map[word]bool{}
	err = c.numbered(ctx, request, "PageNumber", pageSize, func(body []byte) (int, error) {
		var answer struct {
			Items struct {
				Backup []struct {
					ID                                           word `json:"BackupId"`
					BackupStatus, BackupStartTime, BackupEndTime word
				}
			}
		}
		if err := decode(body, &answer); err != nil {
			return 0, err
		}
		for _, b := range answer.Items.Backup {
			if seen[b.ID] {
				continue
			}
			seen[b.ID] = true
			switch b.BackupStatus {
			case "Success":
				newest = later(newest, b.BackupEndTime.moment())
			case "Failed":
				if at.Sub(b.BackupStartTime.moment()) <= day {
					failed++
				}
			}
		}
		return len(answer.Items.Backup), nil
	})
	return newest, failed, err
}
