package alertrouter

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Run sends by itself: a disaster at once, without anybody driving it.
func TestRun(t *testing.T) {
	got := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Idempotency-Key")
	}))
	defer srv.Close()
	cfg := DefaultConfig()
	cfg.DataDir, cfg.Routing = t.TempDir(), (&hook{Server: &httptest.Server{URL: srv.URL}}).routing("")
	r, err := New(cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()

	w := &world{Router: r, start: time.Now()}
	if err := r.Handle(ctx, time.Now(), []Event{w.severity(w.event("web-1", StateFiring, 0), "disaster")}); err != nil {
		t.Fatal(err)
	}
	if key := <-got; key == "" {
		t.Error("no idempotency key")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// Run returns after the attempt was written down.
	d, err := r.Incidents().Get(context.Background(), 1)
	if err != nil || len(d.Ledger) != 1 || d.Ledger[0].Outcome != "accepted" {
		t.Errorf("ledger = %+v, %v", d, err)
	}
}

func TestBackoff(t *testing.T) {
	for n := range 100 {
		pause := backoff(time.Second, time.Minute, n)
		full := min(time.Second<<min(n, 10), time.Minute)
		if pause > full || pause < full/2 {
			t.Errorf("pause %d = %s, want between %s and %s", n, pause, full/2, full)
		}
	}
}
