package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/override"
	"watchkeeper/slo"
)

// verdictReader hands the rules' verdicts over the stored samples to slo.
type verdictReader struct {
	store  *storage.Store
	groups []ruleset.Group
}

// NewVerdictReader reads verdicts of the groups' rules from a store.
func NewVerdictReader(store *storage.Store, groups []ruleset.Group) slo.VerdictReader {
	return verdictReader{store, groups}
}

// Verdicts implements slo.VerdictReader.
func (v verdictReader) Verdicts(ctx context.Context, rule string, from, to time.Time, m ...*labels.Matcher) ([]slo.SeriesVerdicts, error) {
	rules := override.Of(v.groups, rule)
	if len(rules) == 0 {
		return nil, fmt.Errorf("no rule %q is loaded", rule)
	}
	var out []slo.SeriesVerdicts
	judgedBy := map[string]bool{} // an overriding rule's word counts before the rule's own
	for _, r := range rules {
		// The last slot with time in (from, to] may end after to.
		last := to.Add(r.Interval - time.Millisecond)
		judged, err := ruleset.Verdicts(ctx, v.store, records{v.store.Journal()}, r, from, last, m...)
		if err != nil {
			return nil, err
		}
		for _, s := range judged {
			if id := s.Identity.String(); !judgedBy[id] {
				judgedBy[id] = true
				out = append(out, pieces(s)...)
			}
		}
	}
	return out, nil
}

// pieces cuts a series' verdicts where the series did not exist.
func pieces(s ruleset.SeriesVerdicts) []slo.SeriesVerdicts {
	var out []slo.SeriesVerdicts
	var piece *slo.SeriesVerdicts
	for i, x := range s.Verdicts {
		v, exists := verdictOf(x)
		if !exists {
			piece = nil
			continue
		}
		if piece == nil {
			first := time.UnixMilli(s.First).Add(time.Duration(i) * s.Interval).UTC()
			out = append(out, slo.SeriesVerdicts{Labels: s.Identity, Interval: s.Interval, First: first})
			piece = &out[len(out)-1]
		}
		piece.Verdicts = append(piece.Verdicts, v)
	}
	return out
}

func verdictOf(v ruleset.Verdict) (slo.Verdict, bool) {
	switch v {
	case ruleset.VerdictGood:
		return slo.Good, true
	case ruleset.VerdictBreach:
		return slo.Breach, true
	case ruleset.VerdictMissing:
		return slo.Missing, true
	case ruleset.VerdictUnobserved:
		return slo.Unobserved, true
	}
	return 0, false
}
