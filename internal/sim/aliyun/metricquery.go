package aliyun

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Limits of metric queries.
const (
	defaultLength  = 1000
	maxLength      = 1440
	maxDimensions  = 50
	maxDimKeyBytes = 64
	maxRange       = 31 * day
)

// metricQuery is a parsed DescribeMetricList or DescribeMetricLast.
type metricQuery struct {
	m        *metric
	period   int64
	from, to int64 // Unix ms: from excluded, to included
	length   int
	filters  []map[string]string // known keys only; nil: everything
	tooFine  bool                // Period below the metric's smallest: no data
}

// badDimensions is answered with status 200.
type badDimensions struct{ reason string }

func (e badDimensions) Error() string { return "parse param dimensions error: " + e.reason }

func (s *Server) parseMetricQuery(c *call) (metricQuery, error) {
	q := metricQuery{}
	for _, name := range []string{"Namespace", "MetricName"} {
		if c.params[name] == "" {
			return q, missingParameter(name)
		}
	}
	q.m = findMetric(c.params["Namespace"], c.params["MetricName"])
	if q.m == nil {
		return q, errorf(http.StatusNotFound, "ResourceNotFound", "The specified resource is not found.")
	}
	if err := q.parsePeriod(c.params["Period"]); err != nil {
		return q, err
	}
	if err := q.parseRange(c.params, s.now()); err != nil {
		return q, err
	}
	var e *apiError
	// What the service says to a greater Length is not documented.
	if q.length, e = c.number("Length", defaultLength, 1, maxLength); e != nil {
		return q, illegalParameters()
	}
	var err error
	q.filters, err = parseDimensions(c.params["Dimensions"], q.m.allKeys())
	return q, err
}

func (q *metricQuery) parsePeriod(text string) error {
	q.period = int64(q.m.period)
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || !slices.Contains(knownPeriods, n) {
		return illegalParameters()
	}
	q.period = int64(n)
	q.tooFine = n < q.m.period
	return nil
}

// parseRange applies the documented look-back when StartTime is absent: 20 minutes
// for metrics below a minute, 2 hours, or 2 days for hourly ones. The documents say
// so for DescribeMetricLast; the same is taken for DescribeMetricList.
func (q *metricQuery) parseRange(params map[string]string, now time.Time) error {
	q.to = now.UnixMilli()
	var err error
	if text := params["EndTime"]; text != "" {
		if q.to, err = parseTime(text); err != nil {
			return illegalParameters()
		}
	}
	lookBack := 2 * time.Hour
	switch {
	case q.m.period < 60:
		lookBack = 20 * time.Minute
	case q.m.period >= 3600:
		lookBack = 2 * day
	}
	q.from = q.to - lookBack.Milliseconds()
	if text := params["StartTime"]; text != "" {
		if q.from, err = parseTime(text); err != nil {
			return illegalParameters()
		}
	}
	if q.from >= q.to || q.to-q.from > maxRange.Milliseconds() {
		return illegalParameters()
	}
	return nil
}

// parseTime reads the formats of StartTime and EndTime. The zone of the one without
// a zone is not documented; the vendor's own is taken.
func parseTime(text string) (int64, error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		if ms < 0 || ms > 1<<45 {
			return 0, fmt.Errorf("time %d is out of range", ms)
		}
		return ms, nil
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04:05", text, chinaTime); err == nil {
		return t.UnixMilli(), nil
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", text)
	return t.UnixMilli(), err
}

// parseDimensions reads an array of objects, or a single object. Keys that the
// metric does not have are ignored, and an object without any other matches all:
// the real service answers a misspelt key with the whole account's data.
func parseDimensions(text string, known []string) ([]map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	var objects []map[string]string
	if err := json.Unmarshal([]byte(text), &objects); err != nil {
		var one map[string]string
		if json.Unmarshal([]byte(text), &one) != nil {
			return nil, badDimensions{err.Error()}
		}
		objects = []map[string]string{one}
	}
	if len(objects) > maxDimensions {
		return nil, illegalParameters() // a documented limit without a documented error
	}
	for _, object := range objects {
		for key, value := range object {
			if !slices.Contains(known, key) {
				delete(object, key)
				continue
			}
			if value == "" || len(value) > maxDimKeyBytes {
				return nil, illegalParameters()
			}
		}
		if len(object) == 0 {
			return nil, nil
		}
	}
	if len(objects) == 0 {
		return nil, nil
	}
	return objects, nil
}

// matches tells whether any filter fits the series.
func (q *metricQuery) matches(dims map[string]string, accountID string) bool {
	if q.filters == nil {
		return true
	}
	for _, filter := range q.filters {
		fits := true
		for key, value := range filter {
			if key == "userId" {
				fits = fits && value == accountID
			} else {
				fits = fits && dims[key] == value
			}
		}
		if fits {
			return true
		}
	}
	return false
}

// candidates are the resources that can have matching series, in the order of paging.
func (s *Server) candidates(q *metricQuery, region string) []*resource {
	all := s.estate.in(q.m.namespace, region)
	if q.filters == nil {
		return all
	}
	var ids []string
	for _, filter := range q.filters {
		id, ok := filter[productOf(q.m.namespace).idKey]
		if !ok {
			return all
		}
		ids = append(ids, id)
	}
	var out []*resource
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		r := s.estate.byID[id]
		if r != nil && r.product.namespace == q.m.namespace && (r.region == "" || r.region == region) {
			out = append(out, r)
		}
	}
	return out
}
