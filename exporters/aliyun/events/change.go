package events

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
)

const (
	// changePage is the largest page of LookupEvents.
	changePage = "50"
	// maxChangePages of one read: the service takes 2 calls a second. What is left
	// is read the next time.
	maxChangePages = 20
	// otherSeries is what events beyond the bound of series are counted under.
	otherSeries = "other"
)

// changes counts the writing calls of a region that ActionTrail records, and
// logs each. Parameters of requests are never looked at: they may hold secrets.
type changes struct {
	stream
	known map[string]bool // label sets in use, at most EventsConfig.MaxChangeSeries
	// narrow: the overlap holds more than one read takes, so the next goes without.
	narrow bool
}

func newChanges(r reader) *changes { return &changes{stream: newStream(r), known: map[string]bool{}} }

var _ exporters.Collector = (*changes)(nil)

// change is an event of the trail, a free map in the service's answer.
type change struct {
	ID           word `json:"eventId"`
	Name         word `json:"eventName"`
	Time         word `json:"eventTime"`
	Service      word `json:"serviceName"`
	Region       word `json:"acsRegion"`
	Source       word `json:"sourceIpAddress"`
	Resource     word `json:"resourceName"`
	ResourceType word `json:"resourceType"`
	ErrorCode    word `json:"errorCode"`
	Identity     struct {
		Type     word `json:"type"`
		UserName word `json:"userName"`
	} `json:"userIdentity"`
}

// Collect reads the trail from the last settled minute on, oldest first.
func (c *changes) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	from, err := c.since(ctx, at)
	if err != nil {
		return err
	}
	if c.narrow {
		from = c.done
	}
	events, whole, err := c.list(ctx, from, at)
	if err != nil {
		return err
	}
	batch := exporters.Looked(c.source, at, nil)
	end, narrow := settled(at), false
	if !whole {
		if end, narrow = c.reached(events, end); !narrow {
			batch.Watermark = end.UnixMilli()
		}
	}
	t := c.count(events, end)
	batch.Samples = t.samples
	if err := sink.Append(ctx, batch); err != nil {
		return err
	}
	c.commit(t, "account changed")
	// Without the overlap nothing is known of the events in it.
	c.cold, c.narrow = c.narrow || narrow, narrow
	return nil
}

// reached is the end of the last whole minute of a read that was cut off, and
// whether that is no progress because the overlap alone is more than one read
// takes. A single minute that is too much is counted as far as it was read.
func (c *changes) reached(events []happening, end time.Time) (time.Time, bool) {
	last := events[len(events)-1].at.Truncate(time.Minute)
	switch {
	case last.After(c.done) && last.Before(end):
		return last, false
	case last.After(c.done):
		return end, false
	case !c.narrow:
		return c.done, true
	}
	c.log.Warn("more changes in a minute than can be read: some are not counted", "minute", c.done.Add(time.Minute))
	return c.done.Add(time.Minute), false
}

// list reads the writing events; whole is false when there are more.
func (c *changes) list(ctx context.Context, from, to time.Time) (events []happening, whole bool, err error) {
	const layout = "2006-01-02T15:04:05Z"
	request := c.request("Actiontrail", "2020-07-06", "LookupEvents", map[string]string{
		"StartTime": from.UTC().Format(layout), "EndTime": to.UTC().Format(layout), "MaxResults": changePage, "Direction": "FORWARD",
		"LookupAttribute.1.Key": "EventRW", "LookupAttribute.1.Value": "Write",
	})
	pages := 0
	whole = true
	err = c.tokened(ctx, request, func(body []byte) (bool, error) {
		var answer struct{ Events []change }
		if err := decode(body, &answer); err != nil {
			return false, err
		}
		for _, e := range answer.Events {
			if h, ok := c.happening(e); ok {
				events = append(events, h)
			}
		}
		pages++
		whole = pages < maxChangePages || len(events) == 0
		return whole, nil
	})
	return events, whole || err != nil, err
}

// happening is false for an event of another region, or without id or time. What
// belongs to no region is the first region's.
func (c *changes) happening(e change) (happening, bool) {
	at := e.Time.moment()
	mine := string(e.Region) == c.region || e.Region == "" && c.first
	if !mine || e.ID == "" || at.IsZero() {
		return happening{}, false
	}
	user := string(e.Identity.UserName)
	if user == "" {
		user = string(e.Identity.Type)
	}
	result := "ok"
	if e.ErrorCode != "" {
		result = "failed"
	}
	return happening{
		id: string(e.ID), at: at, labels: c.series(string(e.Service), string(e.Name), user, result),
		log: []any{
			"service", bounded(string(e.Service)), "event", bounded(string(e.Name)), "user", bounded(user), "source_ip", bounded(string(e.Source)),
			"resource_type", bounded(string(e.ResourceType)), "resource", bounded(string(e.Resource)), "error", bounded(string(e.ErrorCode)), "event_id", bounded(string(e.ID)),
		},
	}, true
}

// series is the label set that counts an event. Whoever calls the API chooses
// names of users; so new sets beyond the bound become "other".
func (c *changes) series(service, event, user, result string) labels.Labels {
	key := strings.Join([]string{service, event, user, result}, "\x00")
	if !c.known[key] {
		if len(c.known) >= c.account.Config().Events.MaxChangeSeries {
			service, event, user = otherSeries, otherSeries, otherSeries
		} else {
			c.known[key] = true
		}
	}
	b := labels.NewBuilder(labels.EmptyLabels())
	pairs := map[string]string{
		model.MetricNameLabel: MetricChanges, "customer": c.account.Customer(), "product": "actiontrail", "region": c.region, "account": c.account.Name(),
		"service": bounded(service), "event": bounded(event), "user": bounded(user), "result": result,
	}
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		b.Set(name, pairs[name])
	}
	return b.Labels()
}
