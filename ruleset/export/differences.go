package export

import (
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/ruleset"
)

// header is what is lost in every exported rule.
func header(t Target) []string {
	out := []string{
		"Written by 'watchkeeper rules export --to " + string(t) + "'; edit the rules there, not here.",
		"",
		"These rules fire at the same checks as watchkeeper's as long as every check has its sample in",
		"time. What differs otherwise, for all of them:",
		"- Absence resolves. Watchkeeper keeps a firing alert whose series falls silent as no-data.",
		"- A sample that comes after the evaluation counts only while its check is among the last ones",
		"  looked at; fired and resolved within one late delivery is never told. Nothing is amended.",
		"- A ruler's own restart or outage is a gap like any other; there is no 'unobserved'.",
		"- A series that ends with a stale marker is read until its slot is over; there is no 'ended'.",
	}
	switch t {
	case Prometheus:
		out = append(out, "- Evaluations stand at an offset that Prometheus chooses per rule group; the checks they look at",
			"  still stand on multiples of the interval.")
	case VMAlert:
		out = append(out, "- MetricsQL's increase() and delta() do not extrapolate, Prometheus's do.",
			"- vmalert looks -rule.evalDelay (30s unless set) before its clock; data that come later than that by",
			"  nature are waited for by the offsets below. eval_alignment must stay on.")
	case Mimir:
		out = append(out, "- Mimir's limit of rules per rule group must allow the largest one here (its default is 20).",
			"Load with: mimirtool rules load FILE; the namespace is the file's name without its ending.")
	}
	return append(out, "")
}

// Differences lists what the exported rule loses besides what every one does.
func Differences(r *ruleset.Rule) []string {
	if r.Plain {
		return nil
	}
	out := []string{fmt.Sprintf("%s: %d in a row of checks every %s of: %s", r.ID(), r.Consecutive, model.Duration(r.Interval), oneLine(r.Expr))}
	if r.Consecutive > 1 {
		out = append(out, gaps(r))
	}
	if d := Delay(r); d > 0 {
		out = append(out, fmt.Sprintf("late data: every check is looked at %s after its time; ours is judged on arrival and can change for %s",
			model.Duration(d), model.Duration(r.Lateness)))
	}
	if r.Missing == ruleset.MissingBreach {
		out = append(out, "no data: a check without a sample counts as a breach with us; here it does not")
	}
	if r.ResolveAfter > 1 {
		out = append(out, fmt.Sprintf("resolve_after: keep_firing_for stands for %d good checks; a breach between them that completes no new run does not start them anew here", r.ResolveAfter))
	}
	if r.MinMembers > 1 {
		out = append(out, fmt.Sprintf("min_members: an aggregation of fewer than %d members still has a value here", r.MinMembers))
	}
	if e, err := promParser.ParseExpr(r.Expr); err == nil && filtersBelowAggregation(e) {
		out = append(out, "aggregation: where nothing passes the filter within it, the check is missing with us, and the alert stays; here it resolves")
	}
	for m, d := range sorted(r.Lookback) {
		out = append(out, fmt.Sprintf("lookback: %s is read over %s", m, model.Duration(d)))
	}
	if e, err := promParser.ParseExpr(r.Expr); err == nil && contains(e, parser.NEQ) {
		out = append(out, "NaN: a NaN is no value with us; here != is true of it")
	}
	if phase := r.Phase; phase > 0 {
		out = append(out, fmt.Sprintf("phase: the points of the subquery are shifted by %s through the two offsets", model.Duration(phase)))
	}
	return out
}

func gaps(r *ruleset.Rule) string {
	if r.Missing == ruleset.MissingHold && r.MaxGap > 0 {
		return fmt.Sprintf("gaps: a run goes on over up to %d missing checks with us; here one missing check breaks it", r.MaxGap)
	}
	return "gaps: a missing check breaks the run, as with us"
}

// filtersBelowAggregation says whether an aggregation gets only what a
// comparison lets pass.
func filtersBelowAggregation(e parser.Expr) bool {
	found := false
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		b, ok := n.(*parser.BinaryExpr)
		if !ok || !b.Op.IsComparisonOperator() || b.ReturnBool {
			return nil
		}
		for _, p := range path {
			if _, ok := p.(*parser.AggregateExpr); ok {
				found = true
			}
		}
		return nil
	})
	return found
}
