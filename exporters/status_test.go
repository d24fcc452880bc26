package exporters

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatusTellsOfTheLastCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("connection refused")
		good := stub("good", func(context.Context, time.Time) error { time.Sleep(20 * time.Millisecond); return nil })
		bad := stub("bad", func(context.Context, time.Time) error { return refused })
		hangs := stub("hangs", func(context.Context, time.Time) error { time.Sleep(10 * time.Hour); return nil })
		job := func(c Collector) Job {
			return Job{Kind: "host", Collector: c, Interval: time.Minute, Timeout: 10 * time.Second, Revision: "1"}
		}
		w := runWorld(t, job(hangs), job(good), job(bad))
		synctest.Wait()
		for _, s := range w.Status() {
			if !s.At.IsZero() || s.Err != nil {
				t.Errorf("%s before its first check: %+v", s.Source.Name, s)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		got := w.Status()
		if len(got) != 3 {
			t.Fatalf("status of %d jobs, want 3", len(got))
		}
		for i, want := range []struct {
			name string
			err  error
			took time.Duration
		}{{"bad", refused, 0}, {"good", nil, 20 * time.Millisecond}, {"hangs", errHung, 0}} {
			s := got[i]
			if s.Source.Name != want.name || !errors.Is(s.Err, want.err) || (want.took > 0 && s.Duration != want.took) ||
				s.At.IsZero() || time.Since(s.At) > time.Minute || s.Interval != time.Minute || s.Timeout != 10*time.Second {
				t.Errorf("status %+v, want %+v", s, want)
			}
		}
		if err := w.Apply([]Job{job(good)}); err != nil {
			t.Fatal(err)
		}
		if got := w.Status(); len(got) != 1 || got[0].Source.Name != "good" {
			t.Errorf("after the others were removed: %+v", got)
		}
		w.stop()
		time.Sleep(11 * time.Hour) // what hangs returns
	})
}
