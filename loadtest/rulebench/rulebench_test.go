package rulebench

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A small run measures every part, and the three forms agree on what fires.
func TestRun(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Series, cfg.Minutes, cfg.PrometheusMinutes, cfg.Dir = 2000, 2, 1, t.TempDir()
	r, err := Run(t.Context(), cfg, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Firing != 100 {
		t.Errorf("%d alerts fire, want 5 %% of 2000", r.Firing)
	}
	if r.Rules < 40 || r.Rules+r.Left != 90 {
		t.Errorf("%d rules measured and %d left out of the contract's 90", r.Rules, r.Left)
	}
	for name, c := range map[string]Cost{"engine": r.Engine, "for": r.For, "exact": r.Exact, "store": r.Store} {
		if c.CPU <= 0 || c.Checks != cfg.Series*c.Minutes || c.Minutes == 0 {
			t.Errorf("%s: %+v", name, c)
		}
	}
	var out bytes.Buffer
	if err := Write(&out, r); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`\nratio_exact [0-9]+\.[0-9]\n$`).Match(out.Bytes()) {
		t.Errorf("the last line is not the ratio:\n%s", &out)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []Config{{}, {Series: 1000, Breaching: 2}, {Series: 1000}, {Series: 1000, Minutes: 1}} {
		if c.Validate() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

// A small run fires every alert that begins in it, on time and late ones, and
// measures how long it took.
func TestRunFiring(t *testing.T) {
	cfg := FiringConfig{Series: 4000, Rules: 3, Rate: 8000, Interval: time.Second, Checks: 8, Alerts: 40, Lateness: 30 * time.Minute, Dir: t.TempDir()}
	r, err := RunFiring(t.Context(), cfg, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.OnTime) < 20 || len(r.Late) < 20 || r.Samples < int64(cfg.Series) || r.EngineBytes == 0 || r.CPU == 0 {
		t.Errorf("%d on time, %d late, %d samples, %d bytes, %s", len(r.OnTime), len(r.Late), r.Samples, r.EngineBytes, r.CPU)
	}
	var out bytes.Buffer
	if err := WriteFiring(&out, r); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`\nfiring_p99_ms [0-9]+\.[0-9]+\n$`).Match(out.Bytes()) {
		t.Errorf("the last line is not the time to firing:\n%s", &out)
	}
	for _, c := range []FiringConfig{{}, {Series: 4000}, {Series: 4000, Rules: 1, Rate: 1000, Interval: time.Second}, {Series: 4000, Rules: 1, Rate: 8000, Interval: time.Second, Checks: 8}} {
		if c.Validate() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// A backlog is brought beside every other check, in time or too late, and times are told apart.
func TestRunFiringBesideABacklog(t *testing.T) {
	for _, late := range []bool{false, true} {
		cfg := FiringConfig{Series: 4000, Rules: 2, Rate: 8000, Interval: time.Second, Checks: 8, Alerts: 40, Lateness: 4 * time.Minute, Backfill: 4000, BackfillLate: late, Dir: t.TempDir()}
		r, err := RunFiring(t.Context(), cfg, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Old) == 0 || len(r.OnTime)+len(r.Late)+len(r.OnTimeOld)+len(r.LateOld) == 0 {
			t.Errorf("late %v: %d batches of the backlog, %d, %d, %d and %d alerts", late, len(r.Old), len(r.OnTime), len(r.Late), len(r.OnTimeOld), len(r.LateOld))
		}
		var out bytes.Buffer
		if err := WriteFiring(&out, r); err != nil || !strings.Contains(out.String(), "beside a backlog") {
			t.Errorf("%v in\n%s", err, out.String())
		}
	}
}
