package aliyun

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const ecsVersion = "2014-05-26"

// Paging of DescribeInstances.
const (
	defaultPageSize   = 10
	maxPageSize       = 100
	maxInstanceIDs    = 100
	neverExpires      = "2099-12-31T15:59Z" // of pay-as-you-go instances
	maxTagsInOneQuery = 20
)

func registerECS(s *Server) {
	// The empty answer without permission is documented for instances; disks and
	// snapshots are taken to do the same.
	for name, handle := range map[string]func(*call) (any, *apiError){
		"DescribeInstances": s.describeInstances, "DescribeDisks": s.describeDisks, "DescribeSnapshots": s.describeSnapshots,
	} {
		s.actions[actionName{ecsVersion, name}] = action{
			product: productECS, name: name, permission: "ecs:" + name, deniedEmpty: true, handle: handle,
		}
	}
	add := s.adder(productECS, ecsVersion, "ecs")
	add("DescribeRegions", s.describeRegions)
	add("DescribeInstanceHistoryEvents", s.describeInstanceHistoryEvents)
	add("DescribeInstancesFullStatus", s.describeInstancesFullStatus)
}

// liveIn are the resources of a region that exist now.
func (s *Server) liveIn(namespace, region string) []*resource {
	now := s.now()
	var out []*resource
	for _, r := range s.estate.in(namespace, region) {
		if s.lifeOf(r.id).exists(now) {
			out = append(out, r)
		}
	}
	return out
}

func (s *Server) describeRegions(c *call) (any, *apiError) {
	rows := []map[string]string{}
	for _, id := range s.cfg.Regions {
		rows = append(rows, map[string]string{
			"RegionId": id, "LocalName": id, "RegionEndpoint": "ecs." + id + ".aliyuncs.com", "Status": "available",
		})
	}
	return map[string]any{"RequestId": c.requestID, "Regions": map[string]any{"Region": rows}}, nil
}

func (s *Server) describeInstances(c *call) (any, *apiError) {
	if e := s.requireRegion(c); e != nil {
		return nil, e
	}
	keep, e := ecsFilter(c)
	if e != nil {
		return nil, e
	}
	rows := s.listed(c, nsECS, func(r *resource) bool { return keep(s, r) })
	if c.wantsToken() {
		shown, next, size, e := tokenPage(s, c, rows, byNumber, defaultPageSize, maxPageSize)
		if e != nil {
			return nil, e
		}
		return s.instancesAnswer(c, shown, len(rows), 1, size, next), nil
	}
	number, size, e := c.page(pageNumber(defaultPageSize, maxPageSize))
	if e != nil {
		return nil, e
	}
	return s.instancesAnswer(c, pageOf(rows, number, size), len(rows), number, size, ""), nil
}

func (s *Server) instancesAnswer(c *call, rows []*resource, total, number, size int, next string) any {
	shown := make([]ecsInstance, 0, len(rows))
	for _, r := range rows {
		shown = append(shown, s.ecsInstance(r))
	}
	return map[string]any{
		"RequestId": c.requestID, "TotalCount": total, "PageNumber": number, "PageSize": size, "NextToken": next,
		"Instances": map[string]any{"Instance": shown},
	}
}

// ecsFilter turns the parameters into a predicate.
func ecsFilter(c *call) (func(*Server, *resource) bool, *apiError) {
	ids, e := c.idList("InstanceIds")
	if e != nil {
		return nil, e
	}
	if _, err := path.Match(c.params["InstanceName"], ""); err != nil {
		return nil, invalidParameter("InstanceName")
	}
	tags := tagFilter(c)
	return func(s *Server, r *resource) bool {
		if ids != nil && !slices.Contains(ids, r.id) { // "[]" asks for nothing and gets it
			return false
		}
		if pattern := c.params["InstanceName"]; pattern != "" {
			if ok, _ := path.Match(pattern, s.nameOf(r)); !ok { // the pattern was checked above
				return false
			}
		}
		for name, detail := range ecsFilterable {
			if want := c.params[name]; want != "" && want != detail(s, r) {
				return false
			}
		}
		return len(tags) == 0 || r.hasTags(tags)
	}, nil
}

// ecsFilterable are the parameters that filter by equality.
var ecsFilterable = map[string]func(*Server, *resource) string{
	"Status":             (*Server).ecsStatus,
	"InstanceChargeType": (*Server).chargeType,
	"VpcId":              func(_ *Server, r *resource) string { return r.vpc() },
	"ZoneId":             func(_ *Server, r *resource) string { return r.zone() },
}

type tag struct {
	TagKey   string
	TagValue string
}

// tagFilter reads Tag.1.Key, Tag.1.Value, …
func tagFilter(c *call) []tag {
	var out []tag
	for i := 1; i <= maxTagsInOneQuery; i++ {
		if key := c.params[fmt.Sprintf("Tag.%d.Key", i)]; key != "" {
			out = append(out, tag{key, c.params[fmt.Sprintf("Tag.%d.Value", i)]})
		}
	}
	return out
}

func (r *resource) hasTags(want []tag) bool {
	have := r.tags()
	for _, w := range want {
		if !slices.ContainsFunc(have, func(t tag) bool { return t.TagKey == w.TagKey && wanted(w.TagValue, t.TagValue) }) {
			return false
		}
	}
	return true
}

func (s *Server) nameOf(r *resource) string { return s.lifeOf(r.id).name(r.name, s.now()) }

// ---- details of a generated instance ----

func (s *Server) ecsStatus(r *resource) string {
	if mix(r.key, 60)%50 == 0 || s.expired(r) {
		return "Stopped"
	}
	return "Running"
}

func (r *resource) vpc() string        { return "vpc-" + idText(mixText(1, r.region), 20) }
func (r *resource) zone() string       { return r.region + "-" + pick(mix(r.key, 62), "h", "i", "j") }
func (r *resource) typeFamily() string { return "ecs." + pick(mix(r.key, 63), "g7", "c7", "r7", "t6") }

// burstable instances have CPU credits.
func (r *resource) burstable() bool { return r.typeFamily() == "ecs.t6" }

// eip is the public address of an instance, "" for two in three.
func (r *resource) eip() string {
	if mix(r.key, 73)%3 != 0 {
		return ""
	}
	return fmt.Sprintf("203.0.113.%d", r.number%254+1)
}

func (r *resource) tags() []tag {
	role, rest, _ := strings.Cut(r.name, "-")
	stage, _, _ := strings.Cut(rest, "-")
	out := []tag{{"role", role}, {"env", stage}}
	if mix(r.key, 64)%4 != 0 {
		out = append(out, tag{"owner", pick(mix(r.key, 65), "zhang.wei", "li.na", "wang.fang")})
	}
	return out
}
