package incident

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// SourceSilent is the alert name of the incident that tells, once per source, that an
// alert of the source, or more of them, fires on without new samples.
const SourceSilent = "SourceSilent"

// silentRuleID is the rule id of SourceSilent.
const silentRuleID = "watchkeeper/source-silent"

// silentSource is a source within its customer.
type silentSource struct{ customer, source string }

// severities, most severe first.
var severities = []string{"disaster", "critical", "high", "average", "warning", "information"}

// tellSilentSources opens one incident per source that has alerts in no-data
// and none yet, and resolves it when the source has none any more.
func (a *applier) tellSilentSources() error {
	for src, check := range a.touched {
		delete(a.touched, src)
		silent, severity, err := a.silentAlerts(src)
		if err != nil {
			return err
		}
		t := src.transition(severity, check, a.now)
		if silent == 0 {
			t.State = Resolved
		}
		last, err := a.last(t.Key())
		if err != nil {
			return err
		}
		if (silent > 0) == (last != nil && last.Open()) {
			continue
		}
		if err := a.apply(t); err != nil {
			return err
		}
	}
	return nil
}

// silentAlerts counts a source's incidents in no-data and returns the highest
// severity among them.
func (a *applier) silentAlerts(src silentSource) (n int, severity string, err error) {
	rows, err := a.tx.QueryContext(a.ctx, `SELECT severity, COUNT(*) FROM incidents
		WHERE customer = ? AND source = ? AND state = 'no_data' GROUP BY severity`, src.customer, src.source)
	if err != nil {
		return 0, "", err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var sev string
		var count int
		if err := rows.Scan(&sev, &count); err != nil {
			return 0, "", err
		}
		n += count
		found = append(found, sev)
	}
	slices.SortFunc(found, func(x, y string) int { return cmp.Compare(rank(x), rank(y)) })
	if len(found) > 0 {
		severity = found[0]
	}
	return n, severity, rows.Err()
}

// rank orders severities, the most severe first and unknown ones last.
func rank(severity string) int {
	if n := slices.Index(severities, strings.ToLower(severity)); n >= 0 {
		return n
	}
	return len(severities)
}

func (src silentSource) transition(severity string, check, now time.Time) Transition {
	b := labels.NewBuilder(labels.FromStrings(labels.AlertName, SourceSilent, "customer", src.customer, "source", src.source))
	b.Set("severity", severity)
	return Transition{
		Customer: src.customer, RuleID: silentRuleID, Alert: SourceSilent,
		Labels:   b.Labels(),
		Identity: labels.FromStrings("source", src.source),
		Annotations: labels.FromStrings(
			// How many they are changes while it stands; one is enough.
			"summary", "source "+src.source+": at least one firing alert gets no new samples; it stays firing until they come"),
		State: Firing, Check: check, At: now,
	}
}
