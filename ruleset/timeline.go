package ruleset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// timelineStart is time 0 of a timeline: a midnight, so that every grid begins there.
var timelineStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// RunTimeline runs a timeline script: rules, what is delivered when, and what
// the logs must say. The error lists every line that the logs lack and every
// alert that they should not have. docs/rules.md describes the form.
func RunTimeline(ctx context.Context, name string, script []byte) error {
	tl, err := parseTimeline(name, script)
	if err != nil {
		return err
	}
	got, err := tl.run(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return tl.compare(got)
}

type eventKind int

const (
	eventBatch eventKind = iota
	eventRestart
	eventReload
	eventAdvance
)

// event is something that happens at a time of a timeline.
type event struct {
	at    int64
	kind  eventKind
	batch sample.Batch
	until int64  // restart: when the engine is back
	file  string // reload
	line  int
}

// expectation is a line that a log must have.
type expectation struct {
	line  int
	log   Log
	at    int64 // live: engine time; settled: check
	alert string
	id    labels.Labels
	to    State
	why   string // reason; any when empty
}

type timeline struct {
	name   string
	files  map[string][]byte
	events []event
	want   []expectation
	end    int64
}

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
			section = strings.TrimSuffix(s, " --")
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
	case "at", "settled":
		return p.expectLine(verb, rest)
	}
	return fmt.Errorf("unknown line %q", verb)
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

// options reads "name value" pairs; flags stand alone.
func options(words []string, flags ...string) (map[string]string, error) {
	out := map[string]string{}
	for i := 0; i < len(words); i++ {
		if slices.Contains(flags, words[i]) {
			out[words[i]] = "yes"
			continue
		}
		if i+1 == len(words) {
			return nil, fmt.Errorf("%q needs a value", words[i])
		}
		out[words[i]] = words[i+1]
		i++
	}
	return out, nil
}

func (p *timelineParser) loadLine(rest string) (err error) {
	words := strings.Fields(rest)
	if len(words) == 0 {
		return errors.New("load needs a step")
	}
	opts, err := options(words[1:], "fillin")
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
	opts, err := options(words[3:])
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
	opts, err := options(words[1:], "failed")
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
	opts, err := options(words[2:])
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

// controlLine reads "restart TIME [until TIME]", "reload TIME FILE" and "advance TIME".
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
	case verb == "reload" && len(words) == 2:
		ev.kind, ev.file = eventReload, words[1]
	case verb == "restart" && len(words) == 1:
		ev.kind = eventRestart
	case verb == "restart" && len(words) == 3 && words[1] == "until":
		ev.kind = eventRestart
		if ev.until, err = p.when(words[2]); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s: cannot read %q", verb, strings.Join(words, " "))
	}
	p.events = append(p.events, ev)
	return nil
}

// expectLine reads "at TIME ALERT{labels} STATE [REASON…]" and "settled CHECK …".
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
		line: p.lines, log: LogLive, at: at, alert: l.Get(labels.MetricName),
		id: l.DropReserved(func(n string) bool { return n == labels.MetricName }),
		to: State(strings.ReplaceAll(words[0], "-", "_")), why: strings.Join(words[1:], " "),
	}
	if verb == "settled" {
		x.log = LogSettled
	}
	known := []State{StateInactive, StatePending, StateFiring, StateNoData, StateResolved, StateEnded}
	if !slices.Contains(known, x.to) {
		return fmt.Errorf("unknown state %q", words[0])
	}
	p.want = append(p.want, x)
	return nil
}

// world is the stand-in for everything around the engine of a timeline.
type world struct {
	store   *Memory
	records []journal.Record
	entries []Entry
	seen    map[string]bool
}

func (w *world) Record(_ context.Context, rs ...journal.Record) error {
	w.records = append(w.records, rs...)
	return nil
}

func (w *world) Each(fn func(journal.Record) error) error {
	for _, r := range w.records {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// Log keeps entries, each once.
func (w *world) Log(_ context.Context, entries []Entry) error {
	for _, en := range entries {
		if !w.seen[en.ID] {
			w.seen[en.ID] = true
			w.entries = append(w.entries, en)
		}
	}
	return nil
}

// accept stores a batch's samples and up-samples and returns it with what was new.
func (w *world) accept(b sample.Batch, at int64) sample.Batch {
	facts := func(name string) labels.Labels {
		return labels.FromStrings(labels.MetricName, name, "customer", b.Source.Customer, "source", b.Source.Name)
	}
	fresh := b.Samples[:0:0]
	for _, s := range b.Samples {
		if s.T <= at+(10*time.Minute).Milliseconds() && w.store.Append(s.Labels, s.T, s.V) {
			fresh = append(fresh, s)
		}
	}
	b.Samples = fresh
	for _, u := range b.Ups {
		v := 0.0
		if u.OK {
			v = 1
		}
		w.store.Append(facts(sample.UpMetric), u.T, v)
	}
	if b.Watermark != 0 {
		seconds := math.Inf(1)
		if b.Watermark != sample.Current {
			seconds = float64(b.Watermark) / 1000
		}
		w.store.Append(facts(sample.WatermarkMetric), at, seconds)
	}
	return b
}

// alerts are what an incident store would know of the live log.
func (w *world) alerts() []OpenAlert {
	var out []OpenAlert
	last := map[string]int{}
	for _, en := range w.entries {
		key := en.Rule.ID() + en.Identity.String()
		switch {
		case en.Log != LogLive:
		case en.To.Open() && !en.From.Open():
			last[key] = len(out)
			out = append(out, OpenAlert{RuleID: en.Rule.ID(), Identity: en.Identity, State: en.To, Opened: en.Check, Check: en.Check})
		case en.From.Open():
			a := &out[last[key]]
			a.State, a.Check = en.To, en.Check
		}
	}
	return out
}

func newWorld() *world { return &world{store: NewMemory(), seen: map[string]bool{}} }

func (w *world) engine(groups []Group) (*Engine, error) {
	return New(DefaultConfig(), groups, w.store, w, w, metrics.NewSet(), slog.New(slog.DiscardHandler))
}

// run plays the events, engine time moving in steps of a second, and goes on
// until all checks of the script have settled.
func (tl *timeline) run(ctx context.Context) ([]Entry, error) {
	groups, err := Parse("rules.yml", tl.files["rules.yml"])
	if err != nil {
		return nil, err
	}
	w := newWorld()
	e, err := w.engine(groups)
	if err != nil {
		return nil, err
	}
	now := timelineStart.UnixMilli()
	for _, ev := range tl.events {
		if ev.at < now && ev.kind == eventBatch {
			continue // the engine was down: nobody took the batch
		}
		if now, err = tick(ctx, e, now, ev.at); err != nil {
			return nil, err
		}
		switch ev.kind {
		case eventBatch:
			err = e.Ingest(ctx, w.accept(ev.batch, ev.at), time.UnixMilli(ev.at))
		case eventRestart:
			if e, err = w.engine(groups); err == nil {
				err = e.Recover(ctx, time.UnixMilli(ev.until), w.alerts())
			}
			now = ev.until
		case eventReload:
			if groups, err = Parse(ev.file, tl.files[ev.file]); err == nil {
				err = e.Reload(ctx, groups, time.UnixMilli(ev.at))
			}
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", ev.line, err)
		}
	}
	if now, err = tick(ctx, e, now, tl.end); err != nil {
		return nil, err
	}
	if err := e.Advance(ctx, time.UnixMilli(now)); err != nil {
		return nil, err
	}
	lateness := time.Duration(0)
	for _, g := range groups {
		for _, r := range g.Rules {
			lateness = max(lateness, r.Lateness+r.Interval)
		}
	}
	_, err = tick(ctx, e, now, now+lateness.Milliseconds()+1000)
	return w.entries, err
}

// tick advances the engine up to but not including time to.
func tick(ctx context.Context, e *Engine, now, to int64) (int64, error) {
	for ; now < to; now = now - now%1000 + 1000 {
		if err := e.Advance(ctx, time.UnixMilli(now)); err != nil {
			return now, err
		}
	}
	return max(now, to), nil
}

// compare matches entries and expectations.
func (tl *timeline) compare(got []Entry) error {
	strict := map[Log]bool{LogLive: true}
	for _, x := range tl.want {
		strict[x.log] = true
	}
	var b bytes.Buffer
	used := make([]bool, len(got))
	for _, x := range tl.want {
		i := slices.IndexFunc(got, func(en Entry) bool { return x.fits(en) })
		for i >= 0 && used[i] {
			j := slices.IndexFunc(got[i+1:], func(en Entry) bool { return x.fits(en) })
			if j < 0 {
				i = -1
				break
			}
			i += j + 1
		}
		if i < 0 {
			fmt.Fprintf(&b, "%s:%d: nothing says: %s %s %s%s %s %s\n", tl.name, x.line, x.log, clock(x.at), x.alert, x.id, x.to, x.why)
			continue
		}
		used[i] = true
	}
	for i, en := range got {
		t := en.At
		if en.Log == LogSettled {
			t = en.Check
		}
		if used[i] || !strict[en.Log] || t > tl.end || !(en.From.Open() || en.To.Open()) {
			continue
		}
		fmt.Fprintf(&b, "%s: not expected: %s %s: %s%s %s -> %s %s (check %s)\n",
			tl.name, en.Log, clock(t), en.Rule.Alert, en.Identity, en.From, en.To, en.Reason, clock(en.Check))
	}
	if b.Len() > 0 {
		return errors.New(strings.TrimSuffix(b.String(), "\n"))
	}
	return nil
}

func (x expectation) fits(en Entry) bool {
	at := en.At
	if x.log == LogSettled {
		at = en.Check
	}
	return en.Log == x.log && at == x.at && en.Rule.Alert == x.alert && en.To == x.to &&
		labels.Equal(en.Identity, x.id) && (x.why == "" || x.why == en.Reason)
}

// clock prints a time as the timeline writes it.
func clock(t int64) string {
	return model.Duration(time.Duration(t-timelineStart.UnixMilli()) * time.Millisecond).String()
}
