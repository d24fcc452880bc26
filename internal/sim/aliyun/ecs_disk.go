package aliyun

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// disk belongs to an ECS instance; 0 is the system disk.
type disk struct {
	r      *resource
	number int
}

// maxDisks is more than an instance has here.
const maxDisks = 4

func (d disk) key() uint64  { return mix(mix(d.r.key, 100), uint64(d.number)) }
func (d disk) id() string   { return "d-" + idText(d.key(), 20) }
func (d disk) order() int64 { return int64(d.r.number)*maxDisks + int64(d.number) }

func (d disk) kind() string {
	if d.number == 0 {
		return "system"
	}
	return "data"
}

// hasPolicy: nine disks in ten have an automatic snapshot policy.
func (d disk) hasPolicy() bool { return d.key()%10 != 0 }

// disksIn are the disks of a region's live instances.
func (s *Server) disksIn(c *call, keep func(disk) bool) []disk {
	rows := []disk{}
	for _, r := range s.listed(c, nsECS, func(*resource) bool { return true }) {
		for n := range 1 + r.dataDisks() {
			if d := (disk{r, n}); keep(d) {
				rows = append(rows, d)
			}
		}
	}
	return rows
}

// idList reads a JSON array of at most 100 ids. Nil: not given.
func (c *call) idList(name string) ([]string, *apiError) {
	text := c.params[name]
	if text == "" {
		return nil, nil
	}
	ids := []string{}
	if json.Unmarshal([]byte(text), &ids) != nil || len(ids) > maxInstanceIDs {
		return nil, invalidParameter(name)
	}
	return ids, nil
}

func (s *Server) describeDisks(c *call) (any, *apiError) {
	if e := s.requireRegion(c); e != nil {
		return nil, e
	}
	ids, e := c.idList("DiskIds")
	if e != nil {
		return nil, e
	}
	rows := s.disksIn(c, func(d disk) bool {
		return (ids == nil || slices.Contains(ids, d.id())) && c.filter("InstanceId", d.r.id) && c.filter("ZoneId", d.r.zone()) &&
			(c.filter("DiskType", d.kind()) || c.params["DiskType"] == "all") && c.filter("DiskChargeType", s.chargeType(d.r))
	})
	answer := func(shown []disk, number, size int, next string) any {
		return object{
			"RequestId": c.requestID, "TotalCount": len(rows), "PageNumber": number, "PageSize": size, "NextToken": next,
			"Disks": object{"Disk": objects(shown, s.diskItem)},
		}
	}
	if c.wantsToken() {
		shown, next, size, e := tokenPage(s, c, rows, disk.order, defaultPageSize, maxPageSize)
		return answer(shown, 1, size, next), e
	}
	number, size, e := c.page(pageNumber(defaultPageSize, maxPageSize))
	if e != nil {
		return nil, e
	}
	return answer(pageOf(rows, number, size), number, size, ""), nil
}

func (s *Server) diskItem(d disk) object {
	device := fmt.Sprintf("/dev/xvd%c", 'a'+d.number)
	policy := ""
	if d.hasPolicy() {
		policy = "sp-" + idText(mixText(6, d.r.region), 20)
	}
	return object{
		"DiskId": d.id(), "DiskName": d.r.name + "-" + d.kind(), "InstanceId": d.r.id, "RegionId": d.r.region, "ZoneId": d.r.zone(),
		"Type": d.kind(), "Category": "cloud_essd", "PerformanceLevel": "PL1", "Size": 40 * (1 + d.number*5), "Device": device,
		"Status": "In_use", "Portable": s.chargeType(d.r) == "PostPaid", "DiskChargeType": s.chargeType(d.r),
		"ExpiredTime": s.expiryText(d.r, minuteLayout, neverExpires), "CreationTime": d.r.created.Format(secondLayout),
		"AttachedTime": d.r.created.Format(secondLayout), "DetachedTime": "", "SerialNumber": idText(mix(d.key(), 1), 20),
		"AutoSnapshotPolicyId": policy, "EnableAutoSnapshot": d.hasPolicy(), "EnableAutomatedSnapshotPolicy": d.hasPolicy(),
		"DeleteWithInstance": true, "Encrypted": false, "IOPS": 2280, "MultiAttach": "Disabled", "ResourceGroupId": "",
		"OperationLocks": object{"OperationLock": []object{}}, "Tags": object{"Tag": d.r.tags()},
	}
}

// ---- snapshots ----

const (
	snapshotRetention = 7 // days
	snapshotsPerDisk  = 16
)

// snapshot is the automatic one of a disk on a day.
type snapshot struct {
	disk
	start  time.Time
	failed bool
	nth    int // of its disk, the newest is 0
}

func (p snapshot) id() string { return "s-" + idText(mix(p.key(), uint64(p.start.Unix())), 20) }

// order is by disk, then the newest first.
func (p snapshot) order() int64 { return p.disk.order()*snapshotsPerDisk + int64(p.nth) }

func (p snapshot) end() time.Time { return p.start.Add(backupDuration(p.key())) }

func (p snapshot) state(now time.Time) (status, progress string) {
	switch {
	case p.end().After(now):
		percent := now.Sub(p.start) * 100 / p.end().Sub(p.start)
		return "progressing", fmt.Sprintf("%d%%", percent)
	case p.failed:
		return "failed", "100%"
	}
	return "accomplished", "100%"
}

// eachSnapshot visits those of the days of retention, the newest first.
func (s *Server) eachSnapshot(d disk, now time.Time, visit func(snapshot)) {
	if !d.hasPolicy() {
		return
	}
	life := s.lifeOf(d.r.id)
	newest := backupStart(d.key(), now.UTC().Truncate(day))
	for nth := range snapshotRetention + 1 {
		start := newest.Add(-time.Duration(nth) * day)
		if start.After(now) || now.Sub(start) >= snapshotRetention*day || start.Before(d.r.created) || !life.exists(start) {
			continue
		}
		if missing, failed := s.backupFate(d.r.id, start); !missing {
			visit(snapshot{d, start, failed, nth})
		}
	}
}

func (s *Server) describeSnapshots(c *call) (any, *apiError) {
	if e := s.requireRegion(c); e != nil {
		return nil, e
	}
	ids, e := c.idList("SnapshotIds")
	if e != nil {
		return nil, e
	}
	now := s.now()
	diskID, wantedStatus, kind := c.params["DiskId"], c.params["Status"], c.params["SnapshotType"]
	disks := s.disksIn(c, func(d disk) bool {
		return (diskID == "" || d.id() == diskID) && c.filter("InstanceId", d.r.id) && c.filter("SourceDiskType", d.kind())
	})
	rows := make([]snapshot, 0, len(disks)*snapshotRetention)
	for _, d := range disks {
		s.eachSnapshot(d, now, func(p snapshot) {
			status, _ := p.state(now)
			if (ids == nil || slices.Contains(ids, p.id())) && (wantedStatus == "all" || wanted(wantedStatus, status)) && (kind == "all" || wanted(kind, "auto")) {
				rows = append(rows, p)
			}
		})
	}
	answer := func(shown []snapshot, number, size int, next string) any {
		return object{
			"RequestId": c.requestID, "TotalCount": len(rows), "PageNumber": number, "PageSize": size, "NextToken": next,
			"Snapshots": object{"Snapshot": objects(shown, func(p snapshot) object { return p.item(now) })},
		}
	}
	if c.wantsToken() {
		shown, next, size, e := tokenPage(s, c, rows, snapshot.order, defaultPageSize, maxPageSize)
		return answer(shown, 1, size, next), e
	}
	number, size, e := c.page(pageNumber(defaultPageSize, maxPageSize))
	if e != nil {
		return nil, e
	}
	return answer(pageOf(rows, number, size), number, size, ""), nil
}

func (p snapshot) item(now time.Time) object {
	status, progress := p.state(now)
	return object{
		"SnapshotId": p.id(), "SnapshotName": "auto2.0_" + p.start.Format("20060102") + "_" + strings.TrimPrefix(p.disk.id(), "d-"),
		"SourceDiskId": p.disk.id(), "SourceDiskType": p.kind(), "SourceDiskSize": fmt.Sprint(40 * (1 + p.number*5)), "RegionId": p.r.region,
		"CreationTime": p.start.Format(secondLayout), "LastModifiedTime": p.start.Format(secondLayout), "Status": status, "Progress": progress,
		"Available": status == "accomplished", "RetentionDays": snapshotRetention, "SnapshotType": "auto", "Usage": "none",
		"Category": "standard", "Encrypted": false, "InstantAccess": false, "Description": "", "ResourceGroupId": "",
		"Tags": object{"Tag": []object{}},
	}
}
