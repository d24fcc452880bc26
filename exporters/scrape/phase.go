package scrape

import (
	"fmt"
	"hash/fnv"
	"maps"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/util/osutil"
)

// phaseLabel is a label of a target that no sample has; it shows only among the
// discoveredLabels of /api/v1/targets. The scrape manager derives a target's phase
// from all its labels: another value here is another phase.
const phaseLabel = "__watchkeeper_phase__"

// phaseTries bounds the values that are tried; each is right three times of four.
const phaseTries = 64

// phaser moves targets away from the edges of their slots: none is scraped
// within an eighth of its interval of one, where each hiccup would put a sample
// into the next slot and leave its own empty.
type phaser struct {
	seed uint64 // the scrape manager's
}

// newPhaser computes the seed as Prometheus's scrape manager does from this
// host's name and the external labels, of which we have none.
func newPhaser() (phaser, error) {
	host, err := osutil.GetFQDN()
	if err != nil {
		return phaser{}, fmt.Errorf("name of this host: %w", err)
	}
	h := fnv.New64a() // writes to it never fail
	fmt.Fprintf(h, "%s%s", host, labels.EmptyLabels().String())
	return phaser{seed: h.Sum64()}, nil
}

// place returns the groups with phaseLabel on the targets that need one. The
// groups belong to discovery and are not changed.
func (p phaser) place(cfg *promconfig.ScrapeConfig, sets map[string][]*targetgroup.Group) map[string][]*targetgroup.Group {
	lb := labels.NewBuilder(labels.EmptyLabels())
	out := make(map[string][]*targetgroup.Group, len(sets))
	for name, groups := range sets {
		placed := make([]*targetgroup.Group, len(groups))
		for i, g := range groups {
			placed[i] = p.group(lb, cfg, g)
		}
		out[name] = placed
	}
	return out
}

func (p phaser) group(lb *labels.Builder, cfg *promconfig.ScrapeConfig, g *targetgroup.Group) *targetgroup.Group {
	if g == nil {
		return nil
	}
	c := &targetgroup.Group{Labels: g.Labels, Source: g.Source, Targets: make([]model.LabelSet, len(g.Targets))}
	for i, t := range g.Targets {
		c.Targets[i] = p.target(lb, cfg, t, g.Labels)
	}
	return c
}

// target returns the labels of a target with a good phase. Where relabelling
// takes the label away, or drops the target, they stay as they are.
func (p phaser) target(lb *labels.Builder, cfg *promconfig.ScrapeConfig, t, group model.LabelSet) model.LabelSet {
	tried := t
	for n := range phaseTries {
		if n > 0 {
			tried = maps.Clone(t)
			tried[phaseLabel] = model.LabelValue(strconv.Itoa(n))
		}
		l, err := scrape.PopulateLabels(lb, cfg, tried, group)
		if err != nil || l.IsEmpty() {
			return t
		}
		interval := intervalOf(l, cfg)
		if clearOfEdges(p.phase(l, scrape.NewTarget(l, cfg, tried, group).URL().String(), interval), interval) {
			return tried
		}
	}
	return t
}

// phase is where within its interval a target is scraped: Prometheus's own
// arithmetic, of which it exports nothing. A test holds it to what happens.
func (p phaser) phase(l labels.Labels, url string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	fmt.Fprintf(h, "%016d%s", l.Hash(), url)
	return time.Duration((h.Sum64() ^ p.seed) % uint64(interval))
}

func clearOfEdges(phase, interval time.Duration) bool {
	edge := interval/8 + 5*time.Millisecond // Prometheus rounds times by up to 2 ms
	return phase >= edge && phase <= interval-edge
}

// intervalOf is the target's own interval, which relabelling may set.
func intervalOf(l labels.Labels, cfg *promconfig.ScrapeConfig) time.Duration {
	if d, err := model.ParseDuration(l.Get(model.ScrapeIntervalLabel)); err == nil && d > 0 {
		return time.Duration(d)
	}
	return time.Duration(cfg.ScrapeInterval)
}
