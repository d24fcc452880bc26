package alertrouter

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// logLines is a log that can be waited for.
type logLines chan string

func (l logLines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// Run prunes by itself, more than one chunk, and keeps the incidents.
func TestRunPrunes(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DataDir = t.TempDir()
	lines := make(logLines, 10_000)
	r, err := New(cfg, metrics.NewSet(), slog.New(slog.NewTextHandler(lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w := &world{Router: r, t: t, start: time.Now().Add(-8 * 24 * time.Hour)}
	var events []Event
	for n := range pruneChunk + 1 {
		host := fmt.Sprintf("host-%d", n)
		events = append(events, w.event(host, StateFiring, 0), w.event(host, StateResolved, time.Minute))
	}
	events = append(events, w.event("open", StateFiring, 0))
	w.handle(time.Minute, events...)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	want := fmt.Sprintf("handled_transitions=%d messages=0", 2*(pruneChunk+1))
	for line := range lines {
		if strings.Contains(line, "incident store pruned") {
			if !strings.Contains(line, want) {
				t.Errorf("log = %s, want %s", line, want)
			}
			break
		}
		if strings.Contains(line, "not pruned") {
			t.Error(line)
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	incs, err := r.Incidents().OpenIncidents(context.Background())
	if err != nil || len(incs) != 1 {
		t.Errorf("open incidents = %+v, %v", incs, err)
	}
	w.handle(0, w.event("open", StateFiring, 0))
	if d := w.detail(incs[0].ID); len(d.Events) != 1 {
		t.Errorf("events = %+v", d.Events)
	}
}

func TestMessageRetentionMustBePositive(t *testing.T) {
	c := DefaultConfig()
	c.MessageRetention = 0
	if err := c.Validate(); err == nil || err.Error() != "message_retention: must be more than 0" {
		t.Errorf("error = %v", err)
	}
}
