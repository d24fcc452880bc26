package ruleset

import (
	"bytes"
	"context"
	"errors"
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
		labels.Equal(en.Identity, x.id) && (x.why == "" || x.why == en.Reason || x.why == "none" && en.Reason == "")
}

// clock prints a time as the timeline writes it.
func clock(t int64) string {
	return model.Duration(time.Duration(t-timelineStart.UnixMilli()) * time.Millisecond).String()
}
