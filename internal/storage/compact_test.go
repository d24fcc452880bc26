package storage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

const day = 24 * 60 * minute

// aging is a store with a short retention and a clock that goes on.
type aging struct {
	*Store
	t   testing.TB
	dir string
	now int64
}

func newAging(t testing.TB) *aging {
	a := &aging{t: t, dir: t.TempDir(), now: clock}
	a.open()
	return a
}

func (a *aging) open() {
	a.t.Helper()
	cfg := testConfig(a.dir)
	cfg.Retention = model.Duration(24 * time.Hour)
	cfg.OutOfOrderWindow = model.Duration(time.Hour)
	s, err := Open(cfg, discard, newSet(), func() time.Time { return time.UnixMilli(a.now) })
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = s.Close() })
	a.Store = s
}

func (a *aging) restart() {
	a.t.Helper()
	if err := a.Close(); err != nil {
		a.t.Fatal(err)
	}
	a.open()
}

// pass lets days pass in which src delivers what it does; the samples of before are
// deleted as retention does it.
func (a *aging) pass(days int, src sample.Source, instances ...string) {
	a.t.Helper()
	for range 2 * days {
		a.now += day / 2
		b := sample.Batch{Source: src, Watermark: sample.Current}
		for _, i := range instances {
			b.Samples = append(b.Samples, at(i, a.now, 1))
		}
		mustAppend(a.t, a.Store, b)
		if err := a.DB().Compact(context.Background()); err != nil {
			a.t.Fatal(err)
		}
	}
}

// journaled writes the records down, a line each.
func journaled(t testing.TB, s *Store) []string {
	var out []string
	for _, r := range records(t, s) {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Kind, r.Source, r.Labels.Get("instance"))))
	}
	return out
}

var (
	first = sample.Source{Customer: "acme", Name: "first"}
	lost  = sample.Source{Customer: "acme", Name: "lost"}
	lives = sample.Source{Customer: "acme", Name: "lives"}
)

func late(instance string, t, arrive int64) journal.Record {
	return journal.Record{Kind: journal.KindLate, Customer: "acme", Source: lives.Name, Labels: cpu(instance), T: t, Arrive: arrive, Reason: "r settled through 1"}
}

func (a *aging) end(src sample.Source, instance string) {
	a.t.Helper()
	res := mustAppend(a.t, a.Store, sample.Batch{Source: src, Ends: []sample.End{{Labels: cpu(instance), T: a.now, Reason: "deleted"}}})
	if len(res.Accepted.Ends) != 1 {
		a.t.Fatalf("end of %s: %v", instance, res.Refused)
	}
}

func (a *aging) journalAll(rs ...journal.Record) {
	a.t.Helper()
	if err := a.Journal().Append(rs...); err != nil {
		a.t.Fatal(err)
	}
}

// A start drops what nobody needs any more, and nothing else: not who delivers a
// series that lives on, however old the record.
func TestAStartDropsWhatHasExpired(t *testing.T) {
	a := newAging(t)
	mustAppend(t, a.Store, sample.Batch{Source: first, Samples: []sample.Sample{at("gone-first", a.now, 1)}})
	a.now++
	mustAppend(t, a.Store, sample.Batch{Source: lost, Samples: []sample.Sample{at("gone", a.now, 1)}, Ups: []sample.Up{{T: a.now, OK: true}}})
	mustAppend(t, a.Store, sample.Batch{Source: lives, Samples: []sample.Sample{at("stays", a.now, 1), at("gone-too", a.now, 1)}})
	a.end(lives, "gone-too")
	a.end(lives, "stays")
	a.journalAll(late("stays", a.now, a.now), journal.Record{Kind: journal.KindForced, Customer: "acme", Source: lost.Name, T: a.now, Arrive: a.now})
	all := journaled(t, a.Store)
	a.restart()
	diff(t, "nothing has expired", all, journaled(t, a.Store))

	a.pass(4, lives, "stays")
	a.end(lives, "stays")
	a.journalAll(late("stays", a.now-minute, a.now))
	a.restart()
	want := []string{
		"contact first", "fillin_end first",
		"contact lives", "fillin_end lives", "series lives stays",
		"end lives stays", "late lives stays",
	}
	diff(t, "after four days", want, journaled(t, a.Store))
	if src, ok := a.SourceOf(cpu("stays")); !ok || src != lives {
		t.Errorf("SourceOf = %v, %v", src, ok)
	}
	if _, ok := a.SourceOf(cpu("gone")); ok {
		t.Error("a series that is gone is remembered")
	}

	// What comes back is known anew, its source too.
	res := mustAppend(t, a.Store, sample.Batch{Source: lost, Samples: []sample.Sample{at("gone", a.now, 1)}})
	diff(t, "taken", 1, len(res.Accepted.Samples))
	diff(t, "comes back", append(want, "contact lost", "fillin_end lost", "series lost gone"), journaled(t, a.Store))
	a.restart()
	diff(t, "and stays", append(want, "contact lost", "fillin_end lost", "series lost gone"), journaled(t, a.Store))
}

// A source that tells of nothing but that it looked is known as long as that is stored.
func TestASourceWithoutSeriesIsKept(t *testing.T) {
	a := newAging(t)
	mustAppend(t, a.Store, sample.Batch{Source: first, Samples: []sample.Sample{at("x", a.now, 1)}})
	a.now++
	looks := sample.Source{Customer: "acme", Name: "looks"}
	mustAppend(t, a.Store, sample.Batch{Source: looks, Ups: []sample.Up{{T: a.now}}})
	mustAppend(t, a.Store, sample.Batch{Source: lost, Ups: []sample.Up{{T: a.now}}})
	for range 4 {
		a.pass(1, looks)
		mustAppend(t, a.Store, sample.Batch{Source: looks, Ups: []sample.Up{{T: a.now}}})
	}
	a.restart()
	diff(t, "journal", []string{"contact first", "fillin_end first", "contact looks", "fillin_end looks"}, journaled(t, a.Store))
}

// What expires goes while the store runs, too: who delivered what the store holds no
// sample of any more, ends, late samples, and what a later settling by force superseded.
func TestWhatExpiresWhileTheStoreRuns(t *testing.T) {
	a := newAging(t)
	mustAppend(t, a.Store, sample.Batch{Source: lives, Samples: []sample.Sample{at("stays", a.now, 1), at("gone", a.now, 1)}})
	mustAppend(t, a.Store, sample.Batch{Source: lost, Samples: []sample.Sample{at("gone-too", a.now+1, 1)}, Ups: []sample.Up{{T: a.now, OK: true}}})
	a.end(lives, "gone")
	a.journalAll(late("stays", a.now, a.now))
	for i := range int64(20) {
		a.journalAll(journal.Record{Kind: journal.KindForced, Customer: "acme", Source: lives.Name, T: a.now + i, Arrive: a.now + i})
	}
	a.pass(4, lives, "stays")
	a.end(lives, "stays")
	if err := a.compactRunning(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"contact lives", "fillin_end lives", "series lives stays", "forced lives", "end lives stays"}
	diff(t, "journal", want, journaled(t, a.Store))
	for _, r := range records(t, a.Store) {
		if r.Kind == journal.KindForced && r.T != clock+19 {
			t.Errorf("kept the settling of %d", r.T-clock)
		}
	}
	diff(t, "series known", 2, a.index.len()) // the one that stays, and the watermark of its source
	if _, known := a.sources.lookup(lost); known {
		t.Error("a source that is gone is remembered")
	}

	// What comes back is journaled anew.
	mustAppend(t, a.Store, sample.Batch{Source: lives, Samples: []sample.Sample{at("gone", a.now, 1)}})
	mustAppend(t, a.Store, sample.Batch{Source: lost, Samples: []sample.Sample{at("gone-too", a.now, 1)}})
	want = append(want, "series lives gone", "contact lost", "fillin_end lost", "series lost gone-too")
	diff(t, "comes back", want, journaled(t, a.Store))
	a.restart()
	diff(t, "and stays", want, journaled(t, a.Store))
	if src, ok := a.SourceOf(cpu("gone-too")); !ok || src != lost {
		t.Errorf("SourceOf = %v, %v", src, ok)
	}
}

// Pods come and go for ever: neither the journal nor what the store remembers grows
// with those that are gone.
func TestChurnDoesNotGrowTheJournal(t *testing.T) {
	const perDay = 100
	a := newAging(t)
	var size int64
	var known int
	for d := range 20 {
		pods := make([]string, perDay)
		for i := range pods {
			pods[i] = fmt.Sprintf("pod-%d-%d", d, i)
		}
		a.pass(1, sample.Source{Customer: "acme", Name: fmt.Sprint("node-", d)}, pods...)
		if err := a.compactRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d == 5 {
			size, known = a.Journal().Size(), a.index.len()
		}
	}
	if now := a.Journal().Size(); now > size*5/4 {
		t.Errorf("the journal has %d bytes after 6 days and %d after 20", size, now)
	}
	if now := a.index.len(); now > known*5/4 {
		t.Errorf("%d series are known after 6 days and %d after 20", known, now)
	}
}

// A series and its source that are gone come back at any moment of a compaction, and
// the process dies at any moment after it: who delivers it is known.
func TestASeriesComesBackDuringACompaction(t *testing.T) {
	for back := 0; ; back++ {
		a := newAging(t)
		mustAppend(t, a.Store, sample.Batch{Source: lives, Samples: []sample.Sample{at("stays", a.now, 1)}})
		mustAppend(t, a.Store, sample.Batch{Source: lost, Samples: []sample.Sample{at("gone", a.now+1, 1)}, Ups: []sample.Up{{T: a.now, OK: true}}})
		a.pass(3, lives, "stays")
		moment, came := 0, false
		check := func() {
			t.Helper()
			if !came {
				return
			}
			file, err := os.ReadFile(filepath.Join(a.dir, journalFile))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, journalFile), file, 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := journal.OpenReadOnly(filepath.Join(dir, journalFile))
			if err != nil {
				t.Fatal(err)
			}
			var contact, delivers bool
			if err := j.Each(func(r journal.Record) error {
				contact = contact || r.Kind == journal.KindContact && r.Source == lost.Name
				delivers = delivers || r.Kind == journal.KindSeries && r.Source == lost.Name
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !contact || !delivers {
				t.Errorf("back at moment %d, dead at %d: contact known %v, series known %v", back, moment, contact, delivers)
			}
		}
		at := func() {
			if moment == back {
				mustAppend(t, a.Store, sample.Batch{Source: lost, Samples: []sample.Sample{at("gone", a.now, 2)}})
				came = true
			}
			check()
			moment++
		}
		// The same as compactRunning, a moment at a time.
		d := a.newDispensable()
		at()
		if err := a.Journal().Each(func(r journal.Record) error { d.see(r); at(); return nil }); err != nil {
			t.Fatal(err)
		}
		if err := d.search(t.Context()); err != nil {
			t.Fatal(err)
		}
		at()
		d.forget()
		at()
		d.hash()
		if err := a.Journal().Compact(t.Context(), func(r journal.Record) bool { at(); return !d.has(r) }); err != nil {
			t.Fatal(err)
		}
		at()
		if back >= moment {
			if back < 14 {
				t.Errorf("only %d moments", back)
			}
			return
		}
		if src, ok := a.SourceOf(cpu("gone")); !ok || src != lost {
			t.Errorf("back at moment %d: SourceOf = %v, %v", back, src, ok)
		}
		a.restart()
		if src, ok := a.SourceOf(cpu("gone")); !ok || src != lost {
			t.Errorf("back at moment %d, after a restart: SourceOf = %v, %v", back, src, ok)
		}
	}
}

// Batches of new series come all the while that the journal is compacted.
func TestBatchesWhileGoneSeriesAreForgotten(t *testing.T) {
	a := newAging(t)
	pods := make([]string, 300)
	for i := range pods {
		pods[i] = fmt.Sprint("pod-", i)
	}
	a.pass(1, lost, pods...)
	a.pass(3, lives, "stays")
	a.now++
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, p := range pods {
			if res, err := a.Append(context.Background(), sample.Batch{Source: lost, Samples: []sample.Sample{at(p, a.now, 1)}}); err != nil || len(res.Accepted.Samples) != 1 {
				t.Errorf("%s: %v %v", p, res.Refused, err)
			}
		}
	}()
	for compacting := true; compacting; {
		if err := a.compactRunning(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
			compacting = false
		default:
		}
	}
	a.restart()
	for _, p := range pods {
		if src, ok := a.SourceOf(cpu(p)); !ok || src != lost {
			t.Errorf("SourceOf %s = %v, %v", p, src, ok)
		}
	}
}

// An empty head takes a sample of any time, so nothing counts as expired.
func TestNothingExpiresBeforeTheFirstSample(t *testing.T) {
	a := newAging(t)
	a.journalAll(late("x", base-900*day, base-900*day))
	a.restart()
	diff(t, "journal", []string{"late lives x"}, journaled(t, a.Store))
}

// The journal is written anew once it has doubled, and not before.
func TestTheJournalIsCompactedWhenItHasDoubled(t *testing.T) {
	a := newAging(t)
	mustAppend(t, a.Store, samples(at("a", a.now, 1)))
	forced := func(n int) {
		t.Helper()
		rs := make([]journal.Record, n)
		for i := range rs {
			rs[i] = journal.Record{Kind: journal.KindForced, Customer: "acme", Source: lives.Name, T: int64(i), Arrive: a.now, Reason: strings.Repeat("x", 1000)}
		}
		a.journalAll(rs...)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		sizeAfter := func(n int) int64 {
			t.Helper()
			forced(n)
			time.Sleep(compactEvery + time.Second)
			synctest.Wait()
			return a.Journal().Size()
		}
		if n := sizeAfter(8_000); n < 8_000_000 {
			t.Errorf("%d bytes: compacted before its time", n)
		}
		if n := sizeAfter(10_000); n > 10_000 {
			t.Errorf("%d bytes: not compacted", n)
		}
		if n := sizeAfter(8_000); n < 8_000_000 {
			t.Errorf("%d bytes: compacted before it has grown again", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A journal that cannot be written anew for want of space stays as it is, and what
// the write-ahead log needs is left alone.
func TestCompactionLeavesTheReserveAlone(t *testing.T) {
	a := newAging(t)
	for i := range int64(20) {
		a.journalAll(journal.Record{Kind: journal.KindForced, Customer: "acme", Source: lives.Name, T: i, Arrive: a.now})
	}
	a.space.min, a.space.free = 1000, func() (int64, error) { return 1000 + a.Journal().Size() - 1, nil }
	if err := a.compactRunning(t.Context()); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error %v", err)
	}
	a.space.free = func() (int64, error) { return 1000 + a.Journal().Size(), nil }
	if err := a.compactRunning(t.Context()); err != nil {
		t.Fatal(err)
	}
	diff(t, "journal", []string{"forced lives"}, journaled(t, a.Store))
}

// What could not be written anew is tried again after an hour, though it has hardly
// grown since.
func TestAFailedCompactionIsTriedAgain(t *testing.T) {
	a := newAging(t)
	rs := make([]journal.Record, 18_000)
	for i := range rs {
		rs[i] = journal.Record{Kind: journal.KindForced, Customer: "acme", Source: lives.Name, T: int64(i), Arrive: a.now, Reason: strings.Repeat("x", 1000)}
	}
	a.journalAll(rs...)
	var room atomic.Int64
	a.space.min, a.space.free = 1000, func() (int64, error) { return room.Load(), nil }
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		sizeAfter := func(d time.Duration) int64 {
			time.Sleep(d)
			synctest.Wait()
			return a.Journal().Size()
		}
		if n := sizeAfter(compactEvery + time.Second); n < 18_000_000 {
			t.Errorf("%d bytes: compacted without room", n)
		}
		room.Store(1 << 40)
		if n := sizeAfter(compactAgain - 2*compactEvery); n < 18_000_000 {
			t.Errorf("%d bytes: tried again at once", n)
		}
		if n := sizeAfter(3 * compactEvery); n > 10_000 {
			t.Errorf("%d bytes: not tried again", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestReadingAloneCompactsNothing(t *testing.T) {
	a := newAging(t)
	mustAppend(t, a.Store, samples(at("a", a.now, 1)))
	for i := range int64(20) {
		a.journalAll(journal.Record{Kind: journal.KindForced, Customer: "acme", Source: lives.Name, T: i, Arrive: a.now})
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(a.dir, journalFile))
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenReadOnly(a.dir, discard)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "records", 23, len(records(t, s)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(a.dir, journalFile))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "the file", string(before), string(after))
}

// A customer may tell only so many ends a day: the others are refused by name and
// counted, samples and other customers are taken, and a restart forgets nothing.
func TestEndsOfACustomerAreLimited(t *testing.T) {
	dir := t.TempDir()
	now := clock
	openLimited := func() *Store {
		cfg := testConfig(dir)
		cfg.MaxEndsPerDay = 3
		s, err := Open(cfg, discard, newSet(), func() time.Time { return time.UnixMilli(now) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := openLimited()
	ends := func(instances ...string) sample.Batch {
		b := samples(at("sample-"+fmt.Sprint(now), now, 1))
		for _, i := range instances {
			b.Ends = append(b.Ends, sample.End{Labels: cpu(i), T: now, Reason: "deleted"})
		}
		return b
	}
	mustAppend(t, s, samples(at("a", now, 1), at("b", now, 1), at("c", now, 1), at("d", now, 1)))
	now++
	res := mustAppend(t, s, ends("a", "b"))
	diff(t, "two", 2, len(res.Accepted.Ends))
	mustAppend(t, s, ends("a", "b")) // told again: they are no new records
	now++
	res = mustAppend(t, s, ends("c", "d", "a"))
	diff(t, "the third", []sample.End{{Labels: cpu("c"), T: now, Reason: "deleted"}}, res.Accepted.Ends)
	diff(t, "reasons", []Reason{ReasonEnds, ReasonEnds}, reasons(res))
	diff(t, "named", cpu("d"), res.Refused[0].Labels)
	diff(t, "samples are taken", 1, len(res.Accepted.Samples))
	diff(t, "counted", 2, res.RefusedEnds)
	diff(t, "by customer", map[string]int{"acme": 2}, s.RefusedEnds())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openLimited()
	now++
	diff(t, "after a restart", []Reason{ReasonEnds}, reasons(mustAppend(t, s, ends("d"))))
	other := sample.Source{Customer: "globex", Name: "x"}
	l := labels.FromStrings("__name__", "cpu_percent", "customer", "globex")
	res = mustAppend(t, s, sample.Batch{Source: other, Samples: []sample.Sample{{Labels: l, T: now, V: 1}}, Ends: []sample.End{{Labels: l, T: now}}})
	diff(t, "another customer", 1, len(res.Accepted.Ends))
	now += day
	diff(t, "the day after", 3, len(mustAppend(t, s, ends("b", "c", "d", "a")).Accepted.Ends))
}
