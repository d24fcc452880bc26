package inventory

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/internal/sample"
)

// Why a series ended.
const (
	reasonDeleted  = "deleted"
	reasonReplaced = "replaced" // an info series whose labels have changed
)

const (
	// presenceLifetime is how long a resource that is gone is remembered.
	presenceLifetime = 48 * time.Hour
	// recallSpan is how long before the last check of an earlier run a resource
	// was listed that had not ended by then.
	recallSpan = time.Hour
	// maxLines of one check are logged about single resources.
	maxLines = 20
)

// collector lists the resources of one product in one region of an account.
type collector struct {
	describer
	source   sample.Source
	list     lister
	presence *aliyun.Presence
	resume   aliyun.ResumeFunc
	recall   RecallFunc // may be nil
	log      *slog.Logger

	started      bool                 // resume and recall were asked
	firstContact bool                 // nothing was ever delivered
	known        map[string]described // by resource, as last delivered
	extras       map[string]extra     // by resource
	detailsFail  bool                 // asking for details failed, and was told
	empty        bool                 // the list is empty though it was not before, and that was told
}

var _ exporters.Collector = (*collector)(nil)

func (c *collector) Source() sample.Source { return c.source }

// Collect delivers one batch: the series of every resource of a whole list, the
// ends of those that are gone.
func (c *collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	if err := c.start(ctx); err != nil {
		return err
	}
	got, err := c.list.list(ctx)
	if err != nil {
		return fmt.Errorf("list %s: %w", c.product.name, err)
	}
	c.tellDetails(c.details(ctx, at, got))
	batch := sample.Batch{
		Source:    c.source,
		Samples:   make([]sample.Sample, 0, 1+len(got.resources)*(2+len(perResource))),
		Ups:       []sample.Up{{T: at.UnixMilli(), OK: true}},
		Watermark: sample.Current,
	}
	next := maps.Clone(c.known)
	found := c.describeAll(got, at, next, &batch)
	if got.whole {
		c.presence.List(at, slices.Collect(maps.Keys(got.seen)))
	}
	gone := c.endGone(at, next, &batch)
	if err := sink.Append(ctx, batch); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	c.tell(got, found, gone)
	c.known, c.firstContact = next, false
	c.presence.Forget(at.Add(-presenceLifetime))
	return nil
}

// start learns once what an earlier run delivered.
func (c *collector) start(ctx context.Context) error {
	if c.started {
		return nil
	}
	last, before, err := c.resume(ctx, c.source)
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	known := map[string]described{}
	if c.recall != nil && before {
		for _, metric := range append([]string{c.product.infoName()}, perResource...) {
			stored, err := c.recall(ctx, metric, c.customer, c.product.name, c.region, last.Add(-recallSpan))
			if err != nil {
				return fmt.Errorf("recall %s: %w", metric, err)
			}
			for _, s := range stored {
				remember(known, metric, s)
			}
		}
	}
	c.known, c.firstContact, c.started = known, !before, true
	return nil
}

// remember takes a stored sample of a resource.
func remember(known map[string]described, metric string, s sample.Sample) {
	id := s.Labels.Get("instance")
	d := known[id]
	if bit := slices.Index(perResource, metric); bit < 0 {
		if s.T >= d.at { // older ones were replaced
			d.info = s.Labels
		}
	} else {
		d.has |= 1 << bit
		if metric == resourceFirstSeen {
			d.firstSeen = int64(s.V * 1000)
		}
	}
	d.at = max(d.at, s.T)
	known[id] = d
}

// describeAll appends the series of all resources and returns those that are new.
func (c *collector) describeAll(got listing, at time.Time, next map[string]described, batch *sample.Batch) (found []*resource) {
	for i := range got.resources {
		r := &got.resources[i]
		old, ok := c.known[r.id]
		firstSeen := old.firstSeen
		if firstSeen == 0 {
			firstSeen = at.UnixMilli()
		}
		if !ok {
			found = append(found, r)
		}
		d := c.describe(r, at, firstSeen, batch)
		if ok && !old.info.IsEmpty() && !labels.Equal(old.info, d.info) {
			batch.Ends = append(batch.Ends, sample.End{Labels: old.info, T: old.at, Reason: reasonReplaced})
		}
		next[r.id] = d
	}
	c.count(len(got.resources), at, batch)
	return found
}

// endGone ends the series of resources that are gone for good.
func (c *collector) endGone(at time.Time, next map[string]described, batch *sample.Batch) (gone []string) {
	for _, id := range slices.Sorted(maps.Keys(next)) {
		if d := next[id]; c.presence.Gone(id, at) {
			c.end(id, d, batch)
			delete(next, id)
			gone = append(gone, id)
		}
	}
	return gone
}

// tell logs what has changed.
func (c *collector) tell(got listing, found []*resource, gone []string) {
	if c.firstContact {
		c.log.Info("inventory begins", "resources", len(got.resources))
		found = nil
	}
	for _, r := range found[:min(len(found), maxLines)] {
		c.log.Info("resource found", "instance", r.id, "name", r.name)
	}
	if n := len(found) - maxLines; n > 0 {
		c.log.Info("more resources found", "resources", n)
	}
	for _, id := range gone[:min(len(gone), maxLines)] {
		c.log.Info("resource is gone", "instance", id, "last_listed", time.UnixMilli(c.known[id].at).UTC())
	}
	if n := len(gone) - maxLines; n > 0 {
		c.log.Info("more resources are gone", "resources", n)
	}
	emptied := len(got.resources) == 0 && len(c.known) > 0
	if emptied && !c.empty {
		c.log.Warn("list is empty: are all resources deleted, or is a permission missing?", "resources_before", len(c.known))
	}
	c.empty = emptied
}

// tellDetails logs the first of a row of failures to ask for details. The list
// goes on without them.
func (c *collector) tellDetails(err error) {
	if err != nil && !c.detailsFail {
		c.log.Warn("details of resources cannot be read", "err", err)
	}
	c.detailsFail = err != nil
}
