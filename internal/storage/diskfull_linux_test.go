package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// A disk that really fills up: what was acknowledged before is there after a
// restart with more space, what was not is an error. Only root can make so
// small a disk; others see the same from a limit on the size of files, which
// fails the write in the same place.
func TestAcknowledgedSamplesSurviveAFullDisk(t *testing.T) {
	dir := t.TempDir()
	limit, lift := fullDisk(t, dir)
	s := openAt(t, dir, clock)
	limit()
	acked := map[string]map[int64]bool{}
	var failed error
	for k := 0; failed == nil && k < 1_000_000; k++ {
		b := sample.Batch{Source: acme}
		for i := range 50 {
			// New series all the time, some out of order: every kind of record.
			ts := base - int64((k*37+i)%1200)*minute
			b.Samples = append(b.Samples, at(fmt.Sprintf("%s-%d-%d", strings.Repeat("x", 200), k/3, i), ts, float64(k)))
		}
		var res Result
		if res, failed = s.Append(context.Background(), b); failed != nil {
			break
		}
		for _, x := range res.Accepted.Samples {
			inst := x.Labels.Get("instance")
			if acked[inst] == nil {
				acked[inst] = map[int64]bool{}
			}
			acked[inst][x.T] = true
		}
	}
	if !errors.Is(failed, ErrFailed) {
		t.Fatalf("error %v", failed)
	}
	_ = s.Close() // on a full disk it may fail as well
	lift()
	s = openAt(t, dir, clock)
	for inst, times := range acked {
		got := dump(t, s, cpu(inst))
		for ts := range times {
			if _, ok := got[ts]; !ok {
				t.Fatalf("acknowledged sample of %s at %d is lost", inst, ts)
			}
		}
	}
	mustAppend(t, s, samples(at("after", base, 1)))
}

// fullDisk returns how to make the disk under dir nearly full, and how to undo it.
func fullDisk(t *testing.T, dir string) (limit, lift func()) {
	if os.Getuid() == 0 && syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m") == nil {
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
		resize := func(size string) func() {
			return func() {
				if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size="+size); err != nil {
					t.Fatal(err)
				}
			}
		}
		return resize("2m"), resize("256m")
	}
	return func() { setFileLimit(t, 1<<20) }, func() { setFileLimit(t, 1<<40) }
}

func setFileLimit(t *testing.T, bytes uint64) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &lim); err != nil {
		t.Fatal(err)
	}
	lim.Cur = min(bytes, lim.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &lim); err != nil {
		t.Fatal(err)
	}
}

// A journal that is written anew on a disk that fills up meanwhile stays as it was:
// nothing of it is lost, and what half was written is gone.
func TestAFullDiskLeavesTheJournalAsItIs(t *testing.T) {
	dir := t.TempDir()
	limit, lift := fullDisk(t, dir)
	s := openAt(t, dir, clock)
	mustAppend(t, s, samples(at("a", base, 1)))
	rs := make([]journal.Record, 1500)
	for i := range rs {
		rs[i] = journal.Record{Kind: journal.KindForced, Customer: "acme", Source: fmt.Sprint(i % 1000), T: int64(i), Arrive: clock, Reason: strings.Repeat("x", 1000)}
	}
	if err := s.Journal().Append(rs...); err != nil { // more than half of the disk
		t.Fatal(err)
	}
	before := len(records(t, s))
	limit()
	err := s.compactRunning(t.Context())
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EFBIG) {
		t.Fatalf("error %v", err)
	}
	diff(t, "records", before, len(records(t, s)))
	if left, err := filepath.Glob(filepath.Join(dir, journalFile+"?*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	lift()
	mustAppend(t, s, samples(at("b", base, 1)))
	if err := s.compactRunning(t.Context()); err != nil {
		t.Fatal(err)
	}
	diff(t, "records", before-500+1, len(records(t, s)))
}
