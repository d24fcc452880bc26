package storage

import (
	"context"
	"errors"
	"testing"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// kinds lists what the journal has of acme, but for series and contacts.
func kinds(t testing.TB, s *Store) (out []journal.Kind) {
	for _, r := range records(t, s) {
		if r.Kind == journal.KindEnd || r.Kind == journal.KindLate {
			out = append(out, r.Kind)
		}
	}
	return out
}

func lateOf(b sample.Batch) (out []journal.Record) {
	for _, x := range b.Samples {
		out = append(out, journal.Record{Kind: journal.KindLate, Customer: b.Source.Customer, Source: b.Source.Name, Labels: x.Labels, T: x.T, V: x.V})
	}
	return out
}

func oldBatch() sample.Batch {
	return sample.Batch{
		Source: acme, Samples: []sample.Sample{at("a", base-minute, 1), at("a", base, 2)}, Ups: []sample.Up{{T: base, OK: true}},
		Ends: []sample.End{{Labels: cpu("a"), T: base, Reason: "deleted"}}, Watermark: base,
	}
}

// The journal has what is foreseen of a batch, and its ends behind that, before the store has
// anything of it.
func TestWhatIsForeseenIsJournaledFirst(t *testing.T) {
	s := open(t)
	mustAppend(t, s, samples(at("a", base, 2)))
	var seen sample.Batch
	res, err := s.AppendOld(t.Context(), oldBatch(), func(b sample.Batch) ([]journal.Record, error) {
		seen = b
		diff(t, "stored before", values(float64(base), 2), dump(t, s, cpu("a")))
		diff(t, "journaled before", []journal.Kind(nil), kinds(t, s))
		return lateOf(b), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "accepted", seen, res.Accepted)
	diff(t, "samples", 1, len(seen.Samples)) // the other one is a duplicate
	diff(t, "ends", 1, len(seen.Ends))
	diff(t, "journaled", []journal.Kind{journal.KindLate, journal.KindEnd}, kinds(t, s))
	diff(t, "stored", 3, len(dump(t, s, cpu("a"))))
}

// Where that fails nothing is taken, and the same batch may be sent again, after a restart too.
func TestNothingIsTakenUnforeseen(t *testing.T) {
	failed := errors.New("disk full")
	for name, fail := range map[string]func(*Store) ([]journal.Record, error){
		"foresee": func(*Store) ([]journal.Record, error) { return nil, failed },
		"journal": func(s *Store) ([]journal.Record, error) {
			if err := s.journal.Close(); err != nil {
				t.Fatal(err)
			}
			return lateOf(oldBatch()), nil
		},
		"record": func(*Store) ([]journal.Record, error) {
			return []journal.Record{{Kind: journal.KindLate, Reason: string(make([]byte, 2<<20))}}, nil
		},
	} {
		dir := t.TempDir()
		s := openAt(t, dir, clock)
		mustAppend(t, s, samples(at("a", base-2*minute, 0)))
		_, err := s.AppendOld(t.Context(), oldBatch(), func(sample.Batch) ([]journal.Record, error) { return fail(s) })
		if !errors.Is(err, failed) && !errors.Is(err, ErrFailed) {
			t.Fatalf("%s: error %v", name, err)
		}
		diff(t, name+": stored", values(float64(base-2*minute), 0), dump(t, s, cpu("a")))
		if name == "journal" {
			_ = s.Close() // its file is closed
			s = openAt(t, dir, clock)
			diff(t, name+": stored after a restart", values(float64(base-2*minute), 0), dump(t, s, cpu("a")))
		}
		diff(t, name+": journaled", []journal.Kind(nil), kinds(t, s))
		diff(t, name+": end marks counted", 0, s.ends.told["acme"])
		res, err := s.AppendOld(context.Background(), oldBatch(), func(b sample.Batch) ([]journal.Record, error) { return lateOf(b), nil })
		if err != nil {
			t.Fatal(err)
		}
		diff(t, name+": accepted again", oldBatch(), unnumbered(res.Accepted))
		diff(t, name+": watermark stored", 1, len(dump(t, s, factLabels(sample.WatermarkMetric, acme))))
	}
}

// unnumbered is a batch without the store's numbers.
func unnumbered(b sample.Batch) sample.Batch {
	for i := range b.Samples {
		b.Samples[i].Ref = 0
	}
	return b
}

// What the journal says of a batch that never came does not stand in its way.
func TestForeseenButNotStored(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, clock)
	mustAppend(t, s, samples(at("a", base-2*minute, 0)))
	died := errors.New("the process dies here")
	_, err := s.AppendOld(t.Context(), oldBatch(), func(b sample.Batch) ([]journal.Record, error) {
		if err := s.journal.Append(lateOf(b)...); err != nil {
			t.Fatal(err)
		}
		return nil, died
	})
	if !errors.Is(err, died) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, clock)
	diff(t, "stored", values(float64(base-2*minute), 0), dump(t, s, cpu("a")))
	diff(t, "accepted", 2, len(mustAppend(t, s, oldBatch()).Accepted.Samples))
}
