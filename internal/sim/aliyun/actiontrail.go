package aliyun

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const trailVersion = "2020-07-06"

// Bounds of LookupEvents.
const (
	trailHistory    = 90 * day
	trailLag        = 10 * time.Minute // at most, until an event shows
	trailDefaultWay = 7 * day          // without StartTime; not documented
)

// Change is an API call or a step in the console that the audit trail records.
// Create, Rename and Delete record theirs by themselves.
type Change struct {
	Instance   string // id; "" for an event without a resource
	Service    string // Ecs, Rds, Ram …; default that of the instance
	Event      string // RebootInstance
	User       string // default "admin"
	At         time.Time
	Read       bool              // a reading call; those of a console are in the trail, too
	Parameters map[string]string // of the request; may hold secrets, as in life
	ErrorCode  string            // "" for a call that worked
}

func (f Change) add(s *Server) error {
	r := s.estate.byID[f.Instance]
	if r == nil && f.Instance != "" {
		return fmt.Errorf("change: no instance %q", f.Instance)
	}
	if f.Service == "" && r != nil {
		f.Service = trailWords(r).service
	}
	if f.Service == "" || f.Event == "" {
		return fmt.Errorf("change: Service and Event are needed")
	}
	if f.User == "" {
		f.User = "admin"
	}
	s.faults.changes = append(s.faults.changes, f)
	return nil
}

func registerActionTrail(s *Server) {
	s.adder(productActionTrail, trailVersion, "actiontrail")("LookupEvents", s.lookupEvents)
}

// words are how a product's events are called.
type words struct{ service, create, rename, remove, resource string }

func trailWords(r *resource) words {
	switch r.product.namespace {
	case nsECS:
		return words{"Ecs", "RunInstances", "ModifyInstanceAttribute", "DeleteInstance", "ACS::ECS::Instance"}
	case nsRDS:
		return words{"Rds", "CreateDBInstance", "ModifyDBInstanceDescription", "DeleteDBInstance", "ACS::RDS::DBInstance"}
	case nsSLB:
		return words{"Slb", "CreateLoadBalancer", "SetLoadBalancerName", "DeleteLoadBalancer", "ACS::SLB::LoadBalancer"}
	}
	return words{r.product.billCode, "CreateInstance", "ModifyInstanceAttribute", "DeleteInstance", "ACS::" + r.product.billCode + "::Instance"}
}

// trailEvent is a change with its place in the order of all.
type trailEvent struct {
	Change
	id    string
	order int64
}

// trail are the changes that show now, by time.
func (s *Server) trail(now time.Time) []trailEvent {
	s.faultMu.RLock()
	all := slices.Clone(s.faults.changes)
	for id, l := range s.faults.lives {
		w := trailWords(s.estate.byID[id])
		made := func(event string, at time.Time) {
			all = append(all, Change{Instance: id, Service: w.service, Event: event, User: "admin", At: at})
		}
		if !l.created.IsZero() {
			made(w.create, l.created)
		}
		if !l.deleted.IsZero() {
			made(w.remove, l.deleted)
		}
		for _, r := range l.renames {
			made(w.rename, r.At)
		}
	}
	s.faultMu.RUnlock()
	out := []trailEvent{}
	for _, f := range all {
		key := mixText(mixText(mixText(uint64(f.At.UnixMilli()), f.Instance), f.Event), f.User)
		shows := f.At.Add(time.Duration(unit(key) * float64(trailLag)))
		if !shows.After(now) && now.Sub(f.At) <= trailHistory {
			out = append(out, trailEvent{Change: f, id: uuidText(key)})
		}
	}
	slices.SortFunc(out, func(a, b trailEvent) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.id, b.id)) })
	const perSecond = maxFaults * 4 // so that no two events share an order
	for i := range out {
		out[i].order = out[i].At.Unix() * perSecond
		if i > 0 && out[i].order <= out[i-1].order {
			out[i].order = out[i-1].order + 1
		}
	}
	return out
}

func uuidText(key uint64) string {
	a, b := mix(key, 1), mix(key, 2)
	return fmt.Sprintf("%08X-%04X-%04X-%04X-%012X", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff)
}

// lookupEvents answers the newest first unless Direction is FORWARD.
func (s *Server) lookupEvents(c *call) (any, *apiError) {
	now := s.now().UTC()
	from, to := now.Add(-trailDefaultWay), now
	for name, bound := range map[string]*time.Time{"StartTime": &from, "EndTime": &to} {
		if text := c.params[name]; text != "" {
			t, err := time.Parse(secondLayout, text)
			if err != nil {
				return nil, invalidParameter(name)
			}
			*bound = t
		}
	}
	if now.Sub(from) > trailHistory+day || !from.Before(to) {
		return nil, errorf(http.StatusBadRequest, "InvalidQueryParameter", "The specified StartTime or EndTime is not valid.")
	}
	rows := []trailEvent{}
	for _, f := range s.trail(now) {
		if !c.empty && !f.At.Before(from) && f.At.Before(to) && s.inRegion(f.Instance, c.region) && s.lookedUp(c, f) {
			rows = append(rows, f)
		}
	}
	order := func(f trailEvent) int64 { return f.order }
	if c.params["Direction"] != "FORWARD" {
		slices.Reverse(rows)
		order = func(f trailEvent) int64 { return -f.order }
	}
	shown, next, _, e := tokenPage(s, c, rows, order, 20, 50)
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "StartTime": from.Format(secondLayout), "EndTime": to.Format(secondLayout), "NextToken": next,
		"Events": objects(shown, s.trailItem),
	}, nil
}

// inRegion: what belongs to no region shows in all.
func (s *Server) inRegion(instance, region string) bool {
	r := s.estate.byID[instance]
	return r == nil || r.region == "" || r.region == region
}

func (f trailEvent) rw() string {
	if f.Read {
		return "Read"
	}
	return "Write"
}

// lookedUp applies LookupAttribute.N.
func (s *Server) lookedUp(c *call, f trailEvent) bool {
	for i := 1; i <= maxRepeated; i++ {
		name := "LookupAttribute." + strconv.Itoa(i)
		key := c.params[name+".Key"]
		if key == "" {
			break
		}
		have := map[string]string{
			"ServiceName": f.Service, "EventName": f.Event, "EventRW": f.rw(), "ResourceName": f.Instance, "User": f.User, "Event": f.id,
		}
		if have[key] != c.params[name+".Value"] {
			return false
		}
	}
	return true
}

// trailItem is a free map: what an event lacks is absent.
func (s *Server) trailItem(f trailEvent) object {
	parameters := object{"RequestId": f.id}
	for name, value := range f.Parameters {
		parameters[name] = value
	}
	i := object{
		"eventId": f.id, "requestId": f.id, "eventName": f.Event, "eventTime": f.At.UTC().Format(secondLayout), "eventRW": f.rw(), "eventType": "ApiCall",
		"eventVersion": "1", "eventSource": f.Service + ".aliyuncs.com", "serviceName": f.Service, "sourceIpAddress": "203.0.113.9",
		"userAgent": "aliyun-console", "recipientAccountId": s.cfg.AccountID, "requestParameters": parameters,
		"userIdentity": object{"type": "ram-user", "userName": f.User, "accountId": s.cfg.AccountID, "principalId": idText(mixText(7, f.User), 18)},
	}
	if r := s.estate.byID[f.Instance]; r != nil {
		kind := trailWords(r).resource
		i["acsRegion"], i["resourceName"], i["resourceType"] = r.region, r.id, kind
		i["referencedResources"] = object{kind: []string{r.id}}
	}
	if f.ErrorCode != "" {
		i["errorCode"] = f.ErrorCode
	}
	return i
}
