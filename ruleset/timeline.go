package ruleset

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// timelineStart is time 0 of a timeline: a midnight, so that every grid begins there.
var timelineStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TimelineError says that a timeline went otherwise than its script expects.
type TimelineError struct{ text string }

// Error lists every line that the logs lack and every alert that they should not have.
func (e *TimelineError) Error() string { return e.text }

// RunTimeline runs a timeline script: rules, what is delivered when, and what
// the logs must say. The error is a *TimelineError if they do not say it; any other
// means that the script could not be read or played. docs/rules.md describes the form.
func RunTimeline(ctx context.Context, name string, script []byte) error {
	tl, err := parseTimeline(name, script)
	if err != nil {
		return err
	}
	got, err := tl.run(ctx)
	if err != nil {
		return err
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
	file  string // reload, restart: the section of the rules; empty where they stay
	fails bool   // reload: it must
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
	next  bool   // the line that follows the one expected before it
}

type timeline struct {
	name   string
	files  map[string][]byte
	events []event
	want   []expectation
	end    int64
}

// run plays the events, engine time moving in steps of a second, and goes on
// until all checks of the script have settled.
func (tl *timeline) run(ctx context.Context) ([]Entry, error) {
	groups, err := Parse(tl.name, tl.files["rules.yml"])
	if err != nil {
		return nil, err
	}
	p := player{timeline: tl, world: newWorld(), groups: groups, now: timelineStart.UnixMilli()}
	if p.engine, err = p.world.engine(groups); err != nil {
		return nil, fmt.Errorf("%s: %w", tl.name, err)
	}
	for _, ev := range tl.events {
		if err := p.play(ctx, ev); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", tl.name, ev.line, err)
		}
	}
	if err := p.finish(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", tl.name, err)
	}
	return p.world.entries, nil
}

// player is a timeline that is being played.
type player struct {
	*timeline
	world  *world
	groups []Group
	engine *Engine
	now    int64 // Unix ms
}

func (p *player) play(ctx context.Context, ev event) error {
	if ev.at < p.now && ev.kind == eventBatch {
		return nil // the engine was down: nobody took the batch
	}
	if err := p.tick(ctx, ev.at); err != nil {
		return err
	}
	switch ev.kind {
	case eventBatch:
		return p.engine.Ingest(ctx, p.world.accept(ev.batch, ev.at), time.UnixMilli(ev.at))
	case eventRestart:
		return p.restart(ctx, ev)
	case eventReload:
		return p.reload(ctx, ev)
	}
	return nil
}

func (p *player) restart(ctx context.Context, ev event) (err error) {
	if ev.file != "" {
		if p.groups, err = p.rules(ev); err != nil {
			return err
		}
	}
	if p.engine, err = p.world.engine(p.groups); err != nil {
		return err
	}
	p.now = ev.until
	return p.engine.Recover(ctx, time.UnixMilli(ev.until), p.world.alerts())
}

// rules reads the section that an event names.
func (p *player) rules(ev event) ([]Group, error) {
	text, there := p.files[ev.file]
	if !there {
		return nil, fmt.Errorf("no section %s", ev.file)
	}
	return Parse(p.name, text)
}

func (p *player) reload(ctx context.Context, ev event) error {
	if p.files[ev.file] == nil {
		return fmt.Errorf("reload: no section %s", ev.file)
	}
	groups, err := p.rules(ev)
	if err == nil {
		err = p.engine.Reload(ctx, groups, time.UnixMilli(ev.at))
	}
	switch {
	case ev.fails && err == nil:
		return &TimelineError{fmt.Sprintf("reload of %s did not fail", ev.file)}
	case ev.fails:
		return nil
	case err == nil:
		p.groups = groups
	}
	return err
}

// finish goes on to the end of the script, and until its checks have settled.
func (p *player) finish(ctx context.Context) error {
	if err := p.tick(ctx, p.end); err != nil {
		return err
	}
	lateness := time.Duration(0)
	for _, g := range p.groups {
		for _, r := range g.Rules {
			lateness = max(lateness, r.Lateness+r.Interval)
		}
	}
	if err := p.engine.Advance(ctx, time.UnixMilli(p.now)); err != nil {
		return err
	}
	return p.tick(ctx, p.now+lateness.Milliseconds()+1000)
}

// tick advances the engine up to but not including time to.
func (p *player) tick(ctx context.Context, to int64) error {
	for ; p.now < to; p.now = min(to, p.now-p.now%1000+1000) {
		if err := p.engine.Advance(ctx, time.UnixMilli(p.now)); err != nil {
			return err
		}
	}
	return nil
}

// compare matches entries and expectations.
func (tl *timeline) compare(got []Entry) error {
	strict := map[Log]bool{LogLive: true}
	for _, x := range tl.want {
		strict[x.log] = true
	}
	var b bytes.Buffer
	used := make([]bool, len(got))
	shown := map[string]bool{} // what a log says of an alert, once
	i := -1
	for _, x := range tl.want {
		if i = x.find(got, used, i); i >= 0 {
			used[i] = true
			continue
		}
		fmt.Fprintf(&b, "%s:%d: not said: %s\n", tl.name, x.line, x)
		if says := x.instead(got); !shown[says] {
			shown[says] = true
			fmt.Fprintf(&b, "  %s\n", says)
		}
	}
	for i, en := range got {
		x := expected(en)
		if !used[i] && strict[en.Log] && x.at <= tl.end && (en.From.Open() || en.To.Open()) {
			fmt.Fprintf(&b, "%s: not expected: %s\n", tl.name, x)
		}
	}
	if b.Len() > 0 {
		return &TimelineError{strings.TrimSuffix(b.String(), "\n")}
	}
	return nil
}

// find returns which entry an expected line is that none before it was; -1 for none.
// last is the one found before it.
func (x expectation) find(got []Entry, used []bool, last int) int {
	for i := range got {
		switch {
		case used[i]:
		case x.next && (i < last || got[i].Log != x.log):
		case x.fits(got[i]):
			return i
		case x.next:
			return -1
		}
	}
	return -1
}

// expected is the line of a script that an entry fits.
func expected(en Entry) expectation {
	x := expectation{log: en.Log, at: en.At, alert: en.Rule.Alert, id: en.Identity, to: en.To, why: en.Reason}
	if en.Log == LogSettled {
		x.at = en.Check
	}
	return x
}

func (x expectation) fits(en Entry) bool {
	o := expected(en)
	return o.log == x.log && o.at == x.at && o.to == x.to && o.name() == x.name() &&
		(x.why == "" || x.why == o.why || x.why == "none" && o.why == "")
}

// name is the alert's, with its labels.
func (x expectation) name() string { return x.alert + x.id.String() }

// String is the line of the script.
func (x expectation) String() string {
	verb := "at"
	switch {
	case x.next:
		verb = "next"
	case x.log == LogSettled:
		verb = "settled"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", verb, clock(x.at), x.name(), x.to, x.why))
}

// maxNamed bounds how many alerts a message names.
const maxNamed = 8

// instead says what a log has in place of an expected line: all about the alert or,
// where that is nothing, the alerts that it has.
func (x expectation) instead(got []Entry) string {
	var says, names []string
	for _, en := range got {
		o := expected(en)
		switch {
		case o.log != x.log:
		case o.name() == x.name():
			says = append(says, strings.TrimSpace(fmt.Sprint(clock(o.at), " ", o.to, " ", o.why)))
		case !slices.Contains(names, o.name()):
			names = append(names, o.name())
		}
	}
	about := fmt.Sprintf("of %s the %s log says", x.name(), x.log)
	switch {
	case len(says) > 0:
		return about + ": " + strings.Join(says, ", ")
	case len(names) == 0:
		return about + " nothing, nor of any alert"
	case len(names) > maxNamed:
		names = append(names[:maxNamed], "…")
	}
	return about + " nothing; it speaks of " + strings.Join(names, ", ")
}

// clock prints a time as the timeline writes it.
func clock(t int64) string {
	return model.Duration(time.Duration(t-timelineStart.UnixMilli()) * time.Millisecond).String()
}
