package ruleset

import (
	"testing"
	"time"

	"watchkeeper/internal/sample"
)

// Up-samples of which all come late are forgotten like others.
func TestLateUpsAreForgotten(t *testing.T) {
	h := newHand(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 2, consecutive: 2, lateness: 30s, missing_after: 15s}]}]`)
	h.sample(40*time.Second, 1)
	for day := range 10 {
		for m := range 24 * 60 {
			at := time.Duration(day)*24*time.Hour + time.Duration(m)*time.Minute + 10*time.Minute
			h.deliver(at, sample.Batch{Ups: []sample.Up{{T: h.at(at - 5*time.Minute), OK: true}}})
		}
		h.sample(time.Duration(day)*24*time.Hour+24*time.Hour+10*time.Minute, 1)
	}
	src := h.e.source(sample.Source{})
	if len(src.nextUps) > 3*24*60+1024 {
		t.Errorf("%d first up-samples are kept of the last two days' %d", len(src.nextUps), 2*24*60)
	}
}
