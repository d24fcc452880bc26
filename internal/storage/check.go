package storage

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/sample"
)

// CustomerLabel is the label that names the tenant on every series.
const CustomerLabel = "customer"

const (
	// reservedPrefix is that of the names by which the store keeps a source's facts.
	reservedPrefix = "watchkeeper_source_"
	// judgingPrefix is that of what the server tells of its judging, by sources of its
	// own, whose names begin with judgingSources.
	judgingPrefix  = "watchkeeper_judging_"
	judgingSources = "rules/"
	// maxSeriesBytes bounds all labels of a series together: JSON takes up to six
	// bytes for one, and a line of the journal must stay below its limit.
	maxSeriesBytes = 128 << 10
	// maxEndReason bounds the reason of an end, in bytes: each is a line of the journal.
	maxEndReason = 256
)

func reserved(name string) bool {
	return strings.HasPrefix(name, reservedPrefix) || strings.HasPrefix(name, judgingPrefix)
}

// labelCheck checks and completes the label sets of one customer's series.
type labelCheck struct {
	cfg      *Config
	customer string
	operator bool // an operator's import: reserved names are allowed, customer may be empty
	judging  bool // a source that tells of judging
	builder  *labels.Builder
}

func newLabelCheck(cfg *Config, src sample.Source) *labelCheck {
	return &labelCheck{cfg: cfg, customer: src.Customer, judging: strings.HasPrefix(src.Name, judgingSources), builder: labels.NewBuilder(labels.EmptyLabels())}
}

// check returns the label set as it will be stored: without empty values and
// with the customer. The detail of a refusal is for people.
func (c *labelCheck) check(l labels.Labels) (out labels.Labels, reason Reason, detail string) {
	var (
		n, size        int
		empty          bool
		prev, name, of string
	)
	err := l.Validate(func(lb labels.Label) error {
		n++
		size += len(lb.Name) + len(lb.Value)
		if lb.Name <= prev {
			if lb.Name == prev && prev != "" {
				return fmt.Errorf("label %q twice", lb.Name)
			}
			if lb.Name == "" {
				return fmt.Errorf("label with an empty name")
			}
			return fmt.Errorf("labels not sorted at %q", lb.Name)
		}
		prev = lb.Name
		switch {
		case size > maxSeriesBytes:
			return fmt.Errorf("labels longer than %d bytes together", maxSeriesBytes)
		case n > c.cfg.MaxLabels:
			return fmt.Errorf("more than %d labels", c.cfg.MaxLabels)
		case len(lb.Name) > c.cfg.MaxLabelNameBytes:
			return fmt.Errorf("label name %.40q… longer than %d bytes", lb.Name, c.cfg.MaxLabelNameBytes)
		case len(lb.Value) > c.cfg.MaxLabelValueBytes:
			return fmt.Errorf("value of label %q longer than %d bytes", lb.Name, c.cfg.MaxLabelValueBytes)
		case !utf8.ValidString(lb.Name) || !utf8.ValidString(lb.Value):
			return fmt.Errorf("label %q: not valid UTF-8", lb.Name)
		}
		switch {
		case lb.Value == "":
			empty = true
		case lb.Name == model.MetricNameLabel:
			name = lb.Value
		case lb.Name == CustomerLabel:
			of = lb.Value
		}
		return nil
	})
	switch {
	case err != nil:
		return l, ReasonLabels, err.Error()
	case name == "":
		return l, ReasonLabels, "no metric name"
	case c.customer == "" && of == "":
		return l, ReasonLabels, "no customer"
	case of != "" && of != c.customer && c.customer != "":
		return l, ReasonCustomer, fmt.Sprintf("label says %q, the sender is %q", of, c.customer)
	case reserved(name) && !c.operator && !(c.judging && strings.HasPrefix(name, judgingPrefix)):
		return l, ReasonReserved, name
	case of != "" && !empty:
		return l, "", ""
	}
	if of == "" && n == c.cfg.MaxLabels {
		return l, ReasonLabels, fmt.Sprintf("more than %d labels with the customer", c.cfg.MaxLabels)
	}
	c.builder.Reset(l) // drops the empty ones
	if of == "" {
		c.builder.Set(CustomerLabel, c.customer)
	}
	return c.builder.Labels(), "", ""
}

// canonical makes all NaN that are not stale markers the same, so that a NaN
// sent twice is a duplicate and not a conflict.
func canonical(v float64) float64 {
	if math.IsNaN(v) && !value.IsStaleNaN(v) {
		return math.Float64frombits(value.NormalNaN)
	}
	return v
}

// factLabels are those of the series that keeps a fact of a source.
func factLabels(name string, src sample.Source) labels.Labels {
	return labels.FromStrings(model.MetricNameLabel, name, CustomerLabel, src.Customer, "source", src.Name)
}
