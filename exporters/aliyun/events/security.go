package events

import (
	"context"
	"maps"
	"time"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
)

var (
	alarmLevels = []string{"serious", "suspicious", "remind"}
	necessities = []string{"asap", "later", "nntf"}
)

// maxAlarms of a level are looked at for the log; their number is always exact.
const maxAlarms = 100

// security counts what the Security Center found in the account and nobody has
// dealt with: alarms by level, vulnerabilities by type and necessity.
type security struct {
	reader
	logged map[word]bool // pending alarms that have a log line
}

func newSecurity(r reader) *security { return &security{reader: r, logged: map[word]bool{}} }

var _ exporters.Collector = (*security)(nil)

// alarm is an item of DescribeSuspEvents.
type alarm struct {
	UniqueInfo, AlarmEventName, InstanceID, InstanceName, OccurrenceTime word
	level                                                                string
}

// Collect asks for the counts; all of them are said, zeros too.
func (c *security) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	b := exporters.NewBuilder(at, "customer", c.account.Customer(), "product", "sas", "account", c.account.Name())
	var alarms []alarm
	for _, level := range alarmLevels {
		total, some, err := c.alarms(ctx, level)
		if err != nil {
			return err
		}
		b.Add(MetricAlarms, float64(total), "level", level)
		alarms = append(alarms, some...)
	}
	for _, kind := range c.account.Config().Events.VulnerabilityTypes {
		for _, necessity := range necessities {
			total, err := c.count(ctx, "DescribeVulList", map[string]string{
				"Type": kind, "Necessity": necessity, "Dealed": "n", "CurrentPage": "1", "PageSize": "20",
			}, &struct{}{})
			if err != nil {
				return err
			}
			b.Add(MetricVulns, float64(total), "type", kind, "necessity", necessity)
		}
	}
	if err := sink.Append(ctx, exporters.Looked(c.source, at, b.Samples())); err != nil {
		return err
	}
	c.tell(alarms)
	return nil
}

func (c *security) alarms(ctx context.Context, level string) (total int64, some []alarm, err error) {
	var answer struct{ SuspEvents []alarm }
	total, err = c.count(ctx, "DescribeSuspEvents", map[string]string{
		"Levels": level, "Dealed": "N", "CurrentPage": "1", "PageSize": "100",
	}, &answer)
	for i := range answer.SuspEvents {
		answer.SuspEvents[i].level = level
	}
	return total, answer.SuspEvents[:min(len(answer.SuspEvents), maxAlarms)], err
}

// count reads the total of a list, and its first page into v.
func (c *security) count(ctx context.Context, action string, query map[string]string, v any) (int64, error) {
	body, err := c.client.Do(ctx, c.request("Sas", "2018-12-03", action, query))
	if err != nil {
		return 0, err
	}
	var list struct{ TotalCount *word }
	if err := decode(body, &list); err != nil {
		return 0, err
	}
	if list.TotalCount == nil {
		return 0, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: action + " tells no TotalCount"}
	}
	return list.TotalCount.number(), decode(body, v)
}

// tell logs alarms that were not there at the read before.
func (c *security) tell(alarms []alarm) {
	pending := map[word]bool{}
	for _, a := range alarms {
		pending[a.UniqueInfo] = true
		if !c.logged[a.UniqueInfo] {
			c.log.Warn("security alarm", "level", a.level, "alarm", bounded(string(a.AlarmEventName)), "instance", bounded(string(a.InstanceID)),
				"name", bounded(string(a.InstanceName)), "time", bounded(string(a.OccurrenceTime)))
		}
	}
	c.logged = maps.Clone(pending)
}
