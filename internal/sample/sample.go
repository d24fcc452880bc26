// Package sample holds the one value that travels from a source through the
// store to the rule engine: a Batch. It carries the samples with their own
// timestamps and the facts that judging needs and that samples alone cannot
// tell: who delivered them, whether anyone was looking, up to which event time
// the source has delivered all it will, and which series ended for a reason.
//
// The vocabulary is Prometheus's: label sets are labels.Labels, times are Unix
// milliseconds in UTC, values are float64, a stale marker is value.StaleNaN.
package sample

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// Names of the series by which the store keeps a source's facts. Both carry
// the labels customer and source, and no sender may write them.
const (
	// UpMetric is 1 at each check at which the source looked and 0 at each at
	// which it tried and could not.
	UpMetric = "watchkeeper_source_up"
	// WatermarkMetric is the source's declared watermark in Unix seconds;
	// +Inf means Current.
	WatermarkMetric = "watchkeeper_source_watermark_timestamp_seconds"
)

// Current as a Watermark says that the source delivers currently: its
// watermark is the engine's clock until a later batch says otherwise.
const Current int64 = math.MaxInt64

// Source identifies who delivered a batch. Its up-samples, watermark and end
// marks speak for all series that it delivered, and only for them.
type Source struct {
	Customer string // tenant; set by the listener or token, never by the sender's word
	Name     string // stable within the customer, e.g. "host/web-1", "aliyun/main/cn-hangzhou/acs_ecs_dashboard"
}

// Sample is one value of one series at its own timestamp. Labels hold the
// metric name, customer and the series' identity, nothing else.
type Sample struct {
	Labels labels.Labels
	T      int64 // event time, Unix ms
	V      float64
	// Ref is a number that the store gives a series when it accepts a sample of
	// it: never that of another one while the process lives, so that what the
	// samples are handed to needs no look at the labels. 0 when nobody gave one.
	Ref uint64
}

// Up says that at T the source looked (OK) or tried to look and could not.
// A check of a rule counts as observed when an OK up-sample of the series'
// source lies in its slot (T-I, T].
type Up struct {
	T  int64
	OK bool
}

// End says that a series legitimately ended after T: a deleted instance, a
// finished pod, a source removed from the configuration.
type End struct {
	Labels labels.Labels
	T      int64
	Reason string // closed vocabulary of the collector, e.g. "deleted", "removed from configuration"
}

// Batch is what a source delivers at once. It is judged only as a whole.
type Batch struct {
	Source  Source
	Samples []Sample
	Ups     []Up
	Ends    []End
	// Watermark is the event time (Unix ms) up to which the source has
	// delivered all it will; Current while it delivers currently; 0 leaves the
	// watermark as it was.
	Watermark int64
	// FillIn marks history that a source brings at its first contact while
	// more of it is to come; the fill-in ends with the first batch without it.
	FillIn bool
}
