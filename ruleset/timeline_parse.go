package ruleset

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/sample"
)

// timelineParser reads the lines of a script's timeline section.
type timelineParser struct {
	*timeline
	load  *loadBlock
	lines int
}

// loadBlock is the line that series lines belong to.
type loadBlock struct {
	step, offset, deliver int64 // deliver is 0 for samples that come at their own time
	source                string
	fillIn                bool
}

func parseTimeline(name string, script []byte) (*timeline, error) {
	p := timelineParser{timeline: &timeline{name: name, files: map[string][]byte{}}}
	section := ""
	for i, line := range strings.Split(string(script), "\n") {
		p.lines = i + 1
		if s, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(s, " --") {
			if section = strings.TrimSuffix(s, " --"); section != "timeline" {
				p.files[section] = bytes.Repeat([]byte("\n"), i+1) // errors in it name the line of the script
			}
			continue
		}
		if section == "timeline" {
			if err := p.line(line); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
			}
			continue
		}
		if section != "" {
			p.files[section] = append(append(p.files[section], line...), '\n')
		}
	}
	if p.files["rules.yml"] == nil || len(p.events) == 0 {
		return nil, fmt.Errorf("%s: needs a section rules.yml and a section timeline", name)
	}
	slices.SortStableFunc(p.events, func(a, b event) int { return compareInt(a.at, b.at) })
	return p.timeline, nil
}

func (p *timelineParser) line(line string) error {
	if i := strings.Index(line, "#"); i >= 0 {
		line = line[:i]
	}
	if strings.TrimSpace(line) == "" {
		return nil
	}
	if line[0] == ' ' || line[0] == '\t' {
		return p.values(strings.TrimSpace(line))
	}
	verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "load":
		return p.loadLine(rest)
	case "late":
		return p.lateLine(rest)
	case "up":
		return p.upLine(rest)
	case "watermark":
		return p.watermarkLine(rest)
	case "end":
		return p.endLine(rest)
	case "restart", "reload", "advance":
		return p.controlLine(verb, strings.Fields(rest))
	case "at", "settled", "next":
		return p.expectLine(verb, rest)
	}
	return fmt.Errorf("unknown line %q; known are load, late, up, watermark, end, restart, reload, advance, at, settled, next", verb)
}

func offset(s string) (int64, error) {
	if s == "0" {
		return 0, nil
	}
	d, err := model.ParseDuration(s)
	return time.Duration(d).Milliseconds(), err
}

// when reads a time of the timeline and returns it as Unix ms.
func (p *timelineParser) when(s string) (int64, error) {
	d, err := offset(s)
	if err != nil {
		return 0, fmt.Errorf("time %q: %w", s, err)
	}
	t := timelineStart.UnixMilli() + d
	p.end = max(p.end, t)
	return t, nil
}

// options reads the words behind what a verb needs: "name value" pairs, of the
// names known, and flags that stand alone.
func options(verb string, words, names []string, flags ...string) (map[string]string, error) {
	out := map[string]string{}
	for i := 0; i < len(words); i++ {
		switch word := words[i]; {
		case slices.Contains(flags, word):
			out[word] = "yes"
		case !slices.Contains(names, word):
			return nil, fmt.Errorf("%s: unknown word %q; known are %s", verb, word, strings.Join(append(slices.Clone(names), flags...), ", "))
		case i+1 == len(words):
			return nil, fmt.Errorf("%s: %q needs a value", verb, word)
		default:
			i++
			out[word] = words[i]
		}
	}
	return out, nil
}

func (p *timelineParser) loadLine(rest string) (err error) {
	words := strings.Fields(rest)
	if len(words) == 0 {
		return errors.New("load needs a step")
	}
	opts, err := options("load", words[1:], []string{"offset", "deliver", "source"}, "fillin")
	if err != nil {
		return err
	}
	b := &loadBlock{source: opts["source"], fillIn: opts["fillin"] != ""}
	if b.step, err = offset(words[0]); err != nil || b.step <= 0 {
		return fmt.Errorf("load: step %q", words[0])
	}
	if o := opts["offset"]; o != "" {
		if b.offset, err = offset(o); err != nil {
			return err
		}
	}
	if d := opts["deliver"]; d != "" {
		if b.deliver, err = p.when(d); err != nil {
			return err
		}
	}
	p.load = b
	return nil
}

// cutSeries splits a line into its series and the words after it.
func cutSeries(line string) (labels.Labels, []string, error) {
	end := strings.IndexAny(line, " \t")
	if i := strings.Index(line, "{"); i >= 0 && (end < 0 || i < end) {
		j := strings.Index(line, "}")
		if j < 0 {
			return labels.EmptyLabels(), nil, errors.New("series without }")
		}
		end = j + 1
	}
	if end < 0 {
		end = len(line)
	}
	l, err := promParser.ParseMetric(line[:end])
	if err != nil {
		return l, nil, fmt.Errorf("series %q: %w", line[:end], err)
	}
	return l, strings.Fields(line[end:]), nil
}

func (p *timelineParser) values(line string) error {
	if p.load == nil {
		return errors.New("values without a load line")
	}
	l, words, err := cutSeries(line)
	if err != nil {
		return err
	}
	t := timelineStart.UnixMilli() + p.load.offset
	for _, w := range words {
		n := 1
		if v, times, ok := strings.Cut(w, "x"); ok {
			if n, err = strconv.Atoi(times); err != nil || n < 1 || n > 100_000 {
				return fmt.Errorf("value %q", w)
			}
			w = v
		}
		for range n {
			if w != "_" {
				v, err := parseValue(w)
				if err != nil {
					return err
				}
				p.deliver(p.load.deliver, p.load.source, p.load.fillIn, sample.Sample{Labels: l, T: t, V: v})
			}
			p.end = max(p.end, t)
			t += p.load.step
		}
	}
	return nil
}

func parseValue(w string) (float64, error) {
	if w == "stale" {
		return math.Float64frombits(value.StaleNaN), nil
	}
	v, err := strconv.ParseFloat(w, 64)
	if err != nil {
		return 0, fmt.Errorf("value %q", w)
	}
	return v, nil
}

// deliver adds a sample to the batch of its source at a time, its own when at is 0.
func (p *timelineParser) deliver(at int64, source string, fillIn bool, s sample.Sample) {
	if at == 0 {
		at = s.T
	}
	b := p.batch(at, source)
	b.Samples = append(b.Samples, s)
	b.FillIn = b.FillIn || fillIn
}

// batch finds or makes the batch of a source at a time.
func (p *timelineParser) batch(at int64, source string) *sample.Batch {
	id := sample.Source{Name: source}
	if source == "" {
		id.Name = "test"
	}
	for i := range p.events {
		if e := &p.events[i]; e.kind == eventBatch && e.at == at && e.batch.Source == id {
			return &e.batch
		}
	}
	p.events = append(p.events, event{at: at, kind: eventBatch, batch: sample.Batch{Source: id}, line: p.lines})
	return &p.events[len(p.events)-1].batch
}

// lateLine reads "late ARRIVAL SERIES at TIME VALUE [source NAME]".
func (p *timelineParser) lateLine(rest string) error {
	arrive, rest, _ := strings.Cut(rest, " ")
	at, err := p.when(arrive)
	if err != nil {
		return err
	}
	l, words, err := cutSeries(strings.TrimSpace(rest))
	if err != nil {
		return err
	}
	if len(words) < 3 || words[0] != "at" {
		return errors.New("late: want ARRIVAL SERIES at TIME VALUE")
	}
	t, err := p.when(words[1])
	if err != nil {
		return err
	}
	v, err := parseValue(words[2])
	if err != nil {
		return err
	}
	opts, err := options("late", words[3:], []string{"source"})
	if err != nil {
		return err
	}
	p.deliver(at, opts["source"], false, sample.Sample{Labels: l, T: t, V: v})
	return nil
}

// upLine reads "up TIME [to TIME] [every STEP] [arrive TIME] [source NAME] [failed]".
func (p *timelineParser) upLine(rest string) error {
	words := strings.Fields(rest)
	if len(words) == 0 {
		return errors.New("up needs a time")
	}
	opts, err := options("up", words[1:], []string{"to", "every", "arrive", "source"}, "failed")
	if err != nil {
		return err
	}
	t, err := p.when(words[0])
	if err != nil {
		return err
	}
	last, step, arrive := t, time.Minute.Milliseconds(), int64(0)
	if o := opts["to"]; o != "" {
		if last, err = p.when(o); err != nil {
			return err
		}
	}
	if o := opts["every"]; o != "" {
		if step, err = offset(o); err != nil || step <= 0 {
			return fmt.Errorf("up: every %q", o)
		}
	}
	if o := opts["arrive"]; o != "" {
		if arrive, err = p.when(o); err != nil {
			return err
		}
	}
	for ; t <= last; t += step {
		b := p.batch(max(t, arrive), opts["source"])
		b.Ups = append(b.Ups, sample.Up{T: t, OK: opts["failed"] == ""})
	}
	return nil
}

// watermarkLine reads "watermark ARRIVAL TIME|current [source NAME]".
func (p *timelineParser) watermarkLine(rest string) error {
	words := strings.Fields(rest)
	if len(words) < 2 {
		return errors.New("watermark: want ARRIVAL TIME|current")
	}
	at, err := p.when(words[0])
	if err != nil {
		return err
	}
	w := sample.Current
	if words[1] != "current" {
		if w, err = p.when(words[1]); err != nil {
			return err
		}
	}
	opts, err := options("watermark", words[2:], []string{"source"})
	if err != nil {
		return err
	}
	p.batch(at, opts["source"]).Watermark = w
	return nil
}

// endLine reads "end ARRIVAL SERIES [at TIME] REASON…".
func (p *timelineParser) endLine(rest string) error {
	arrive, rest, _ := strings.Cut(rest, " ")
	at, err := p.when(arrive)
	if err != nil {
		return err
	}
	l, words, err := cutSeries(strings.TrimSpace(rest))
	if err != nil {
		return err
	}
	t := at
	if len(words) > 1 && words[0] == "at" {
		if t, err = p.when(words[1]); err != nil {
			return err
		}
		words = words[2:]
	}
	if len(words) == 0 {
		return errors.New("end needs a reason")
	}
	b := p.batch(at, "")
	b.Ends = append(b.Ends, sample.End{Labels: l, T: t, Reason: strings.Join(words, " ")})
	return nil
}

// controlLine reads "restart TIME [until TIME] [rules FILE]", "reload TIME FILE [failed]" and "advance TIME".
func (p *timelineParser) controlLine(verb string, words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("%s needs a time", verb)
	}
	at, err := p.when(words[0])
	if err != nil {
		return err
	}
	ev := event{at: at, until: at, line: p.lines}
	switch {
	case verb == "advance" && len(words) == 1:
		ev.kind = eventAdvance
	case verb == "reload" && (len(words) == 2 || len(words) == 3 && words[2] == "failed"):
		ev.kind, ev.file, ev.fails = eventReload, words[1], len(words) == 3
	case verb == "restart":
		opts, err := options(verb, words[1:], []string{"until", "rules"})
		if err != nil {
			return err
		}
		ev.kind, ev.file = eventRestart, opts["rules"]
		if opts["until"] != "" {
			if ev.until, err = p.when(opts["until"]); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%s: cannot read %q", verb, strings.Join(words, " "))
	}
	p.events = append(p.events, ev)
	return nil
}

// timelineStates are what may be expected of an alert.
var timelineStates = []State{StateInactive, StatePending, StateFiring, StateNoData, StateResolved, StateEnded}

// expectLine reads "at TIME ALERT{labels} STATE [REASON…]", "settled CHECK …" and "next CHECK …".
func (p *timelineParser) expectLine(verb, rest string) error {
	when, rest, _ := strings.Cut(rest, " ")
	at, err := p.when(when)
	if err != nil {
		return err
	}
	l, words, err := cutSeries(strings.TrimSpace(rest))
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return errors.New("an expectation needs a state")
	}
	x := expectation{
		line: p.lines, log: LogLive, at: at, alert: l.Get(model.MetricNameLabel),
		id: l.DropReserved(func(n string) bool { return n == model.MetricNameLabel }),
		to: State(strings.ReplaceAll(words[0], "-", "_")), why: strings.Join(words[1:], " "),
	}
	if verb != "at" {
		x.log, x.next = LogSettled, verb == "next"
	}
	if x.next && (len(p.want) == 0 || p.want[len(p.want)-1].log != LogSettled) {
		return errors.New("next: want a settled line before it")
	}
	if !slices.Contains(timelineStates, x.to) {
		known := fmt.Sprint(timelineStates)
		return fmt.Errorf("unknown state %q; known are %s", words[0], strings.ReplaceAll(strings.Trim(known, "[]"), " ", ", "))
	}
	p.want = append(p.want, x)
	return nil
}
