package events

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
)

// snapshots reads how old the newest good snapshot of each disk of a region's
// ECS instances is, and how many failed lately. A disk without an automatic
// policy has no age: nobody promised it snapshots; MetricPolicy says so.
type snapshots struct {
	reader
	book                book
	listed, listedShots int // disks and snapshots in the newest lists
}

func newSnapshots(r reader) *snapshots { return &snapshots{reader: r} }

var _ exporters.Collector = (*snapshots)(nil)

// disk is an item of DescribeDisks.
type disk struct {
	ID       word `json:"DiskId"`
	Instance word `json:"InstanceId"`
	Policy   word `json:"AutoSnapshotPolicyId"`
	Created  word `json:"CreationTime"`
}

// taken is what the snapshots of a disk say.
type taken struct {
	newest time.Time
	failed int
}

// Collect lists the disks that belong to an instance, then all snapshots.
func (c *snapshots) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	disks, err := c.disks(ctx)
	if err != nil {
		return err
	}
	shots := map[word]taken{}
	if len(disks) > 0 {
		if shots, err = c.snapshots(ctx, at); err != nil {
			return err
		}
	}
	b := c.builder(at, "ecs")
	listed := map[string]bool{}
	old := 0 // disks with a policy whose first snapshot must be long there
	for _, d := range disks {
		listed[string(d.ID)] = true
		dims := []string{"instance", string(d.Instance), "disk", string(d.ID)}
		if d.Policy == "" {
			b.Add(MetricPolicy, 0, dims...)
			continue
		}
		if at.Sub(d.Created.moment()) > backupHistory {
			old++
		}
		b.Add(MetricPolicy, 1, dims...)
		b.Add(MetricShotAge, age(at, shots[d.ID].newest, d.Created.moment(), backupHistory).Seconds(), dims...)
		b.Add(MetricShotBad, float64(shots[d.ID].failed), dims...)
	}
	if len(shots) == 0 && old > 0 {
		// Without the permission the list is empty, and reads as if all were lost.
		return &aliyun.Error{Kind: aliyun.ErrForbidden, Status: 200, Message: "no snapshot of any disk is listed: ecs:DescribeSnapshots is not permitted, or all snapshots are gone"}
	}
	return c.book.deliver(ctx, sink, exporters.Looked(c.source, at, b.Samples()), nil, func(ls labels.Labels, absent int) (string, bool) {
		// The policy was taken away from a disk that is still listed, or the disk
		// is gone; an empty list may be a missing permission.
		if listed[ls.Get("disk")] {
			return reasonWithdrawn, true
		}
		return reasonDeleted, absent >= 2 && len(listed) > 0
	})
}

func (c *snapshots) disks(ctx context.Context) ([]disk, error) {
	var all []disk
	seen := map[word]bool{}
	c.listed = 0
	request := c.ecs("DescribeDisks", map[string]string{"MaxResults": strconv.Itoa(pageSize)})
	err := c.tokened(ctx, request, func(body []byte) (bool, error) {
		var answer struct {
			Disks struct{ Disk []disk }
		}
		if err := decode(body, &answer); err != nil {
			return false, err
		}
		c.listed += len(answer.Disks.Disk)
		for _, d := range answer.Disks.Disk {
			if d.ID != "" && d.Instance != "" && !seen[d.ID] {
				all = append(all, d)
			}
			seen[d.ID] = true
		}
		return true, nil
	})
	return all, err
}

// snapshots returns what was taken, by disk.
func (c *snapshots) snapshots(ctx context.Context, at time.Time) (map[word]taken, error) {
	shots := map[word]taken{}
	seen := map[word]bool{}
	c.listedShots = 0
	request := c.ecs("DescribeSnapshots", map[string]string{"MaxResults": strconv.Itoa(pageSize)})
	err := c.tokened(ctx, request, func(body []byte) (bool, error) {
		var answer struct {
			Snapshots struct {
				Snapshot []struct {
					ID                   word `json:"SnapshotId"`
					Disk                 word `json:"SourceDiskId"`
					CreationTime, Status word
				}
			}
		}
		if err := decode(body, &answer); err != nil {
			return false, err
		}
		c.listedShots += len(answer.Snapshots.Snapshot)
		for _, s := range answer.Snapshots.Snapshot {
			if seen[s.ID] {
				continue
			}
			seen[s.ID] = true
			t := shots[s.Disk]
			switch s.Status {
			case "accomplished":
				t.newest = later(t.newest, s.CreationTime.moment())
			case "failed":
				if at.Sub(s.CreationTime.moment()) <= day {
					t.failed++
				}
			}
			shots[s.Disk] = t
		}
		return true, nil
	})
	return shots, err
}
