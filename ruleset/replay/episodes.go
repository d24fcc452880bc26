package replay

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/ruleset"
)

// Episode is one time that an alert stood: from the check that fired to the check
// that resolved or ended it.
type Episode struct {
	Rule   string        `json:"rule"` // its id
	Alert  string        `json:"alert"`
	Labels labels.Labels `json:"labels"`        // the identity
	Start  time.Time     `json:"start"`         // check that fired
	End    time.Time     `json:"end,omitzero"`  // check that closed it; absent while it stands
	How    string        `json:"how,omitempty"` // how it closed: resolved or ended
	Reason string        `json:"reason,omitempty"`
}

// Change is an alert that both sets of rules raise, but not from the same check to
// the same check.
type Change struct {
	Old Episode `json:"old"`
	New Episode `json:"new"`
}

// Difference is what two sets of rules judge differently.
type Difference struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// StoredSince is when the stored samples begin, where that is after Since:
	// before it there was nothing to judge.
	StoredSince time.Time `json:"stored_since,omitzero"`

	Unchanged int       `json:"unchanged"` // episodes that are the same
	OnlyOld   []Episode `json:"only_old"`
	OnlyNew   []Episode `json:"only_new"`
	Changed   []Change  `json:"changed"` // other start or end
}

// Empty says whether both judge alike.
func (d Difference) Empty() bool { return len(d.OnlyOld)+len(d.OnlyNew)+len(d.Changed) == 0 }

// Episodes cuts a settled log, in its order, into episodes, ordered by start, rule
// and labels. One that stood before the log began starts with its first line.
func Episodes(log []ruleset.Entry) []Episode {
	var out []Episode
	standing := map[string]int{}
	for _, e := range log {
		key := e.Rule.ID() + "\x00" + e.Identity.String()
		i, stands := standing[key]
		switch {
		case e.To.Open() && !stands:
			standing[key] = len(out)
			out = append(out, Episode{Rule: e.Rule.ID(), Alert: e.Rule.Alert, Labels: e.Identity, Start: time.UnixMilli(e.Check).UTC()})
		case !e.To.Open() && stands:
			out[i].End, out[i].How, out[i].Reason = time.UnixMilli(e.Check).UTC(), string(e.To), e.Reason
			delete(standing, key)
		}
	}
	slices.SortStableFunc(out, compareEpisodes)
	return out
}

func compareEpisodes(a, b Episode) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Rule, b.Rule), labels.Compare(a.Labels, b.Labels))
}

// Compare pairs the episodes of two logs by rule id and labels: those that overlap
// are one alert, the same when start and end are, changed otherwise; the rest stand
// in one of the logs only.
func Compare(oldLog, newLog []ruleset.Entry) Difference {
	d := Difference{OnlyOld: []Episode{}, OnlyNew: []Episode{}, Changed: []Change{}}
	left := map[string][]Episode{}
	for _, e := range Episodes(newLog) {
		left[e.key()] = append(left[e.key()], e)
	}
	for _, o := range Episodes(oldLog) {
		i := slices.IndexFunc(left[o.key()], o.overlaps)
		if i < 0 {
			d.OnlyOld = append(d.OnlyOld, o)
			continue
		}
		n := left[o.key()][i]
		left[o.key()] = slices.Delete(left[o.key()], i, i+1)
		if o.Start.Equal(n.Start) && o.End.Equal(n.End) && o.How == n.How {
			d.Unchanged++
		} else {
			d.Changed = append(d.Changed, Change{o, n})
		}
	}
	for _, es := range left {
		d.OnlyNew = append(d.OnlyNew, es...)
	}
	slices.SortStableFunc(d.OnlyNew, compareEpisodes)
	return d
}

func (e Episode) key() string { return e.Rule + "\x00" + e.Labels.String() }

func (e Episode) overlaps(o Episode) bool {
	return (e.End.IsZero() || e.End.After(o.Start)) && (o.End.IsZero() || o.End.After(e.Start))
}
