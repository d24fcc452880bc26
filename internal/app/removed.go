package app

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters/probe"
	"watchkeeper/internal/config"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
)

// reasonRemoved is why a series ended whose collector or target is no longer
// configured.
const reasonRemoved = "removed from configuration"

// removal says which series the configuration still asks for.
type removal struct {
	sources map[sample.Source]bool // configured collectors
	targets map[string]bool        // configured probe targets, by customer/instance
}

func newRemoval(cfg *config.Config, w *world) removal {
	r := removal{sources: map[sample.Source]bool{}, targets: map[string]bool{}}
	for _, j := range w.jobs {
		r.sources[j.Collector.Source()] = true
	}
	for _, cu := range cfg.Customers {
		if cu.Probes == nil {
			continue
		}
		for _, t := range cu.Probes.Targets {
			r.targets[cu.Name+"/"+t.Name] = true
		}
	}
	return r
}

// gone tells whether a series of src was collected by a collector of ours that
// is no longer asked for it. Sources that push are never gone by configuration.
func (r removal) gone(src sample.Source, l labels.Labels) bool {
	kind, _, _ := strings.Cut(src.Name, "/")
	if slices.Contains([]string{"push", "rules"}, kind) {
		return false
	}
	return !r.sources[src] || kind == probe.Kind && !r.targets[src.Customer+"/"+l.Get("instance")]
}

// endRemoved closes the alerts on what was removed from the configuration: each
// series of theirs ends with a reason, so that it neither stays firing for ever
// nor looks resolved.
func (a *App) endRemoved(ctx context.Context, r removal, alerts []ruleset.Alert) error {
	now := a.now().UnixMilli()
	concerned := map[sample.Source]bool{}
	for _, al := range alerts {
		if r.gone(al.Source, al.Identity) {
			concerned[al.Source] = true
		}
	}
	var errs []error
	for src := range concerned {
		b := sample.Batch{Source: src, Watermark: now, Ups: []sample.Up{{T: now, OK: true}}}
		for _, l := range a.store.SeriesOf(src) {
			if r.gone(src, l) {
				b.Ends = append(b.Ends, sample.End{Labels: l, T: now, Reason: reasonRemoved})
			}
		}
		if r.sources[src] {
			b.Ups, b.Watermark = nil, 0 // the collector lives on and says these itself
		}
		a.log.Info("series end: removed from configuration", "customer", src.Customer, "source", src.Name, "series", len(b.Ends))
		_, err := a.pipeline.Deliver(ctx, b)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
