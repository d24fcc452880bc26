package apache

import (
	"time"

	"github.com/prometheus/procfs"

	"watchkeeper/exporters/process"
)

// parentNames are what the parent process is called.
var parentNames = []string{"apache2", "httpd"}

// usage is how much CPU time a server had used at a time.
type usage struct {
	at      time.Time
	seconds float64
	uptime  float64 // by mod_status
	start   uint64  // when the parent process started, in ticks since boot; 0 when unknown
}

// percentSince returns the use between two readings, of all cores. There is none
// when the server restarted between them, or when the seconds went back, as
// mod_status's do when a process ends.
func (u usage) percentSince(last usage, cores int) (float64, bool) {
	elapsed, grown := u.at.Sub(last.at).Seconds(), u.seconds-last.seconds
	if u.start != last.start || u.uptime < last.uptime || elapsed <= 0 || grown < 0 || cores <= 0 {
		return 0, false
	}
	return 100 * grown / (elapsed * float64(cores)), true
}

// readProcesses sums the CPU time of the parent and of the processes below it
// that bear its name. What processes used that ended since is part of their
// parent's figures, so the sum never shrinks while the parent lives.
func readProcesses(pidFile string) (usage, error) {
	parent, err := process.FromPIDFile(pidFile, parentNames...)
	if err != nil {
		return usage{}, err
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return usage{}, err
	}
	stats := make(map[int]procfs.ProcStat)
	for _, p := range all {
		if s, err := p.Stat(); err == nil { // else it ended meanwhile
			stats[p.PID] = s
		}
	}
	root := int(parent.Pid)
	u := usage{start: stats[root].Starttime}
	for pid, s := range stats {
		if s.Comm == stats[root].Comm && below(stats, pid, root) {
			const ticksPerSecond = 100 // USER_HZ, the same on every Linux of today
			u.seconds += float64(s.UTime+s.STime)/ticksPerSecond + float64(s.CUTime+s.CSTime)/ticksPerSecond
		}
	}
	return u, nil
}

// below reports whether pid is root or descends from it.
func below(stats map[int]procfs.ProcStat, pid, root int) bool {
	for range len(stats) {
		if pid == root {
			return true
		}
		s, ok := stats[pid]
		if !ok {
			return false
		}
		pid = s.PPID
	}
	return false
}
