package events

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

const (
	// recently is the window of MetricRecent; the series stays, at zero, for as
	// long again, so that an alert resolves.
	recently = time.Hour
	// systemPage is the page size of CloudMonitor's events.
	systemPage = 100
)

// systemEvents reads CloudMonitor's system events of a region: what products
// announce and report of themselves. Events carry no id; two that agree in product,
// name, level, status, resource and millisecond are one.
type systemEvents struct {
	stream
	book book
}

func newSystemEvents(r reader) *systemEvents { return &systemEvents{stream: newStream(r)} }

var _ exporters.Collector = (*systemEvents)(nil)

// systemEvent is an item of the list.
type systemEvent struct {
	Product, Name, Level, Status, Time word
	ResourceID                         word `json:"ResourceId"`
	RegionID                           word `json:"RegionId"`
	Content                            word
}

// Collect reads the events since the last settled minute, and at least those
// that MetricRecent is about.
func (c *systemEvents) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	from, err := c.since(ctx, at)
	if err != nil {
		return err
	}
	if back := at.Add(-2 * recently); back.Before(from) {
		from = back
	}
	items, err := c.list(ctx, from, at)
	if err != nil {
		return err
	}
	recent := map[string]int{}
	series := map[string]labels.Labels{}
	events := make([]happening, 0, len(items))
	for _, e := range items {
		h, identity := c.happening(e)
		events = append(events, h)
		if age := at.Sub(h.at); age < 2*recently {
			key := identity.String()
			series[key] = identity
			if age < recently {
				recent[key]++
			}
		}
	}
	t := c.count(events, settled(at))
	batch := exporters.Looked(c.source, at, nil)
	for key, ls := range series {
		batch.Samples = append(batch.Samples, sample.Sample{Labels: ls, T: at.UnixMilli(), V: float64(recent[key])})
	}
	err = c.book.deliver(ctx, sink, batch, t.samples, func(labels.Labels, int) (string, bool) { return reasonPassed, true })
	if err != nil {
		return err
	}
	c.commit(t, "system event")
	return nil
}

func (c *systemEvents) list(ctx context.Context, from, to time.Time) ([]systemEvent, error) {
	query := map[string]string{
		"StartTime": strconv.FormatInt(from.UnixMilli(), 10), "EndTime": strconv.FormatInt(to.UnixMilli(), 10), "PageSize": strconv.Itoa(systemPage),
	}
	request := c.request("Cms", "2019-01-01", "DescribeSystemEventAttribute", query)
	var all []systemEvent
	seen := map[systemEvent]bool{}
	err := c.numbered(ctx, request, "PageNumber", systemPage, func(body []byte) (int, error) {
		var answer struct {
			SystemEvents struct{ SystemEvent []systemEvent }
		}
		if err := decode(body, &answer); err != nil {
			return 0, err
		}
		for _, e := range answer.SystemEvents.SystemEvent {
			mine := string(e.RegionID) == c.region || e.RegionID == "" && c.first
			if mine && !seen[e] && e.Time.number() > 0 {
				all = append(all, e)
			}
			seen[e] = true
		}
		return len(answer.SystemEvents.SystemEvent), nil
	})
	return all, err
}

// happening makes the event's place in the stream, and the identity of its
// series of MetricRecent.
func (c *systemEvents) happening(e systemEvent) (happening, labels.Labels) {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set("customer", c.account.Customer()).Set("product", bounded(strings.ToLower(string(e.Product)))).Set("region", string(e.RegionID))
	b.Set("instance", bounded(e.instance())).Set("event", bounded(string(e.Name))).Set("level", level(string(e.Level)))
	recent := b.Set(model.MetricNameLabel, MetricRecent).Labels()
	if e.RegionID == "" {
		// An event of the account: the account takes the place of a resource.
		b.Set("account", c.account.Name())
		recent = b.Labels()
	}
	counted := b.Set(model.MetricNameLabel, MetricEvents).Set("status", bounded(string(e.Status))).Labels()
	return happening{
		id: fmt.Sprintf("%d %s", e.Time.number(), counted), at: e.Time.moment(), labels: counted,
		log: []any{"product", e.Product, "event", e.Name, "level", e.Level, "status", e.Status, "instance", e.instance()},
	}, recent
}

// level is one of a closed set.
func level(text string) string {
	switch text = strings.ToLower(text); text {
	case "critical", "warn", "info":
		return text
	}
	return "other"
}

// instance is the resource's id: the last part of acs:ecs:REGION:ACCOUNT:instance/ID,
// or what the content says.
func (e systemEvent) instance() string {
	if i := strings.LastIndexAny(string(e.ResourceID), "/:"); i >= 0 {
		return string(e.ResourceID[i+1:])
	}
	if e.ResourceID != "" {
		return string(e.ResourceID)
	}
	var content struct {
		InstanceID word `json:"instanceId"`
	}
	if json.Unmarshal([]byte(e.Content), &content) == nil {
		return string(content.InstanceID)
	}
	return ""
}
