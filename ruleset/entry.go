package ruleset

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
)

// maxEvidence bounds the samples that an entry carries.
const maxEvidence = 16

// entry writes a change down for a log. An error says that what it rests on cannot be
// read, so that it does without.
func (e *Engine) entry(ctx context.Context, in *instance, c change, log Log, at int64, reason string) (en Entry, err error) {
	r := in.rs.rule
	en = Entry{
		Log: log, At: at, Check: r.timeOf(c.check), Rule: r, Identity: in.id,
		From: c.from.state(), To: c.state(), Run: int(c.run), Reason: reason, Value: math.NaN(),
	}
	if src := in.source(); src != nil {
		en.Source = src.id
	}
	told := log == LogLive && (c.from.open() || c.to.open())
	first := c.check
	if told {
		first = min(first, in.restsFrom(c))
	}
	if in.joins == nil {
		en.Value = in.valueAt(c.check)
		if c.how == StateEnded && reason == "" {
			en.Reason = in.notes[c.check].ended
		}
		if told {
			en.Samples = e.evidenceEvaluated(ctx, in, c.check)
		}
	} else if s, rerr := e.readSpan(ctx, in, first, c.check); rerr != nil {
		err = fmt.Errorf("rule %q: %s: what a log entry rests on: %w", r.ID(), in.id, rerr)
	} else {
		en.Value = s.result(c.check, e.ops)
		if told {
			en.Samples = s.evidence(first, c.check, e.ops)
		}
		if c.how == StateEnded && reason == "" {
			en.Reason = s.ended(c.check)
		}
	}
	if en.Reason == "" && in.cell(c.check)&cellNaN != 0 {
		en.Reason = "nan"
	}
	if log == LogLive {
		e.lines++
	}
	en.unworded = unworded{told: told, now: e.now, line: e.lines}
	return en, err
}

// entryID is the same for the same entry handed over again; a settled one has
// the same ID after any restart. The live log may say the same of a check
// twice, when it was amended in between, at one engine time even and after another
// start, so its IDs hold that time and the number of the line.
func entryID(en Entry, line int) string {
	text := make([]byte, 0, 512)
	part := func(p string) { text = append(append(text, p...), 0) }
	part(string(en.Log))
	part(en.Rule.ID())
	text = append(appendLabels(text, en.Identity), 0)
	text = append(strconv.AppendInt(text, en.Check, 10), 0)
	part(string(en.To))
	if en.Log == LogLive {
		text = append(strconv.AppendInt(text, en.At, 10), 0)
		part(string(en.From))
		text = append(strconv.AppendInt(text, int64(line), 10), 0)
	}
	h := fnv.New128a()
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil))
}

// valueAt is what an evaluated rule's expression gave at a check that breached, NaN
// at another.
func (in *instance) valueAt(k int64) float64 {
	if n, ok := in.notes[k]; ok {
		return n.value
	}
	return math.NaN()
}

// result is the expression's value at a check, NaN where it has none.
func (s *span) result(k int64, ops []operand) float64 {
	out := s.in.rs.rule.prog.root.eval(s.operands(k, ops))
	if out.present || out.in {
		return out.v
	}
	return math.NaN()
}

// evidence lists the samples of the checks first to k, the newest maxEvidence of them.
func (s *span) evidence(first, k int64, ops []operand) []Evidence {
	r := s.in.rs.rule
	out := make([]Evidence, 0, min(maxEvidence, int(k-first+1)*len(s.in.joins)))
	for ; k >= first && len(out) < maxEvidence; k-- {
		v := r.prog.root.eval(s.operands(k, ops)).verdict()
		for i, j := range s.in.joins {
			for n, ser := range j.series {
				if p, there := s.point(i, n, k); there {
					out = append(out, Evidence{Labels: ser.labels, T: p.t, V: p.v, Check: r.timeOf(k), Verdict: v})
				}
			}
		}
	}
	slices.Reverse(out)
	return out
}

// appendLabels is Labels.String, which takes a quarter of an alert's time.
func appendLabels(to []byte, l labels.Labels) []byte {
	to = append(to, '{')
	sep := ""
	l.Range(func(l labels.Label) {
		to = append(to, sep...)
		sep = ", "
		if model.LegacyValidation.IsValidLabelName(l.Name) {
			to = append(to, l.Name...)
		} else {
			to = strconv.AppendQuote(to, l.Name)
		}
		to = append(to, '=')
		to = appendQuoted(to, l.Value)
	})
	return append(to, '}')
}

// appendQuoted is strconv.AppendQuote.
func appendQuoted(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return strconv.AppendQuote(to, s)
		}
	}
	return append(append(append(to, '"'), s...), '"')
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
func (e *Engine) logSettled(ctx context.Context, in *instance, c change) error {
	r := in.rs.rule
	if e.rebuild && r.timeOf(c.check) <= e.unsure {
		return nil
	}
	en, err := e.entry(ctx, in, c, LogSettled, r.timeOf(c.check)+r.Lateness.Milliseconds(), "")
	e.settledN = append(e.settledN, en)
	return err
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
