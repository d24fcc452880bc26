package app

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters/probe"
	"watchkeeper/exporters/scrape"
	"watchkeeper/internal/config"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
)

// reasonRemoved is why a series ended whose collector or target is no longer
// configured.
const reasonRemoved = "removed from configuration"

// removal says which series the configuration still asks for.
type removal struct {
	sources map[sample.Source]bool   // configured collectors
	targets map[string]bool          // configured probe targets, by customer/instance
	scraped func(sample.Source) bool // whether a configured job scrapes the source
	// vanished, if set, asks only for scraped sources that discovery dropped.
	vanished func(sample.Source) bool
}

func newRemoval(cfg *config.Config, w *world) removal {
	r := removal{sources: map[sample.Source]bool{}, targets: map[string]bool{}, scraped: scrape.Configured(w.scrapes)}
	for _, j := range w.jobs {
		r.sources[j.Collector.Source()] = true
	}
	for _, cu := range cfg.Customers {
		if cu.Probes == nil {
			continue
		}
		r.targets[cu.Name+"/"+cu.Probes.Vantage] = true // what the place tells of itself
		for _, t := range cu.Probes.Targets {
			r.targets[cu.Name+"/"+t.Name] = true
		}
	}
	return r
}

// gone tells whether a series of src was collected by a collector of ours that
// is no longer asked for it. Sources that push are never gone by configuration.
func (r removal) gone(src sample.Source, l labels.Labels) bool {
	if r.vanished != nil {
		return r.vanished(src)
	}
	kind, _, _ := strings.Cut(src.Name, "/")
	if kind == scrape.Kind {
		return !r.scraped(src)
	}
	if slices.Contains([]string{"push", "rules"}, kind) {
		return false
	}
	return !r.configured(src) || kind == probe.Kind && !r.targets[src.Customer+"/"+l.Get("instance")]
}

// configured tells whether src is a collector's, or one of the resources that a
// collector reads as sources of their own (SOURCE/ID).
func (r removal) configured(src sample.Source) bool {
	for !r.sources[src] {
		i := strings.LastIndexByte(src.Name, '/')
		if i < 0 {
			return false
		}
		src.Name = src.Name[:i]
	}
	return true
}

// endRemoved closes the alerts on what was removed from the configuration: each
// series of theirs ends with a reason, so that it neither stays firing for ever
// nor looks resolved. Further sources whose series end are given in also.
func (a *App) endRemoved(ctx context.Context, r removal, alerts []ruleset.Alert, also ...sample.Source) error {
	now, reason := a.now().UnixMilli(), reasonRemoved
	if r.vanished != nil {
		reason = scrape.ReasonGone
	}
	concerned := map[sample.Source]bool{}
	for _, al := range alerts {
		if r.gone(al.Source, al.Identity) {
			concerned[al.Source] = true
		}
	}
	for _, src := range also {
		concerned[src] = true
	}
	var errs []error
	for src := range concerned {
		b := sample.Batch{Source: src, Watermark: now, Ups: []sample.Up{{T: now, OK: true}}}
		for _, l := range a.store.SeriesOf(src) {
			if r.gone(src, l) {
				b.Ends = append(b.Ends, sample.End{Labels: l, T: now, Reason: reason})
			}
		}
		if r.configured(src) {
			b.Ups, b.Watermark = nil, 0 // the collector lives on and says these itself
		}
		a.log.Info("series end: what delivered them was removed", "reason", reason, "customer", src.Customer, "source", src.Name, "series", len(b.Ends))
		_, err := a.pipeline.Deliver(ctx, b)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
