package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/valyala/fasthttp"

	"watchkeeper/exporters/heartbeat"
	"watchkeeper/internal/sample"
)

var (
	quiet = slog.New(slog.DiscardHandler)
	start = time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
)

type sink struct {
	batch sample.Batch
	err   error
}

func (s *sink) Append(_ context.Context, b sample.Batch) error {
	s.batch = b
	return s.err
}

// rig is a customer with declared heartbeats on a clock of its own.
type rig struct {
	t        *testing.T
	dir      string
	cfg      heartbeat.Config
	registry *heartbeat.Registry
	handler  fasthttp.RequestHandler
	now      time.Time
	ends     int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), now: start, cfg: heartbeat.DefaultConfig()}
	r.cfg.Jobs = []heartbeat.Job{{Name: "db-backup", Interval: model.Duration(24 * time.Hour), Grace: model.Duration(time.Hour), Instance: "db-1"}}
	r.restart()
	return r
}

func (r *rig) restart() {
	r.registry = heartbeat.NewRegistry(r.dir)
	r.registry.Declare(map[string][]string{"acme": r.cfg.Names()})
	auth := func(a string) (string, bool) {
		switch a {
		case "Bearer acme-token":
			return "acme", true
		case "Bearer other-token":
			return "other", true
		}
		return "", false
	}
	r.handler = heartbeat.Handler(r.registry, auth, func() time.Time { return r.now }, metrics.NewSet(), quiet)
}

// request sends a request and returns status and body.
func (r *rig) request(method, uri, token string) (int, string) {
	var c fasthttp.RequestCtx
	c.Init(&fasthttp.Request{}, nil, nil)
	c.Request.Header.SetMethod(method)
	c.Request.SetRequestURI(uri)
	if token != "" {
		c.Request.Header.Set("Authorization", "Bearer "+token)
	}
	r.handler(&c)
	return c.Response.StatusCode(), strings.TrimSpace(string(c.Response.Body()))
}

func (r *rig) beat(uri string) {
	r.t.Helper()
	if status, body := r.request("POST", uri, "acme-token"); status != 204 {
		r.t.Fatalf("%s: %d %s", uri, status, body)
	}
}

// check returns the samples of a check after some time.
func (r *rig) check(after time.Duration) map[string]float64 {
	r.t.Helper()
	r.now = r.now.Add(after)
	c, err := heartbeat.New("acme", r.cfg, r.registry, quiet)
	if err != nil {
		r.t.Fatal(err)
	}
	var s sink
	if err := c.Collect(context.Background(), r.now, &s); err != nil {
		r.t.Fatal(err)
	}
	r.ends = len(s.batch.Ends)
	values := map[string]float64{}
	for _, x := range s.batch.Samples {
		if x.Labels.Get("instance") != "db-1" || x.Labels.Get("customer") != "acme" {
			r.t.Errorf("identity of %s", x.Labels)
		}
		values[strings.TrimSpace(strings.TrimPrefix(x.Labels.Get("__name__"), "heartbeat_")+" "+x.Labels.Get("status"))] = x.V
	}
	return values
}

func (r *rig) want(what string, after time.Duration, want map[string]float64) {
	r.t.Helper()
	if d := cmp.Diff(want, r.check(after)); d != "" {
		r.t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestLifeOfAHeartbeat(t *testing.T) {
	r := newRig(t)
	never := func(age time.Duration, late float64) map[string]float64 {
		return map[string]float64{"age_seconds": age.Seconds(), "late": late, "failed": 0, "beats_total ok": 0, "beats_total fail": 0}
	}
	r.want("declared", 0, never(0, 0))
	r.restart()
	r.want("never came, in time", 25*time.Hour, never(25*time.Hour, 0))
	r.want("never came, late", time.Second, never(25*time.Hour+time.Second, 1))
	r.beat("/heartbeat/db-backup?exit=0&duration=90")
	success := float64(r.now.Unix())
	ok := func(age time.Duration, late, failed, fails float64, more map[string]float64) map[string]float64 {
		m := map[string]float64{"age_seconds": age.Seconds(), "late": late, "failed": failed, "beats_total ok": 1, "beats_total fail": fails,
			"last_success_timestamp_seconds": success}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	told := map[string]float64{"exit_code": 0, "duration_seconds": 90}
	r.want("came", time.Minute, ok(time.Minute, 0, 0, 0, told))
	r.restart()
	r.want("remembered over a restart", time.Minute, ok(2*time.Minute, 0, 0, 0, told))
	r.now = r.now.Add(24 * time.Hour)
	r.beat("/heartbeat/db-backup?exit=2")
	r.want("a failure is no success", 0, ok(24*time.Hour+2*time.Minute, 0, 1, 1, map[string]float64{"exit_code": 2}))
	r.want("and late in the end", time.Hour, ok(25*time.Hour+2*time.Minute, 1, 1, 1, map[string]float64{"exit_code": 2}))
	r.restart()
	r.beat("/heartbeat/db-backup?status=fail")
	if v := r.check(0); v["beats_total fail"] != 2 || v["failed"] != 1 {
		t.Errorf("got %v", v)
	}
}

func TestRequests(t *testing.T) {
	r := newRig(t)
	f := func(method, uri, token string, want int, message string) {
		t.Helper()
		status, body := r.request(method, uri, token)
		if status != want || !strings.Contains(body, message) {
			t.Errorf("%s %s: %d %q, want %d %q", method, uri, status, body, want, message)
		}
	}
	f("GET", "/heartbeat/db-backup", "acme-token", 204, "")
	f("HEAD", "/heartbeat/db-backup", "acme-token", 204, "")
	f("POST", "/heartbeat/db-backup?duration=1h30m", "acme-token", 204, "")
	f("DELETE", "/heartbeat/db-backup", "acme-token", 405, "GET")
	f("POST", "/heartbeat/db-backup", "", 401, "token")
	f("POST", "/heartbeat/db-backup", "guess", 401, "token")
	f("POST", "/heartbeat/db-backup", "other-token", 404, `no such heartbeat: "db-backup" is declared`)
	f("POST", "/heartbeat/", "acme-token", 404, "declared")
	f("POST", "/heartbeat/../etc", "acme-token", 404, "declared")
	f("POST", "/heartbeat/db-backup?status=good", "acme-token", 400, "ok or fail")
	f("POST", "/heartbeat/db-backup?exit=none", "acme-token", 400, "number")
	f("POST", "/heartbeat/db-backup?duration=-1", "acme-token", 400, "seconds")
	f("POST", "/heartbeat/db-backup?duration=NaN", "acme-token", 400, "seconds")
	f("POST", "/heartbeat/db-backup?stauts=fail", "acme-token", 400, "unknown parameter")
	if v := r.check(0); v["beats_total ok"] != 3 || v["beats_total fail"] != 0 || v["duration_seconds"] != 5400 {
		t.Errorf("got %v", v)
	}
}

// TestNotAcknowledgedBeforeItIsKept puts a folder in the state file's place.
func TestNotAcknowledgedBeforeItIsKept(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(r.dir, "acme", "heartbeats.json")
	r.check(0)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(file, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if status, body := r.request("POST", "/heartbeat/db-backup", "acme-token"); status != 503 {
		t.Errorf("%d %s", status, body)
	}
	if v := r.check(0); v["beats_total ok"] != 0 {
		t.Errorf("it counts all the same: %v", v)
	}
}

func TestRemovedHeartbeatsEnd(t *testing.T) {
	r := newRig(t)
	r.beat("/heartbeat/db-backup")
	r.check(0)
	jobs := r.cfg.Jobs
	r.cfg.Jobs = nil
	r.restart()
	c, err := heartbeat.New("acme", r.cfg, r.registry, quiet)
	if err != nil {
		t.Fatal(err)
	}
	s := sink{err: errors.New("store is full")}
	if err := c.Collect(t.Context(), r.now, &s); !errors.Is(err, s.err) {
		t.Fatal(err)
	}
	r.check(time.Minute)
	if r.ends != 8 {
		t.Errorf("%d series end", r.ends)
	}
	if r.check(time.Minute); r.ends != 0 {
		t.Error("told twice")
	}
	r.cfg.Jobs = jobs
	r.restart()
	if v := r.check(time.Minute); v["beats_total ok"] != 0 || v["age_seconds"] != 0 {
		t.Errorf("declared again it begins anew: %v", v)
	}
}

func TestUnreadableState(t *testing.T) {
	r := newRig(t)
	file := filepath.Join(r.dir, "acme", "heartbeats.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := heartbeat.New("acme", r.cfg, r.registry, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Collect(t.Context(), r.now, &sink{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v: a backup that is late for weeks would look fresh", err)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	job := heartbeat.Job{Name: "a", Interval: model.Duration(time.Hour)}
	for want, jobs := range map[string][]heartbeat.Job{
		"jobs[0].name":     {{Interval: job.Interval}},
		"jobs[0].interval": {{Name: "a"}},
		"jobs[0].grace":    {{Name: "a", Interval: 1, Grace: -1}},
		"jobs[1].name":     {job, job},
	} {
		c := heartbeat.DefaultConfig()
		c.Jobs = jobs
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := (heartbeat.Config{}).Validate(); err == nil {
		t.Error("no check interval")
	}
}

func TestConcurrentBeats(t *testing.T) {
	r := newRig(t)
	const n = 20
	done := make(chan error, n)
	for i := range n {
		go func() {
			status, body := r.request("POST", fmt.Sprintf("/heartbeat/db-backup?exit=%d", i%2), "acme-token")
			if status != 204 {
				done <- errors.New(body)
				return
			}
			done <- nil
		}()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	r.restart()
	if v := r.check(0); v["beats_total ok"] != n/2 || v["beats_total fail"] != n/2 {
		t.Errorf("got %v", v)
	}
}
