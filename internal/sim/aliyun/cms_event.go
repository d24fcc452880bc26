package aliyun

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CloudEvent is an entry of CloudMonitor's system events: an announced upgrade, a
// failover, a maintenance of any product.
type CloudEvent struct {
	Product  string // ECS, RDS, SLB …
	Name     string // as the product names it
	Level    string // CRITICAL, WARN (default) or INFO
	Status   string // as the product names it; may be empty
	Instance string // id; "" for an event of the account, which shows in every region
	At       time.Time
	Content  map[string]string // becomes JSON text
}

func (f CloudEvent) add(s *Server) error {
	if f.Instance != "" && s.estate.byID[f.Instance] == nil {
		return fmt.Errorf("cloud event: no instance %q", f.Instance)
	}
	if f.Level == "" {
		f.Level = "WARN"
	}
	if !slices.Contains([]string{"CRITICAL", "WARN", "INFO"}, f.Level) {
		return fmt.Errorf("cloud event: no level %q", f.Level)
	}
	if f.Product == "" || f.Name == "" {
		return fmt.Errorf("cloud event: Product and Name are needed")
	}
	s.faults.cloudEvents = append(s.faults.cloudEvents, f)
	return nil
}

// cloudEvents are all that have happened, the newest first.
func (s *Server) cloudEvents(now time.Time) []CloudEvent {
	s.faultMu.RLock()
	all := slices.Clone(s.faults.cloudEvents)
	for _, f := range s.faults.events {
		all = append(all, f.changesOfStatus()...)
	}
	s.faultMu.RUnlock()
	all = slices.DeleteFunc(all, func(f CloudEvent) bool { return f.At.After(now) })
	slices.SortStableFunc(all, func(a, b CloudEvent) int { return b.At.Compare(a.At) })
	return all
}

// describeSystemEventAttribute answers events of the call's region, and of the
// account. Without times: of the last day. Its Success is a text.
func (s *Server) describeSystemEventAttribute(c *call) (any, *apiError) {
	now := s.now()
	from, to := now.Add(-day).UnixMilli(), now.UnixMilli()
	for name, bound := range map[string]*int64{"StartTime": &from, "EndTime": &to} {
		if text := c.params[name]; text != "" {
			ms, err := parseTime(text)
			if err != nil {
				return nil, illegalParameters()
			}
			*bound = ms
		}
	}
	rows := []object{}
	for _, f := range s.cloudEvents(now) {
		item := s.cloudEvent(f)
		content := item["Content"].(string)
		region := item["RegionId"].(string)
		if at := f.At.UnixMilli(); at < from || at > to || region != "" && region != c.region {
			continue
		}
		if c.filter("Product", f.Product) && c.filter("Name", f.Name) && c.filter("Level", f.Level) && c.filter("Status", f.Status) &&
			strings.Contains(content, c.params["SearchKeywords"]) {
			rows = append(rows, item)
		}
	}
	shown, _, _, e := metaPage(c, rows)
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "Success": "true", "Code": "200", "Message": "",
		"SystemEvents": object{"SystemEvent": shown},
	}, nil
}

func (s *Server) cloudEvent(f CloudEvent) object {
	content, _ := json.Marshal(f.Content) // texts cannot fail
	if f.Content == nil {
		content = []byte("{}")
	}
	name, region, resource := "", "", ""
	if r := s.estate.byID[f.Instance]; r != nil {
		name, region = s.nameOf(r), r.region
		resource = "acs:" + strings.ToLower(f.Product) + ":" + region + ":" + s.cfg.AccountID + ":instance/" + r.id
	}
	return object{
		"Product": f.Product, "Name": f.Name, "Level": f.Level, "Status": f.Status, "Time": f.At.UnixMilli(), "RegionId": region,
		"ResourceId": resource, "InstanceName": name, "GroupId": "0", "Content": string(content),
	}
}
