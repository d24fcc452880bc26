package aliyun

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// InstanceEvent is a system event of an ECS instance. It shows in ECS'
// DescribeInstanceHistoryEvents and, at each change of its status, in CloudMonitor's
// DescribeSystemEventAttribute.
type InstanceEvent struct {
	Instance string
	Name     string // SystemMaintenance.Reboot, SystemFailure.Redeploy, InstanceExpiration.Stop …
	// PublishAt is when it is announced (Scheduled), NotBefore when it begins
	// (Executing), FinishAt when it ends with Outcome; zero: it never ends. A FinishAt
	// before NotBefore is for events that are avoided or canceled.
	PublishAt, NotBefore, FinishAt time.Time
	// Outcome is Executed (default), Avoided, Canceled or Failed.
	Outcome string
	Reason  string
}

// Statuses of events. Their numbers are not confirmed.
var (
	eventStatuses    = map[string]int{"Scheduled": 24, "Executing": 26, "Inquiring": 27, "Executed": 28, "Avoided": 30, "Canceled": 32, "Failed": 34}
	finishedStatuses = []string{"Executed", "Avoided", "Canceled", "Failed"}
)

// eventKinds in the order of their numbers, which are not confirmed.
var eventKinds = []string{
	"SystemMaintenance.Reboot", "SystemMaintenance.Redeploy", "SystemFailure.Reboot", "SystemFailure.Redeploy", "SystemFailure.Delete",
	"InstanceFailure.Reboot", "InstanceExpiration.Stop", "InstanceExpiration.Delete", "AccountUnbalanced.Stop", "AccountUnbalanced.Delete",
}

// eventHistory is how long finished events show.
const eventHistory = 30 * day

func (f InstanceEvent) add(s *Server) error {
	if r := s.estate.byID[f.Instance]; r == nil || r.product.namespace != nsECS {
		return fmt.Errorf("instance event: no ECS instance %q", f.Instance)
	}
	if !slices.Contains(eventKinds, f.Name) {
		return fmt.Errorf("instance event: no event %q", f.Name)
	}
	if f.Outcome == "" {
		f.Outcome = "Executed"
	}
	if !slices.Contains(finishedStatuses, f.Outcome) {
		return fmt.Errorf("instance event: no outcome %q", f.Outcome)
	}
	if f.NotBefore.Before(f.PublishAt) || !f.FinishAt.IsZero() && f.FinishAt.Before(f.PublishAt) {
		return fmt.Errorf("instance event: NotBefore or FinishAt is before PublishAt")
	}
	s.faults.events = append(s.faults.events, f)
	return nil
}

func (f InstanceEvent) id() string {
	return "e-" + idText(mixText(mixText(uint64(f.PublishAt.Unix()), f.Instance), f.Name), 20)
}

// status at a time, "" before its announcement.
func (f InstanceEvent) status(now time.Time) string {
	switch {
	case now.Before(f.PublishAt):
		return ""
	case !f.FinishAt.IsZero() && !now.Before(f.FinishAt):
		return f.Outcome
	case now.Before(f.NotBefore):
		return "Scheduled"
	}
	return "Executing"
}

// announcedEvents are those that have been announced.
func (s *Server) announcedEvents(now time.Time) []InstanceEvent {
	s.faultMu.RLock()
	defer s.faultMu.RUnlock()
	out := []InstanceEvent{}
	for _, f := range s.faults.events {
		if f.status(now) != "" {
			out = append(out, f)
		}
	}
	return out
}

// describeInstanceHistoryEvents shows only finished events unless other statuses are
// asked for by name.
func (s *Server) describeInstanceHistoryEvents(c *call) (any, *apiError) {
	if e := s.requireRegion(c); e != nil {
		return nil, e
	}
	now := s.now()
	keep, e := eventFilter(c, now)
	if e != nil {
		return nil, e
	}
	rows := []InstanceEvent{}
	for _, f := range s.announcedEvents(now) {
		if !c.empty && s.estate.byID[f.Instance].region == c.region && !f.forgotten(now) && keep(f) {
			rows = append(rows, f)
		}
	}
	number, size, e := c.page(pageNumber(defaultPageSize, maxPageSize))
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "TotalCount": len(rows), "PageNumber": number, "PageSize": size,
		"InstanceSystemEventSet": object{"InstanceSystemEventType": objects(pageOf(rows, number, size), func(f InstanceEvent) object { return f.item(now) })},
	}, nil
}

// forgotten: finished events show for 30 days, open ones without limit.
func (f InstanceEvent) forgotten(now time.Time) bool {
	return slices.Contains(finishedStatuses, f.status(now)) && now.Sub(f.FinishAt) > eventHistory
}

// eventFilter turns the parameters into a predicate.
func eventFilter(c *call, now time.Time) (func(InstanceEvent) bool, *apiError) {
	statuses, e := wantedStatuses(c)
	if e != nil {
		return nil, e
	}
	published, e := c.between("EventPublishTime")
	if e != nil {
		return nil, e
	}
	due, e := c.between("NotBefore")
	if e != nil {
		return nil, e
	}
	ids, kinds, instances := c.repeated("EventId"), c.repeated("InstanceEventType"), c.repeated("ResourceId")
	if len(instances) == 0 && c.params["InstanceId"] != "" {
		instances = []string{c.params["InstanceId"]}
	}
	return func(f InstanceEvent) bool {
		return slices.Contains(statuses, f.status(now)) && contains(ids, f.id()) && contains(instances, f.Instance) && contains(kinds, f.Name) &&
			c.filter("EventType", f.Name) && published(f.PublishAt) && due(f.NotBefore)
	}, nil
}

func wantedStatuses(c *call) ([]string, *apiError) {
	statuses := c.repeated("InstanceEventCycleStatus")
	if len(statuses) == 0 && c.params["EventCycleStatus"] != "" {
		statuses = []string{c.params["EventCycleStatus"]}
	}
	if len(statuses) == 0 {
		return finishedStatuses, nil
	}
	for _, status := range statuses {
		if eventStatuses[status] == 0 {
			return nil, invalidParameter("InstanceEventCycleStatus")
		}
	}
	return statuses, nil
}

// between reads Name.Start and Name.End, both included.
func (c *call) between(name string) (func(time.Time) bool, *apiError) {
	var bounds [2]time.Time
	for i, end := range []string{name + ".Start", name + ".End"} {
		text := c.params[end]
		if text == "" {
			continue
		}
		t, err := time.Parse(secondLayout, text)
		if err != nil {
			return nil, invalidParameter(end)
		}
		bounds[i] = t
	}
	return func(t time.Time) bool {
		return (bounds[0].IsZero() || !t.Before(bounds[0])) && (bounds[1].IsZero() || !t.After(bounds[1]))
	}, nil
}

func (f InstanceEvent) item(now time.Time) object {
	status := f.status(now)
	finished := ""
	if slices.Contains(finishedStatuses, status) {
		finished = f.FinishAt.UTC().Format(secondLayout)
	}
	return object{
		"EventId": f.id(), "InstanceId": f.Instance, "ResourceType": "instance", "ImpactLevel": "100", "Reason": f.Reason, "ReasonCode": "",
		"EventType":        object{"Name": f.Name, "Code": 1 + slices.Index(eventKinds, f.Name)},
		"EventCycleStatus": object{"Name": status, "Code": eventStatuses[status]},
		"EventPublishTime": f.PublishAt.UTC().Format(secondLayout), "NotBefore": f.NotBefore.UTC().Format(secondLayout), "EventFinishTime": finished,
		"ExtendedAttribute": object{"InactiveDisks": object{"InactiveDisk": []object{}}},
	}
}

// failure tells that something broke, rather than being planned.
func (f InstanceEvent) failure() bool {
	kind, _, _ := strings.Cut(f.Name, ".")
	return strings.HasSuffix(kind, "Failure")
}

// changesOfStatus are the event as CloudMonitor tells it: one entry per status.
func (f InstanceEvent) changesOfStatus() []CloudEvent {
	level := "INFO"
	switch {
	case f.failure():
		level = "CRITICAL"
	case strings.HasPrefix(f.Name, "SystemMaintenance."):
		level = "WARN"
	}
	one := func(status string, at time.Time) CloudEvent {
		return CloudEvent{
			Product: "ECS", Name: "Instance:" + f.Name, Level: level, Status: status, Instance: f.Instance, At: at,
			Content: map[string]string{
				"eventId": f.id(), "eventType": f.Name, "eventStatus": status, "instanceId": f.Instance, "reason": f.Reason,
				"publishTime": f.PublishAt.UTC().Format(secondLayout), "notBefore": f.NotBefore.UTC().Format(secondLayout),
			},
		}
	}
	out := []CloudEvent{one("Scheduled", f.PublishAt)}
	if f.FinishAt.IsZero() || f.NotBefore.Before(f.FinishAt) {
		out = append(out, one("Executing", f.NotBefore))
	}
	if !f.FinishAt.IsZero() {
		out = append(out, one(f.Outcome, f.FinishAt))
	}
	return out
}
