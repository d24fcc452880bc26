package aliyun

import (
	"fmt"
	"time"
)

// BackupFailure makes the backups of an RDS instance, or the snapshots of an ECS
// instance's disks, that begin in [From, To) fail. With Missing they never begin.
type BackupFailure struct {
	Instance string
	From, To time.Time
	Missing  bool
}

func (f BackupFailure) add(s *Server) error {
	r := s.estate.byID[f.Instance]
	if r == nil || r.product.namespace != nsECS && !r.hasBackups() {
		return fmt.Errorf("backup failure: no instance %q with backups", f.Instance)
	}
	if !f.From.Before(f.To) {
		return fmt.Errorf("backup failure: To is not after From")
	}
	s.faults.backups = append(s.faults.backups, f)
	return nil
}

// backupFate tells whether the backup that begins at `at` is there, and fails.
func (s *Server) backupFate(instance string, at time.Time) (missing, failed bool) {
	s.faultMu.RLock()
	defer s.faultMu.RUnlock()
	for _, f := range s.faults.backups {
		if f.Instance == instance && !at.Before(f.From) && at.Before(f.To) {
			missing, failed = missing || f.Missing, true
		}
	}
	return missing, failed
}

// hasBackups: a read-only RDS instance has none.
func (r *resource) hasBackups() bool {
	return r.product.namespace == nsRDS && r.variant != rdsReadOnly
}

// Every day's backup begins between 18:00 and 22:00 UTC, at the same time for an
// instance, and takes some minutes.
const (
	backupWindow    = 4 * time.Hour
	backupRetention = 30 * day
)

func backupStart(key uint64, midnight time.Time) time.Time {
	return midnight.Add(18*time.Hour + time.Duration(mix(key, 95)%uint64(backupWindow/time.Second))*time.Second)
}

func backupDuration(key uint64) time.Duration {
	return 5*time.Minute + time.Duration(mix(key, 96)%1200)*time.Second
}

// backup is one backup of RDS.
type backup struct {
	r          *resource
	start, end time.Time
	failed     bool
}

// backupsOf are the finished backups of an instance, the newest first.
func (s *Server) backupsOf(r *resource) []backup {
	var out []backup
	now := s.now()
	if !r.hasBackups() {
		return nil
	}
	for midnight := now.UTC().Truncate(day); now.Sub(midnight) < backupRetention; midnight = midnight.Add(-day) {
		start := backupStart(r.key, midnight)
		end := start.Add(backupDuration(r.key))
		if end.After(now) {
			continue
		}
		if !s.lifeOf(r.id).exists(start) || start.Before(r.created) {
			continue
		}
		missing, failed := s.backupFate(r.id, start)
		if !missing {
			out = append(out, backup{r, start, end, failed})
		}
	}
	return out
}
