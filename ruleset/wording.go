package ruleset

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Texts returns the labels and the annotations that the rule gives an alert with this
// identity and value, as an entry of the live log at now has them.
func (r *Rule) Texts(ctx context.Context, identity labels.Labels, value float64, now time.Time) (lset, annotations labels.Labels) {
	w := newWording()
	lset = w.labelsOf(ctx, r, identity, value, now.UnixMilli())
	return lset, w.annotationsOf(ctx, r, identity, value, now.UnixMilli())
}
