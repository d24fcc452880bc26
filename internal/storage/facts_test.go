package storage

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

func records(t testing.TB, s *Store) []journal.Record {
	t.Helper()
	var rs []journal.Record
	if err := s.Journal().Each(func(r journal.Record) error { rs = append(rs, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return rs
}

func TestFactsOfASourceAreStored(t *testing.T) {
	s := open(t)
	res := mustAppend(t, s, sample.Batch{
		Samples:   []sample.Sample{at("a", base, 1)},
		Ups:       []sample.Up{{T: base, OK: true}, {T: base + minute, OK: false}, {T: base, OK: true}},
		Watermark: sample.Current,
	})
	diff(t, "accepted", sample.Batch{
		Source:    acme,
		Samples:   []sample.Sample{at("a", base, 1)},
		Ups:       []sample.Up{{T: base, OK: true}, {T: base + minute, OK: false}},
		Watermark: sample.Current,
	}, res.Accepted)
	diff(t, "up", values(float64(base), 1, float64(base+minute), 0), dump(t, s, factLabels(sample.UpMetric, acme)))
	diff(t, "watermark", values(float64(clock), math.Inf(1)), dump(t, s, factLabels(sample.WatermarkMetric, acme)))

	mustAppend(t, s, sample.Batch{Watermark: sample.Current}) // nothing new
	mustAppend(t, s, sample.Batch{Watermark: base})
	diff(t, "watermark", values(float64(clock), math.Inf(1), float64(clock+1), float64(base)/1000), dump(t, s, factLabels(sample.WatermarkMetric, acme)))

	src, ok := s.SourceOf(cpu("a"))
	if !ok || src != acme {
		t.Errorf("SourceOf = %v, %v", src, ok)
	}
	diff(t, "SeriesOf", []labels.Labels{cpu("a")}, s.SeriesOf(acme))
	if other := s.SeriesOf(sample.Source{Customer: "acme", Name: "host/web-2"}); other != nil {
		t.Errorf("SeriesOf an unknown source = %v", other)
	}
	diff(t, "journal", []journal.Record{
		{Kind: journal.KindContact, Customer: "acme", Source: "host/web-1", Arrive: clock},
		{Kind: journal.KindFillInEnd, Customer: "acme", Source: "host/web-1", Arrive: clock},
		{Kind: journal.KindSeries, Customer: "acme", Source: "host/web-1", Labels: cpu("a"), T: base, Arrive: clock},
	}, records(t, s))
}

func TestEndLeavesAStaleMarkerAndNeverShadowsASample(t *testing.T) {
	s := open(t)
	mustAppend(t, s, samples(at("a", base, 1), at("b", base, 1), at("b", base+1, 2)))
	ends := []sample.End{{Labels: cpu("a"), T: base, Reason: "deleted"}, {Labels: cpu("b"), T: base, Reason: "deleted"}}
	res := mustAppend(t, s, sample.Batch{Ends: ends})
	diff(t, "accepted", ends, res.Accepted.Ends)
	stale := math.Float64frombits(value.StaleNaN)
	diff(t, "a", values(float64(base), 1, float64(base+1), stale), dump(t, s, cpu("a")))
	diff(t, "b", values(float64(base), 1, float64(base+1), 2), dump(t, s, cpu("b")))

	res = mustAppend(t, s, sample.Batch{Ends: ends}) // told again
	if len(res.Accepted.Ends) != 0 {
		t.Errorf("ends accepted twice: %v", res.Accepted.Ends)
	}
	other := sample.Source{Customer: "acme", Name: "host/other"}
	res = mustAppend(t, s, sample.Batch{Source: other, Ends: []sample.End{{Labels: cpu("a"), T: base + minute}}})
	diff(t, "another's series", []Reason{ReasonForeign}, reasons(res))
	mustAppend(t, s, samples(at("a", base+minute, 3))) // a series may come back
}

func TestFillInEndsWithTheFirstBatchWithoutIt(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, clock)
	b := samples(at("a", base, 1))
	b.FillIn = true
	if res := mustAppend(t, s, b); !res.Accepted.FillIn {
		t.Error("fill-in lost")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, clock) // a restart does not end it
	mustAppend(t, s, samples(at("a", base+minute, 1)))
	mustAppend(t, s, samples(at("a", base+2*minute, 1)))
	var kinds []journal.Kind
	for _, r := range records(t, s) {
		kinds = append(kinds, r.Kind)
	}
	diff(t, "journal", []journal.Kind{journal.KindContact, journal.KindSeries, journal.KindFillInEnd}, kinds)
}

func TestRestartKnowsWhatWasStored(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, clock)
	mustAppend(t, s, samples(at("a", base, 1), at("a", base+2*minute, 2), at("old", base-300*minute, 1)))
	mustAppend(t, s, samples(at("a", base+minute, 5))) // out of order
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, clock)
	if src, ok := s.SourceOf(cpu("a")); !ok || src != acme {
		t.Errorf("SourceOf = %v, %v", src, ok)
	}
	res := mustAppend(t, s, samples(
		at("a", base, 1), at("a", base+minute, 6), at("a", base+minute, 5), at("a", base+2*minute, 3), at("a", base+3*minute, 4),
		at("old", base-300*minute, 2), at("old", base-299*minute, 2),
	))
	diff(t, "accepted", []sample.Sample{at("old", base-299*minute, 2), at("a", base+3*minute, 4)}, res.Accepted.Samples)
	diff(t, "reasons", []Reason{ReasonConflict, ReasonConflict, ReasonConflict}, reasons(res))
	diff(t, "duplicates", 2, res.Duplicates)
	if n := len(records(t, s)); n != 4 {
		t.Errorf("%d journal records, want contact, fill-in end and two series", n)
	}
}

func TestTooOldIsRefusedByName(t *testing.T) {
	s := open(t)
	mustAppend(t, s, samples(at("a", base, 1)))
	day := int64(24 * 60 * minute)
	res := mustAppend(t, s, samples(at("b", base-day, 1), at("b", base-day-1, 1), at("a", base-day-minute, 1)))
	diff(t, "accepted", []sample.Sample{at("b", base-day, 1)}, res.Accepted.Samples)
	diff(t, "reasons", []Reason{ReasonTooOld, ReasonTooOld}, reasons(res))
}

func TestSourceMustBeNamed(t *testing.T) {
	s := open(t)
	for _, src := range []sample.Source{{}, {Customer: "acme"}, {Name: "x"}, {Customer: "a\xff", Name: "x"}} {
		if _, err := s.Append(context.Background(), sample.Batch{Source: src}); err == nil {
			t.Errorf("%q was taken", src)
		}
	}
}

func TestSeriesLimit(t *testing.T) {
	s := open(t)
	s.cfg.MaxSeries = 2
	res := mustAppend(t, s, samples(at("a", base, 1), at("b", base, 1), at("c", base, 1)))
	diff(t, "reasons", []Reason{ReasonSeries}, reasons(res))
	diff(t, "names the sample", cpu("c"), res.Refused[0].Labels)
}

func TestClockSetBackAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, clock)
	mustAppend(t, s, sample.Batch{Watermark: base})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, clock-2*minute) // goes on behind the last one
	if res := mustAppend(t, s, sample.Batch{Watermark: base + 1}); res.Accepted.Watermark != base+1 {
		t.Errorf("result %+v", res)
	}
	diff(t, "watermark", values(float64(clock), float64(base)/1000, float64(clock+1), float64(base+1)/1000), dump(t, s, factLabels(sample.WatermarkMetric, acme)))
}

// An end mark that reached the journal with a batch that was not taken is new when the
// batch comes again: whoever judges has not seen it.
func TestAnEndIsToldAgainAfterAFailedBatch(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, clock)
	month := base - 30*24*60*minute
	im, err := s.NewImporter()
	if err != nil {
		t.Fatal(err)
	}
	if err := im.Append(sample.Batch{Source: acme, Samples: []sample.Sample{at("a", month, 1), at("a", month+minute, 2)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := im.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, tsdbDir, "*", "chunks", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	f, err := os.OpenFile(files[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flip := func() { // a byte of the chunk, there and back
		t.Helper()
		var b [1]byte
		if _, err := f.ReadAt(b[:], 14); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0xff
		if _, err := f.WriteAt(b[:], 14); err != nil {
			t.Fatal(err)
		}
	}
	b := sample.Batch{Source: acme, Ends: []sample.End{{Labels: cpu("a"), T: month + 1, Reason: "deleted"}}}
	flip()
	if _, err := s.Append(t.Context(), b); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Fatalf("a damaged block: %v", err)
	}
	flip()
	diff(t, "accepted", b.Ends, mustAppend(t, s, b).Accepted.Ends)
	diff(t, "once more", 0, len(mustAppend(t, s, b).Accepted.Ends))
}
