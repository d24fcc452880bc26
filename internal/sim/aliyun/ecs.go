package aliyun

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

const ecsVersion = "2014-05-26"

// Paging of DescribeInstances.
const (
	defaultPageSize   = 10
	maxPageSize       = 100
	maxInstanceIDs    = 100
	ecsTimeLayout     = "2006-01-02T15:04Z" // without seconds
	neverExpires      = "2099-12-31T15:59Z" // of pay-as-you-go instances
	maxTagsInOneQuery = 20
)

func registerECS(s *Server) {
	s.actions[actionName{ecsVersion, "DescribeInstances"}] = action{
		product: productECS, name: "DescribeInstances", permission: "ecs:DescribeInstances",
		deniedEmpty: true, handle: s.describeInstances,
	}
	s.actions[actionName{ecsVersion, "DescribeRegions"}] = action{
		product: productECS, name: "DescribeRegions", permission: "ecs:DescribeRegions", handle: s.describeRegions,
	}
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
	if c.params["RegionId"] == "" {
		return nil, missingParameter("RegionId")
	}
	if !slices.Contains(s.cfg.Regions, c.region) {
		return nil, errorf(http.StatusNotFound, "InvalidRegionId.NotFound", "The specified RegionId does not exist.")
	}
	keep, e := ecsFilter(c)
	if e != nil {
		return nil, e
	}
	rows := []*resource{}
	if !c.empty {
		for _, r := range s.liveIn(nsECS, c.region) {
			if keep(s, r) {
				rows = append(rows, r)
			}
		}
	}
	if c.params["MaxResults"] != "" || c.params["NextToken"] != "" {
		return s.instancesByToken(c, rows)
	}
	number, e := c.number("PageNumber", 1, 1, math.MaxInt32)
	if e != nil {
		return nil, e
	}
	size, e := c.number("PageSize", defaultPageSize, 1, maxPageSize)
	if e != nil {
		return nil, e
	}
	return s.instancesAnswer(c, pageOf(rows, number, size), len(rows), number, size, ""), nil
}

// instancesByToken pages by NextToken. A token names the last instance shown, so
// that instances which come or go between pages shift nothing.
func (s *Server) instancesByToken(c *call, rows []*resource) (any, *apiError) {
	size, e := c.number("MaxResults", defaultPageSize, 1, maxPageSize)
	if e != nil {
		return nil, e
	}
	query := c.queryText("InstanceIds", "InstanceName", "Status", "InstanceChargeType", "VpcId", "ZoneId", "MaxResults")
	from := 0
	if token := c.params["NextToken"]; token != "" {
		payload, ok := s.tokens.open(query, token)
		last, err := strconv.Atoi(payload)
		if !ok || err != nil {
			return nil, invalidParameter("NextToken")
		}
		from = len(rows)
		if i := slices.IndexFunc(rows, func(r *resource) bool { return r.number > last }); i >= 0 {
			from = i
		}
	}
	to := min(from+size, len(rows))
	next := ""
	if to < len(rows) {
		next = s.tokens.seal(query, strconv.Itoa(rows[to-1].number))
	}
	return s.instancesAnswer(c, rows[from:to], len(rows), 1, size, next), nil
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
	var ids []string
	if text := c.params["InstanceIds"]; text != "" {
		if json.Unmarshal([]byte(text), &ids) != nil || len(ids) > maxInstanceIDs {
			return nil, errorf(http.StatusBadRequest, "InvalidParameter", "The specified parameter InstanceIds is not valid.")
		}
		if ids == nil {
			ids = []string{}
		}
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
			if want := c.params[name]; want != "" && want != detail(r) {
				return false
			}
		}
		return len(tags) == 0 || r.hasTags(tags)
	}, nil
}

// ecsFilterable are the parameters that filter by equality.
var ecsFilterable = map[string]func(*resource) string{
	"Status":             (*resource).ecsStatus,
	"InstanceChargeType": (*resource).chargeType,
	"VpcId":              (*resource).vpc,
	"ZoneId":             (*resource).zone,
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

func (r *resource) ecsStatus() string {
	if mix(r.key, 60)%50 == 0 {
		return "Stopped"
	}
	return "Running"
}

func (r *resource) chargeType() string { return pick(mix(r.key, 61), "PrePaid", "PrePaid", "PostPaid") }
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

// expiry of a prepaid instance is a whole number of years after its creation, the
// first one after `now`, as if it had always been renewed.
func (r *resource) expiry(now time.Time) string {
	if r.chargeType() == "PostPaid" {
		return neverExpires
	}
	end := r.created.Truncate(24 * time.Hour).Add(16 * time.Hour)
	for !end.After(now) {
		end = end.AddDate(1, 0, 0)
	}
	return end.Format(ecsTimeLayout)
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
