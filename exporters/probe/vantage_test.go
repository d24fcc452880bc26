package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/sample"
)

// place is a collector whose targets and references are replaced.
type place struct {
	*Collector
	logs *bytes.Buffer
	set  *metrics.Set
}

func newPlace(t *testing.T, targets map[string]proberFunc, references ...proberFunc) place {
	t.Helper()
	p := place{logs: &bytes.Buffer{}, set: metrics.NewSet()}
	p.Collector = fakeSet(t, slog.New(slog.NewTextHandler(p.logs, nil)), p.set, targets)
	for i, r := range references {
		p.references.probers = append(p.references.probers, r)
		p.references.names = append(p.references.names, fmt.Sprint(i))
	}
	return p
}

// check runs one collection: the codes by target, up-samples, and values of the
// place's own series by name.
func (p place) check(t *testing.T) (codes map[string]float64, ups []sample.Up, own map[string]float64) {
	t.Helper()
	got := &recorder{began: time.Now()}
	if err := p.Collect(t.Context(), checkTime, got); err != nil {
		t.Fatal(err)
	}
	own = make(map[string]float64)
	for _, a := range got.arrivals {
		ups = append(ups, a.batch.Ups...)
		for _, s := range a.batch.Samples {
			if s.Labels.Get("product") == productVantage {
				own[s.Labels.Get("__name__")] = s.V
			}
		}
	}
	return got.codes(), ups, own
}

func refused(context.Context) result {
	return result{code: ConnectFailed, err: errors.New("connection refused")}
}

// fails is good until its n-th call.
func failsFrom(n int32) proberFunc {
	var calls atomic.Int32
	return func(ctx context.Context) result {
		if calls.Add(1) >= n {
			return refused(ctx)
		}
		return good(ctx)
	}
}

func TestVantageIsCountedOut(t *testing.T) {
	f := func(what string, references []proberFunc, wantCodes map[string]float64, ok bool, reached float64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t, map[string]proberFunc{"up": good, "down": refused}, references...)
			codes, ups, own := p.check(t)
			if diff := cmp.Diff(wantCodes, codes); diff != "" {
				t.Errorf("%s: codes (-want +got):\n%s", what, diff)
			}
			if diff := cmp.Diff([]sample.Up{{T: checkTime.UnixMilli(), OK: ok}}, ups); diff != "" {
				t.Errorf("%s: up-samples (-want +got):\n%s", what, diff)
			}
			if own[metricVantageOK] != map[bool]float64{true: 1}[ok] || own[metricVantageReferencesReached] != reached {
				t.Errorf("%s: own series %v", what, own)
			}
			if out := strings.Contains(p.logs.String(), "counted out"); out != !ok {
				t.Errorf("%s: log:\n%s", what, p.logs)
			}
			if told := strings.Contains(p.logs.String(), "target=down"); told != ok {
				t.Errorf("%s: the target's failure was logged: %t\n%s", what, told, p.logs)
			}
			if n := p.set.GetOrCreateCounter(`watchkeeper_probe_failures_total{kind="tcp",code="connect"}`).Get(); n != 0 != ok {
				t.Errorf("%s: %d failures counted", what, n)
			}
		})
	}
	both, none := map[string]float64{"up": 0, "down": float64(ConnectFailed)}, map[string]float64{}
	f("all reached", []proberFunc{good, good, good}, both, true, 3)
	f("most reached", []proberFunc{good, refused, good}, both, true, 2)
	f("any answer will do", []proberFunc{func(context.Context) result { return result{code: StatusFailed} }}, both, true, 1)
	f("half is not most", []proberFunc{good, hang}, none, false, 1)
	f("none reached", []proberFunc{refused, hang, func(context.Context) result { return result{local: errors.New("no socket")} }}, none, false, 0)
	// The place loses its network while it looks: what it reached stands, what failed does not.
	f("lost meanwhile", []proberFunc{failsFrom(2)}, map[string]float64{"up": 0}, false, 0)
}

func TestVantageComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reachable := false
		p := newPlace(t, map[string]proberFunc{"up": good}, func(ctx context.Context) result {
			if reachable {
				return good(ctx)
			}
			return refused(ctx)
		})
		for range 3 {
			p.check(t)
		}
		reachable = true
		if codes, _, _ := p.check(t); len(codes) != 1 {
			t.Errorf("codes %v after the place came back", codes)
		}
		if out, back := strings.Count(p.logs.String(), "counted out"), strings.Count(p.logs.String(), "counts again"); out != 1 || back != 1 {
			t.Errorf("logged out %d times and back %d times:\n%s", out, back, p.logs)
		}
		if n := p.set.GetOrCreateCounter("watchkeeper_probe_vantage_counted_out_total").Get(); n != 3 {
			t.Errorf("counted out %d times, want 3", n)
		}
	})
}

// A stop while references are looked at is no fault of the place.
func TestStopWhileReferencesHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, map[string]proberFunc{"up": good}, hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := &recorder{began: time.Now()}
		if err := p.Collect(ctx, checkTime, got); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Collect: %v", err)
		}
		if len(got.arrivals) != 0 {
			t.Errorf("delivered %v", got.arrivals)
		}
	})
}

func TestVantageSumsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(d time.Duration) proberFunc {
			return func(context.Context) result { time.Sleep(d); return result{} }
		}
		p := newPlace(t, map[string]proberFunc{"a": slow(time.Second), "b": slow(3 * time.Second), "down": hang,
			"own fault": func(context.Context) result { return result{local: errors.New("no socket")} }})
		_, _, own := p.check(t)
		want := map[string]float64{metricVantageTargets: 3, metricVantageTargetsGood: 2, metricVantageMeanDuration: 2}
		if diff := cmp.Diff(want, own); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Real references of each kind.
func TestReferences(t *testing.T) {
	open := converse(t, func(c net.Conn) { c.Close() })
	list := []Reference{{TCP: open}, {TCP: closedPort(t)}, {URL: URL(serve(t, respond(503, "busy")))}, {URL: "http://bad..name/"}, {URL: URL(serve(t, respond(301, "")))}}
	r, err := newReferences(list, time.Minute, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if s := r.look(t.Context()); s.reached != 3 || !s.ok {
		t.Errorf("%+v, want 3 of 5 reached", s)
	}
}

// Each target starts at a time of its own that configuration order does not move.
func TestLargeSetIsSpread(t *testing.T) {
	starts := func(reverse bool) map[string]time.Duration {
		at := make(map[string]time.Duration)
		synctest.Test(t, func(t *testing.T) {
			cfg := DefaultConfig()
			for i := range 1000 {
				n := i
				if reverse {
					n = 999 - i
				}
				cfg.Targets = append(cfg.Targets, Target{Name: fmt.Sprint(n), TCP: "127.0.0.1:1"})
			}
			collectors, err := New("acme", cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			began, seen := time.Now(), make(chan string, 1000)
			for _, target := range collectors[0].targets {
				name := target.name
				target.prober = proberFunc(func(context.Context) result { seen <- fmt.Sprint(name, " ", time.Since(began)); return result{} })
			}
			if err := collectors[0].Collect(t.Context(), checkTime, &recorder{began: began}); err != nil {
				t.Fatal(err)
			}
			for range 1000 {
				name, after, _ := strings.Cut(<-seen, " ")
				d, err := time.ParseDuration(after)
				if err != nil {
					t.Fatal(err)
				}
				at[name] = d
			}
		})
		return at
	}
	first := starts(false)
	if diff := cmp.Diff(first, starts(true)); diff != "" {
		t.Errorf("starts depend on the order (-as is +reversed):\n%s", diff)
	}
	perSecond := make(map[time.Duration]int)
	for _, d := range first {
		perSecond[d.Truncate(time.Second)]++
	}
	for s := range 15 {
		if n := perSecond[time.Duration(s)*time.Second]; n < 65 || n > 68 {
			t.Errorf("%d starts in second %d, want about 1000/15", n, s)
		}
	}
}

func TestRevision(t *testing.T) {
	two, again, three := 2, 2, 3
	cfg := func(change func(*Config)) Config {
		c := Config{Vantage: "v", Targets: []Target{{
			Name: "a", URL: "http://u:p@a/?k=1", HTTP: HTTP{MaxRedirects: &two, Headers: map[string]string{"A": "1", "B": "2"}},
			Secrets: map[string]Secret{"x": {Env: "X"}},
		}}}
		change(&c)
		return c
	}
	base := cfg(func(*Config) {}).Revision()
	f := func(what string, same bool, change func(*Config)) {
		t.Helper()
		if got := cfg(change).Revision() == base; got != same {
			t.Errorf("%s: same revision: %t, want %t", what, got, same)
		}
	}
	f("nothing", true, func(*Config) {})
	f("equal behind another pointer", true, func(c *Config) { c.Targets[0].HTTP.MaxRedirects = &again })
	f("behind a pointer", false, func(c *Config) { c.Targets[0].HTTP.MaxRedirects = &three })
	f("hidden part of a URL", false, func(c *Config) { c.Targets[0].URL = "http://u:q@a/?k=1" })
	f("in a map", false, func(c *Config) { c.Targets[0].Secrets["x"] = Secret{Env: "Y"} })
	f("reference", false, func(c *Config) { c.ReferenceTargets = []Reference{{TCP: "a:1"}} })
	if strings.Contains(base, "http") {
		t.Errorf("revision tells: %s", base)
	}
}
