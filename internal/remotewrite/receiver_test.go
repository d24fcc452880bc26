package remotewrite

import (
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/sample"
)

func TestAVanishedSourceIsNotKeptCurrent(t *testing.T) {
	c := newCentral(t)
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	m := New(t.TempDir(), metrics.NewSet(), func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err := m.Apply(to(c)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	r := m.to[acme]
	hear := func(b sample.Batch) {
		t.Helper()
		if err := m.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	// step lets an hour pass, after which marks are queued as keepMarks does.
	step := func() []string {
		now = now.Add(time.Hour)
		due := r.dueMarks(now)
		slices.Sort(due)
		for _, name := range due {
			hear(sample.Batch{Source: sample.Source{Customer: "acme", Name: name}, Watermark: sample.Current})
		}
		return due
	}
	gone, seldom := batch(1), batch(1)
	seldom.Source.Name = "seldom"
	hear(gone)
	hear(seldom)
	for hour := 1; hour <= 200; hour++ {
		want := []string{"probe/60s", "seldom"}
		if hour >= 72 {
			want = want[1:]
		}
		if diff := cmp.Diff(want, step()); diff != "" {
			t.Fatalf("marks after %d hours (-want +got):\n%s", hour, diff)
		}
		if hour%60 == 0 {
			hear(seldom)
		}
	}
	hear(gone)
	if diff := cmp.Diff([]string{"probe/60s", "seldom"}, step()); diff != "" {
		t.Errorf("marks after it came back (-want +got):\n%s", diff)
	}
}

// outageOf starts a place with a request that waits at a receiver which answers with a status.
func outageOf(t *testing.T, status int) (*central, *place, *queue) {
	t.Helper()
	c := newCentral(t)
	c.answers(func(int) (int, string) { return status, "" })
	p := start(t, t.TempDir(), to(c))
	p.send(t, 1)
	until(t, "attempts", func() bool { return c.requests() >= 2 })
	p.mu.Lock()
	defer p.mu.Unlock()
	return c, p, p.to[acme].queue
}

func TestWhatIsGivenUpIsNotSentAnyMore(t *testing.T) {
	c, p, q := outageOf(t, http.StatusServiceUnavailable)
	for v := 2.0; v <= 4; v++ {
		p.send(t, v)
		q.mu.Lock()
		err := q.close()
		q.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if v == 3 {
			q.limit(1) // gives up all but the last
		}
	}
	before := c.requests()
	until(t, "more attempts", func() bool { return c.requests() >= before+5 })
	c.answers(nil)
	c.until(t, 4)
	until(t, "an empty queue", func() bool { return p.metric(t, "watchkeeper_remotewrite_queue_samples") == "0" })
	c.until(t, 4)
	log := p.log.text()
	if got := strings.Count(log, "max_queue_bytes is reached"); got != 1 {
		t.Errorf("%d warnings of lost samples, want 1:\n%s", got, log)
	}
	if got := strings.Count(log, "remote write failed"); got != 1 {
		t.Errorf("%d warnings of the outage, want 1:\n%s", got, log)
	}
	if p.metric(t, "watchkeeper_remotewrite_samples_lost_total") == "0" {
		t.Error("no sample is counted as lost")
	}
}

func TestTheLogSaysThatAReasonChanged(t *testing.T) {
	c, p, _ := outageOf(t, http.StatusServiceUnavailable)
	c.answers(func(int) (int, string) { return http.StatusRequestEntityTooLarge, "" })
	until(t, "the new reason", func() bool { return strings.Contains(p.log.text(), "HTTP status 413") })
	c.answers(nil)
	until(t, "an end", func() bool { return strings.Contains(p.log.text(), "remote write works again") })
	if log := p.log.text(); strings.Count(log, "HTTP status 503") != 1 || strings.Count(log, "HTTP status 413") != 1 {
		t.Errorf("not each reason is told once:\n%s", log)
	}
}

func TestAPlaceWhoseQueueIsRemovedGoesOn(t *testing.T) {
	c := newCentral(t)
	p := start(t, t.TempDir(), to(c))
	p.send(t, 1)
	c.until(t, 1)
	p.mu.Lock()
	dir := p.dir
	p.mu.Unlock()
	until(t, "an empty queue", func() bool { return p.metric(t, "watchkeeper_remotewrite_queue_samples") == "0" })
	// While marks are being queued.
	until(t, "the folder is removed", func() bool { return os.RemoveAll(dir) == nil })
	p.send(t, 2)
	until(t, "what was added later", func() bool { return slices.Contains(c.values(), 2) })
	until(t, "an empty queue", func() bool { return p.metric(t, "watchkeeper_remotewrite_queue_samples") == "0" })
}
