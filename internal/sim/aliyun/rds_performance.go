package aliyun

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of DescribeDBInstancePerformance. The widest range is not documented.
const (
	maxPerformanceKeys = 30
	performanceRange   = 366 * day
)

// oneDayKeys can be asked for one day at most.
var oneDayKeys = []string{"MySQL_SpaceUsage", "SQLServer_SpaceUsage"}

// describeRDSPerformance answers points whose distance follows from the width of the
// range. Whether the bounds are included, how long the points take and what becomes
// of a key of another engine is not documented; here both bounds are, the points take
// as long as those of CloudMonitor, and such a key is left out.
func (s *Server) describeRDSPerformance(c *call) (any, *apiError) {
	r, e := s.instance(c, nsRDS, "DBInstanceId", rdsNoInstance)
	if e != nil {
		return nil, e
	}
	for _, name := range []string{"Key", "StartTime", "EndTime"} {
		if c.params[name] == "" {
			return nil, missingParameter(name)
		}
	}
	from, to, e := s.minuteRange(c, 0)
	if e != nil {
		return nil, e
	}
	if to.Sub(from) > performanceRange {
		return nil, invalidParameter("StartTime")
	}
	names := strings.Split(c.params["Key"], ",")
	if len(names) > maxPerformanceKeys {
		return nil, errorf(http.StatusBadRequest, "InvalidParameter", "The specified parameter Key has more than 30 keys.")
	}
	keys := []object{}
	for _, name := range names {
		k := findPerformanceKey(r, strings.TrimSpace(name))
		if k == nil {
			continue
		}
		if slices.Contains(oneDayKeys, k.name) && to.Sub(from) > day {
			return nil, invalidParameter("EndTime")
		}
		values := []object{}
		if !c.empty {
			values = s.performanceValues(r, k, from, to)
		}
		keys = append(keys, object{"Key": k.name, "Unit": k.unit, "ValueFormat": k.format, "Values": object{"PerformanceValue": values}})
	}
	engine, _ := r.engine()
	return object{
		"RequestId": c.requestID, "DBInstanceId": r.id, "Engine": engine,
		"StartTime": c.params["StartTime"], "EndTime": c.params["EndTime"], "PerformanceKeys": object{"PerformanceKey": keys},
	}, nil
}

// performanceValues are the published points of a range, none if it is not wider than
// the distance of points.
func (s *Server) performanceValues(r *resource, k *performanceKey, from, to time.Time) []object {
	step := r.performanceStep(to.Sub(from))
	values := []object{}
	if to.Sub(from) <= step {
		return values
	}
	for at := from.Truncate(step); !at.After(to); at = at.Add(step) {
		published, ok := s.performancePublished(r, k, at)
		if !ok || at.Before(from) || published.After(s.now()) || !s.lifeOf(r.id).exists(at) {
			continue
		}
		var texts []string
		for i := range k.parts() {
			texts = append(texts, strconv.FormatFloat(s.performanceValue(r, k, i, at), 'f', -1, 64))
		}
		values = append(values, object{"Value": strings.Join(texts, "&"), "Date": at.Format(secondLayout)})
	}
	return values
}

// performanceValue is a part's value: that of the minute, also in coarser points.
func (s *Server) performanceValue(r *resource, k *performanceKey, part int, at time.Time) float64 {
	name := k.parts()[part]
	value := k.shape.at(mix(mixText(r.key, k.name), uint64(part)), at.Unix()/60).average
	for _, b := range s.breachesOf(r.id, k.name, map[string]string{"part": name}) {
		if b.From.Before(at) && !at.After(b.To) {
			value = b.Value
		}
	}
	return value
}

// performancePublished is when a point comes; false: never. A point is all parts of a
// key, so only breaches of the whole key make it late or missing.
func (s *Server) performancePublished(r *resource, k *performanceKey, at time.Time) (time.Time, bool) {
	d := s.cfg.delayOf(nsRDS)
	delay := d.Min + time.Duration(unit(mix(mix(r.key, 98), uint64(at.Unix())))*float64(d.Max-d.Min))
	minute := at.Truncate(time.Minute).UnixMilli()
	for _, b := range s.breachesOf(r.id, k.name, nil) {
		if b.missing[minute] {
			return time.Time{}, false
		}
		if late, ok := b.late[minute]; ok {
			delay = late
		}
	}
	return at.Add(delay), true
}

// PerformancePart is a part's name and value at a time, as ground truth for tests.
// The part of a key with one value has the name "".
type PerformancePart struct {
	Name  string
	Value float64
}

// Performance is what DescribeDBInstancePerformance says of a key of an RDS instance
// at a time, part by part, whether or not a point of that time is asked for or
// published. Nil if the instance does not have the key.
func (s *Server) Performance(instance, key string, at time.Time) []PerformancePart {
	r := s.estate.byID[instance]
	if r == nil {
		return nil
	}
	k := findPerformanceKey(r, key)
	if k == nil {
		return nil
	}
	var out []PerformancePart
	for i, name := range k.parts() {
		out = append(out, PerformancePart{name, s.performanceValue(r, k, i, at)})
	}
	return out
}

// monitoringFrequency is the seconds between samples, which customers choose: one
// MySQL instance in ten pays for 5, three in ten have 300.
func (r *resource) monitoringFrequency() int {
	n := mix(r.key, 99) % 10
	switch {
	case n == 0 && r.variant == rdsMySQL:
		return 5
	case n >= 7:
		return 300
	}
	return 60
}

// granularity is the distance of points in ranges up to a width.
type granularity struct{ width, step time.Duration }

// performanceStep is the documented distance of points in a range of this width.
func (r *resource) performanceStep(width time.Duration) time.Duration {
	table, coarsest := []granularity{{7 * day, time.Minute}, {30 * day, time.Hour}}, day
	switch {
	case r.variant == rdsPostgres:
		table, coarsest = []granularity{
			{time.Hour, 5 * time.Second}, {2 * time.Hour, 10 * time.Second}, {6 * time.Hour, 30 * time.Second}, {12 * time.Hour, time.Minute},
			{day, 2 * time.Minute}, {5 * day, 10 * time.Minute}, {15 * day, 30 * time.Minute},
		}, time.Hour
	case r.monitoringFrequency() == 300:
		table[0].step = 5 * time.Minute
	case r.monitoringFrequency() == 5:
		// The first bound of this row is excluded.
		table = []granularity{{time.Hour - 1, 5 * time.Second}, {day, time.Minute}, {7 * day, time.Hour}}
	}
	if i := slices.IndexFunc(table, func(g granularity) bool { return width <= g.width }); i >= 0 {
		return table[i].step
	}
	return coarsest
}

// PerformanceStep is how far apart the points of an RDS instance stand in an answer to
// a range of this width; 0 for an unknown instance.
func (s *Server) PerformanceStep(instance string, width time.Duration) time.Duration {
	r := s.estate.byID[instance]
	if r == nil || r.product.namespace != nsRDS {
		return 0
	}
	return r.performanceStep(width)
}
