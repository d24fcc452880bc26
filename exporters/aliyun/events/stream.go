package events

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

const (
	// settleAfter a minute its count is final: the slowest service shows events
	// after up to ten minutes.
	settleAfter = 15 * time.Minute
	// overlap is how far before the final minutes a read reaches, to find and
	// count events that came even later.
	overlap = 30 * time.Minute
)

// happening is one event of a stream.
type happening struct {
	id     string // the same whenever the event is read
	at     time.Time
	labels labels.Labels // of the series that counts it
	log    []any         // attributes of its log line; nil: none
}

// stream counts events by the minute (T-1m, T], as samples at T. A count is
// delivered once, when its minute has settled. What has been delivered is known
// from the source's newest up-sample, so a restart neither loses a minute nor
// counts one twice; a minute that was delivered without its up-sample comes
// again with the same value.
type stream struct {
	reader
	total, late *metrics.Counter

	done time.Time            // minutes up to here are delivered; zero before the start
	seen map[string]time.Time // events of these minutes that the overlap still shows
	cold bool                 // seen is empty because of a restart
}

func newStream(r reader) stream {
	set := r.account.Metrics()
	id := fmt.Sprintf("{customer=%q,account=%q}", r.account.Customer(), r.account.Name())
	return stream{
		reader: r, seen: map[string]time.Time{},
		total: set.GetOrCreateCounter("watchkeeper_aliyun_events_total" + id),
		late:  set.GetOrCreateCounter("watchkeeper_aliyun_events_late_total" + id),
	}
}

// since finds out where reading begins: before what was delivered, as far as
// the overlap; at first contact as far back as a fill-in.
func (s *stream) since(ctx context.Context, at time.Time) (time.Time, error) {
	cfg := s.account.Config()
	if s.done.IsZero() {
		end, known, err := s.account.Resume(ctx, s.source)
		if err != nil {
			return time.Time{}, fmt.Errorf("resume: %w", err)
		}
		s.done = at.Add(-time.Duration(cfg.FillIn)).Truncate(time.Minute)
		if known && !end.After(at) {
			s.done, s.cold = end.Add(-settleAfter).Truncate(time.Minute), true
		}
	}
	if oldest := at.Add(-time.Duration(cfg.CatchUp)).Truncate(time.Minute); s.done.Before(oldest) {
		s.log.Warn("gap given up: outage longer than catch_up", "from", s.done, "to", oldest)
		s.done = oldest
	}
	return s.done.Add(-overlap), nil
}

// turn is what one read brings, not yet delivered.
type turn struct {
	samples []sample.Sample
	fresh   []happening // in settled minutes, counted now; by time
	late    int         // in minutes whose count was final
	done    time.Time
	seen    map[string]time.Time
}

// count turns events into the counts of the minutes up to end.
func (s *stream) count(events []happening, end time.Time) turn {
	if end.Before(s.done) {
		end = s.done
	}
	t := turn{done: end, seen: map[string]time.Time{}}
	type key struct {
		labels string
		minute int64
	}
	counts := map[key]*sample.Sample{}
	for _, e := range events {
		minute := minuteOf(e.at)
		if _, twice := t.seen[e.id]; twice || minute.After(end) {
			continue
		}
		t.seen[e.id] = e.at
		if !minute.After(s.done) {
			if _, known := s.seen[e.id]; !known && !s.cold {
				t.late++
			}
			continue
		}
		t.fresh = append(t.fresh, e)
		k := key{e.labels.String(), minute.UnixMilli()}
		if counts[k] == nil {
			counts[k] = &sample.Sample{Labels: e.labels, T: k.minute}
		}
		counts[k].V++
	}
	for _, c := range counts {
		t.samples = append(t.samples, *c)
	}
	slices.SortFunc(t.samples, func(a, b sample.Sample) int { return cmp.Or(cmp.Compare(a.T, b.T), labels.Compare(a.Labels, b.Labels)) })
	slices.SortStableFunc(t.fresh, func(a, b happening) int { return a.at.Compare(b.at) })
	return t
}

// minuteOf is the end of the minute (T-1m, T] that t lies in.
func minuteOf(t time.Time) time.Time { return t.Add(time.Minute - 1).Truncate(time.Minute) }

// settled is the end of the last minute whose count is final at a check.
func settled(at time.Time) time.Time { return at.Add(-settleAfter).Truncate(time.Minute) }

// maxLines bounds the log lines of one read.
const maxLines = 200

// commit takes over what the sink has, and logs it.
func (s *stream) commit(t turn, message string) {
	s.done, s.seen, s.cold = t.done, t.seen, false
	s.total.Add(len(t.fresh) + t.late)
	s.late.Add(t.late)
	if t.late > 0 {
		s.log.Warn("events came too late to be counted", "events", t.late)
	}
	lines := 0
	for _, e := range t.fresh {
		if e.log == nil {
			continue
		}
		if lines++; lines <= maxLines {
			s.log.Info(message, append([]any{"time", e.at}, e.log...)...)
		}
	}
	if lines > maxLines {
		s.log.Warn("further events are not listed in the log", "events", lines-maxLines)
	}
}
