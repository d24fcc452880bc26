package aliyun

import (
	"strconv"
	"time"
)

// describeRDSBackups prints its paging numbers as texts.
func (s *Server) describeRDSBackups(c *call) (any, *apiError) {
	r, e := s.instance(c, nsRDS, "DBInstanceId", rdsNoInstance)
	if e != nil {
		return nil, e
	}
	from, to, e := s.minuteRange(c, backupRetention)
	if e != nil {
		return nil, e
	}
	rows, size := []backup{}, int64(0)
	for _, b := range s.backupsOf(r) {
		if c.empty || b.start.Before(from) || b.start.After(to) ||
			!c.filter("BackupStatus", b.status()) || !c.filter("BackupMode", "Automated") || !c.filter("BackupId", b.id()) {
			continue
		}
		rows = append(rows, b)
		size += b.bytes()
	}
	number, perPage, e := c.page(databasePaging)
	if e != nil {
		return nil, e
	}
	shown := objects(pageOf(rows, number, perPage), backup.item)
	return object{
		"RequestId": c.requestID, "PageNumber": strconv.Itoa(number), "PageRecordCount": strconv.Itoa(len(shown)),
		"TotalRecordCount": strconv.Itoa(len(rows)), "TotalBackupSize": size, "TotalEcsSnapshotSize": 0,
		"Items": object{"Backup": shown},
	}, nil
}

// minuteRange reads StartTime and EndTime of the form 2006-01-02T15:04Z. Both are
// included; absent ones mean the time up to now, as far back as fallback.
func (s *Server) minuteRange(c *call, fallback time.Duration) (from, to time.Time, e *apiError) {
	to = s.now().UTC()
	var err error
	if text := c.params["EndTime"]; text != "" {
		if to, err = time.Parse(minuteLayout, text); err != nil {
			return from, to, invalidParameter("EndTime")
		}
	}
	from = to.Add(-fallback)
	if text := c.params["StartTime"]; text != "" {
		if from, err = time.Parse(minuteLayout, text); err != nil {
			return from, to, invalidParameter("StartTime")
		}
	}
	if !from.Before(to) {
		return from, to, errorf(400, "InvalidEndTime.Mismatch", "The end time must be later than the start time.")
	}
	return from, to, nil
}

func (b backup) id() string { return strconv.FormatInt(b.start.Unix()%1e9, 10) }

func (b backup) status() string {
	if b.failed {
		return "Failed"
	}
	return "Success"
}

func (b backup) bytes() int64 {
	if b.failed {
		return 0
	}
	return int64(1e9 + mix(b.r.key, uint64(b.start.Unix()))%1e9)
}

func (b backup) item() object {
	engine, version := b.r.engine()
	available := 1
	if b.failed {
		available = 0
	}
	return object{
		"BackupId": b.id(), "DBInstanceId": b.r.id, "BackupStatus": b.status(), "BackupMode": "Automated", "BackupMethod": "Physical",
		"BackupType": "FullBackup", "BackupScale": "DBInstance", "BackupSize": b.bytes(), "TotalBackupSize": b.bytes(),
		"BackupStartTime": b.start.Format(secondLayout), "BackupEndTime": b.end.Format(secondLayout), "IsAvail": available,
		"MetaStatus": "OK", "StoreStatus": "Disabled", "BackupLocation": "OSS", "HostInstanceID": "1", "Engine": engine, "EngineVersion": version,
		"BackupDownloadURL": "", "BackupIntranetDownloadURL": "",
	}
}
