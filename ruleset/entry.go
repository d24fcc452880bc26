package ruleset

import (
	"cmp"
	"context"
	"encoding/hex"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
)

// maxEvidence bounds the samples that an entry carries.
const maxEvidence = 16

// entry writes a change down for a log.
func (e *Engine) entry(ctx context.Context, in *instance, c change, log Log, at int64, reason string) Entry {
	r := in.rs.rule
	en := Entry{
		Log: log, At: at, Check: r.timeOf(c.check), Rule: r, Identity: in.id,
		From: c.from.state(), To: c.state(), Run: int(c.run), Reason: reason, Value: math.NaN(),
	}
	if src := in.source(); src != nil {
		en.Source = src.id
	}
	told := log == LogLive && (c.from.open() || c.to.open())
	if told {
		en.Samples = e.evidence(ctx, in, c)
	}
	en.Value = e.valueAt(ctx, in, c.check)
	if c.how == StateEnded && reason == "" {
		en.Reason = e.endReason(ctx, in, c.check)
	}
	if en.Reason == "" && in.cell(c.check)&cellNaN != 0 {
		en.Reason = "nan"
	}
	en.Labels = in.rs.labelsOf(ctx, in.id, en.Value, e.now)
	if told {
		en.Annotations = in.rs.annotationsOf(ctx, in.id, en.Value, e.now)
	}
	if log == LogLive {
		e.lines++
	}
	en.ID = entryID(en, e.lines)
	return en
}

// entryID is the same for the same entry handed over again; a settled one has
// the same ID after any restart. The live log may say the same of a check
// twice, when it was amended in between, at one engine time even, so its IDs
// hold that time and the number of the line.
func entryID(en Entry, line int) string {
	parts := []string{string(en.Log), en.Rule.ID(), en.Identity.String(), strconv.FormatInt(en.Check, 10), string(en.To)}
	if en.Log == LogLive {
		parts = append(parts, strconv.FormatInt(en.At, 10), string(en.From), strconv.Itoa(line))
	}
	h := fnv.New128a()
	for _, s := range parts {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// valueAt is the expression's value at a check, NaN where it has none.
func (e *Engine) valueAt(ctx context.Context, in *instance, k int64) float64 {
	if in.joins == nil {
		if v, ok := in.values[k]; ok {
			return v
		}
		return math.NaN()
	}
	s, err := e.readSpan(ctx, in, k, k)
	if err != nil {
		e.logger.Warn("cannot read the value of a log entry", "rule", in.rs.rule.ID(), "series", in.id.String(), "err", err)
		return math.NaN()
	}
	out := in.rs.rule.prog.root.eval(s.operands(k, e.ops))
	if out.present || out.in {
		return out.v
	}
	return math.NaN()
}

func (e *Engine) endReason(ctx context.Context, in *instance, k int64) string {
	if in.joins == nil {
		return ""
	}
	s, err := e.readSpan(ctx, in, k, k)
	if err != nil {
		return ""
	}
	return s.ended(k)
}

// evidence lists the samples of the checks that the change rests on, the newest
// maxEvidence of them.
func (e *Engine) evidence(ctx context.Context, in *instance, c change) []Evidence {
	r, k := in.rs.rule, c.check
	if in.joins == nil {
		return e.evidenceEvaluated(ctx, in, k)
	}
	lo := in.restsFrom(c)
	s, err := e.readSpan(ctx, in, lo, k)
	if err != nil {
		e.logger.Warn("cannot read the evidence of a log entry", "rule", r.ID(), "series", in.id.String(), "err", err)
		return nil
	}
	var out []Evidence
	for c := k; c >= lo && len(out) < maxEvidence; c-- {
		v := r.prog.root.eval(s.operands(c, e.ops)).verdict()
		for i, j := range in.joins {
			for n, ser := range j.series {
				if p, there := s.point(i, n, c); there {
					out = append(out, Evidence{Labels: ser.labels, T: p.t, V: p.v, Check: r.timeOf(c), Verdict: v})
				}
			}
		}
	}
	slices.Reverse(out)
	return out
}

// restsFrom is the first check that a change rests on: that of the run's first breach
// where it opens, of its last one where it closes, as far as the checks are known.
func (in *instance) restsFrom(c change) int64 {
	r := in.rs.rule
	breaches := 1
	if c.to.open() && !c.from.open() {
		breaches = r.Consecutive
	}
	k := c.check
	for ; k > in.settledCheck; k-- {
		if v := in.cell(k).verdict(); v == VerdictBreach || v == VerdictMissing && r.Missing == MissingBreach {
			breaches--
		}
		if breaches == 0 {
			return k
		}
	}
	span := min(int64(r.Consecutive+r.ResolveAfter)*int64(r.MaxGap+1), 64)
	return max(in.first, c.check-span+1)
}

// evidenceEvaluated lists, for an evaluated rule, the newest sample that check k
// read of each series that has the identity's labels, maxEvidence of them at most.
func (e *Engine) evidenceEvaluated(ctx context.Context, in *instance, k int64) []Evidence {
	r := in.rs.rule
	var out []Evidence
	for _, s := range in.rs.selectors {
		window := cmp.Or(s.window, r.lookbackOf(metricOf(s.sel)))
		to := r.timeOf(k) - s.offset.Milliseconds()
		ms := append(slices.Clone(s.sel.LabelMatchers), exactMatchers(in.id)...)
		err := readSeries(ctx, in.rs.without(e.store, k), to-window.Milliseconds()+1, to, ms, func(l labels.Labels, p point) {
			ev := Evidence{Labels: l, T: p.t, V: p.v, Check: r.timeOf(k), Verdict: in.cell(k).verdict()}
			switch n := len(out); {
			case n > 0 && labels.Equal(out[n-1].Labels, l):
				out[n-1] = ev // a newer one of the same series
			case n < maxEvidence:
				out = append(out, ev)
			}
		})
		if err != nil {
			e.logger.Warn("cannot read the evidence of a log entry", "rule", r.ID(), "series", in.id.String(), "err", err)
			return out
		}
	}
	return out
}

// logSettled queues a change of the settled log.
func (e *Engine) logSettled(ctx context.Context, in *instance, c change) {
	r := in.rs.rule
	en := e.entry(ctx, in, c, LogSettled, r.timeOf(c.check)+r.Lateness.Milliseconds(), "")
	e.settledN = append(e.settledN, en)
}

// queueSettled queues the settled entries of a step in their order: by check,
// rule group, alert, labels.
func (e *Engine) queueSettled() {
	slices.SortStableFunc(e.settledN, CompareSettled)
	e.queue = append(e.queue, e.settledN...)
	e.settledN = nil
}

// CompareSettled orders settled entries: by check, rule group, alert, labels.
func CompareSettled(a, b Entry) int {
	if c := compareInt(a.Check, b.Check); c != 0 {
		return c
	}
	if c := strings.Compare(a.Rule.Group, b.Rule.Group); c != 0 {
		return c
	}
	if c := strings.Compare(a.Rule.Alert, b.Rule.Alert); c != 0 {
		return c
	}
	return labels.Compare(a.Identity, b.Identity)
}

// noteForced records that force, not a watermark, settles checks of the instance.
func (e *Engine) noteForced(in *instance, through int64) {
	t := in.rs.rule.timeOf(through) + in.rs.rule.Lateness.Milliseconds()
	free := func(src *source) int64 { return src.bound(e.now, math.MaxInt64/4) }
	if in.bound(e.now, free) >= t {
		return
	}
	in.eachSource(func(src *source) {
		if free(src) >= t || src.forced >= t {
			return
		}
		src.forced = t
		e.record(journal.Record{
			Kind: journal.KindForced, Customer: src.id.Customer, Source: src.id.Name,
			T: in.rs.rule.timeOf(through), Arrive: e.now,
		})
	})
}
