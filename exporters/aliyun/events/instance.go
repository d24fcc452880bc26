package events

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
)

// Reasons of ends.
const (
	reasonFinished  = "finished"  // the event is over for a day
	reasonWithdrawn = "withdrawn" // the service lists others, this one no more
	reasonDeleted   = "deleted"   // the instance is gone
	reasonPassed    = "passed"    // no such event for two hours
)

// pageSize of the lists of ECS.
const pageSize = 100

// cycleStatuses must be named: by default only finished events are listed.
var cycleStatuses = []string{"Scheduled", "Inquiring", "Executing", "Executed", "Avoided", "Canceled", "Failed"}

// instanceEvents reads the system events of a region's ECS instances. The
// service lists finished ones for 30 days, so an event's whole course is seen
// after any restart.
type instanceEvents struct {
	reader
	book   book
	listed int // events in the newest list
}

func newInstanceEvents(r reader) *instanceEvents { return &instanceEvents{reader: r} }

var _ exporters.Collector = (*instanceEvents)(nil)

// kind is what a series is about: events of one type of one instance.
type kind struct{ instance, event string }

// course is what the list says of a kind.
type course struct {
	scheduled, executing           int
	notBefore, published, finished time.Time
}

func (c course) open() bool { return c.scheduled+c.executing > 0 }

// Collect lists the events and delivers the state of each kind. A kind is shown
// for a day after its last event has ended.
func (c *instanceEvents) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	courses, err := c.list(ctx)
	if err != nil {
		return err
	}
	b := c.builder(at, "ecs")
	for k, s := range courses {
		if !s.open() && at.Sub(s.finished) > day {
			continue
		}
		dims := []string{"instance", k.instance, "event", k.event}
		b.Add(MetricScheduled, float64(s.scheduled), dims...)
		b.Add(MetricExecuting, float64(s.executing), dims...)
		for name, t := range map[string]time.Time{MetricNotBefore: s.notBefore, MetricPublished: s.published, MetricFinished: s.finished} {
			if !t.IsZero() {
				b.Add(name, float64(t.Unix()), dims...)
			}
		}
	}
	vanished := c.vanished(ctx, courses)
	return c.book.deliver(ctx, sink, exporters.Looked(c.source, at, b.Samples()), nil, func(ls labels.Labels, absent int) (string, bool) {
		k := kind{ls.Get("instance"), ls.Get("event")}
		if _, listed := courses[k]; listed {
			return reasonFinished, true
		}
		return vanished(k, absent)
	})
}

func (c *instanceEvents) list(ctx context.Context) (map[kind]course, error) {
	query := map[string]string{"PageSize": strconv.Itoa(pageSize)}
	for i, status := range cycleStatuses {
		query[fmt.Sprintf("InstanceEventCycleStatus.%d", i+1)] = status
	}
	courses, seen := map[kind]course{}, map[word]bool{}
	c.listed = 0
	err := c.numbered(ctx, c.ecs("DescribeInstanceHistoryEvents", query), "PageNumber", pageSize, func(body []byte) (int, error) {
		var answer struct {
			InstanceSystemEventSet struct {
				InstanceSystemEventType []struct {
					EventID                                      word `json:"EventId"`
					InstanceID                                   word `json:"InstanceId"`
					EventType, EventCycleStatus                  struct{ Name word }
					NotBefore, EventPublishTime, EventFinishTime word
				}
			}
		}
		if err := decode(body, &answer); err != nil {
			return 0, err
		}
		items := answer.InstanceSystemEventSet.InstanceSystemEventType
		c.listed += len(items)
		for _, e := range items {
			if seen[e.EventID] {
				continue // the list has moved between two pages
			}
			seen[e.EventID] = true
			k := kind{bounded(string(e.InstanceID)), bounded(string(e.EventType.Name))}
			courses[k] = courses[k].with(string(e.EventCycleStatus.Name), e.EventPublishTime.moment(), e.NotBefore.moment(), e.EventFinishTime.moment())
		}
		return len(items), nil
	})
	return courses, err
}

// with adds an event.
func (c course) with(status string, published, notBefore, finished time.Time) course {
	c.published = later(c.published, published)
	switch status {
	case "Scheduled", "Inquiring":
		c.scheduled++
	case "Executing":
		c.executing++
	default:
		c.finished = later(c.finished, later(finished, published))
		return c
	}
	if c.notBefore.IsZero() || !notBefore.IsZero() && notBefore.Before(c.notBefore) {
		c.notBefore = notBefore
	}
	return c
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// vanished judges kinds that the list no longer has. An empty list may be a
// missing permission and says nothing; then the list of instances, if it holds
// any, tells whether the instance is gone. It is asked at most once.
func (c *instanceEvents) vanished(ctx context.Context, courses map[kind]course) func(kind, int) (string, bool) {
	var instances map[string]bool
	return func(k kind, absent int) (string, bool) {
		if absent < 2 {
			return "", false
		}
		if instances == nil {
			instances = c.instances(ctx)
		}
		switch {
		case len(instances) > 0 && !instances[k.instance]:
			return reasonDeleted, true
		case len(courses) > 0:
			return reasonWithdrawn, true
		}
		return "", false
	}
}

// instances are the ids of the region; empty when they cannot be had.
func (c *instanceEvents) instances(ctx context.Context) map[string]bool {
	ids := map[string]bool{}
	q := aliyun.InstanceQuery{Region: c.region, Length: aliyun.MaxInstances}
	for range maxPages {
		page, err := c.client.Instances(ctx, q)
		if err != nil {
			c.log.Warn("instances not listed", "err", err)
			return map[string]bool{}
		}
		for _, in := range page.Instances {
			ids[in.ID] = true
		}
		if page.NextToken == "" || page.NextToken == q.NextToken {
			break
		}
		q.NextToken = page.NextToken
	}
	return ids
}
