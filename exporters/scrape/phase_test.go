package scrape

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"

	"watchkeeper/internal/sample"
)

// Targets are scraped at the phases that we reckon with, and none of those lies
// within an eighth of the interval of a slot's edge. With the slack for a busy
// machine a wrong reckoning of all forty would hold once in 4^40 times.
func TestPhases(t *testing.T) {
	const targets, interval, late = 40, 4 * time.Second, time.Second
	e := newExporter(t, "x 1\n")
	var text strings.Builder
	text.WriteString("  static_configs:\n")
	for i := range targets {
		fmt.Fprintf(&text, "  - {targets: [%q], labels: {n: \"%d\"}}\n", e.address(), i)
	}
	w := run(t, pacedJob(t, "4s", text.String()))
	phases := map[string]time.Duration{}
	all := w.until("a scrape of each", func(all []sample.Batch) bool {
		for _, b := range all {
			if x, ok := find(b, "x"); ok {
				n := x.Labels.Get("n")
				at := time.Duration(x.T%interval.Milliseconds()) * time.Millisecond
				if was, seen := phases[n]; !seen || at < was {
					phases[n] = at
				}
			}
		}
		return len(phases) == targets
	})
	if len(all) == 0 {
		t.Fatal("nothing was delivered")
	}
	j := w.m.jobs[jobKey{"acme", "test"}]
	cfg := j.configured().config.ScrapeConfigs[0]
	moved := 0
	for _, target := range j.scrapes.TargetsActive()["test"] {
		lb := labels.NewBuilder(labels.EmptyLabels())
		found := model.LabelSet{}
		target.DiscoveredLabels(lb).Range(func(l labels.Label) { found[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
		l, err := scrape.PopulateLabels(lb, cfg, found, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := j.phaser.phase(l, target.URL().String(), interval)
		if !clearOfEdges(want, interval) {
			t.Errorf("target %s is scraped at %s of %s", l.Get("n"), want, interval)
		}
		if got := phases[l.Get("n")]; got < want-5*time.Millisecond || got > want+late {
			t.Errorf("target %s was scraped at %s, reckoned with %s", l.Get("n"), got, want)
		}
		if l.Has(phaseLabel) {
			moved++
		}
	}
	if moved == 0 || moved == targets {
		t.Errorf("%d of %d targets were moved: want about a quarter", moved, targets)
	}
}

// What is scraped carries no trace of how its phase was found.
func TestPhaseLabelIsHidden(t *testing.T) {
	e := newExporter(t, "x 1\n")
	w := run(t, oneJob(t, "  relabel_configs: [{target_label: "+phaseLabel+", replacement: \"7\"}]\n", e.address()))
	b := w.good(1)
	for _, s := range b.Samples {
		if s.Labels.Has(phaseLabel) {
			t.Errorf("series %s", s.Labels)
		}
	}
	if strings.Contains(b.Source.Name, "phase") {
		t.Errorf("source %s", b.Source.Name)
	}
}
