package aliyun

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// maxSteps bounds the work for one page; a page may then hold less than Length, and
// still has a NextToken.
const maxSteps = 2_000_000

const cmsVersion = "2019-01-01"

func registerCMS(s *Server) {
	add := func(name, permission string, metricQuery bool, handle func(*call) (any, *apiError)) {
		s.actions[actionName{cmsVersion, name}] = action{
			product: productCMS, name: name, permission: "cms:" + permission, metricQuery: metricQuery, handle: handle,
		}
	}
	add("DescribeMetricList", "QueryMetricList", true, s.describeMetricList)
	add("DescribeMetricLast", "QueryMetricLast", true, s.describeMetricLast)
	add("DescribeMetricTop", "QueryMetricTop", true, s.describeMetricTop)
	add("DescribeMetricData", "QueryMetricData", true, s.describeMetricData)
	add("Cursor", "Cursor", false, s.openCursor) // its RAM action, and BatchExport's, are not confirmed
	add("BatchExport", "BatchExport", false, s.batchExport)
	add("DescribeSystemEventAttribute", "DescribeSystemEventAttribute", false, s.describeSystemEventAttribute)
	add("DescribeMetricMetaList", "DescribeMetricMetaList", false, s.describeMetricMetaList)
	add("DescribeProjectMeta", "DescribeProjectMeta", false, s.describeProjectMeta)
	add("DescribeMonitoringAgentHosts", "DescribeMonitoringAgentHosts", false, s.describeMonitoringAgentHosts)
}

// metricAnswer is the body of DescribeMetricList and DescribeMetricLast. Datapoints
// is JSON within a string.
type metricAnswer struct {
	RequestID  string `json:"RequestId"`
	Success    bool   `json:"Success"`
	Code       string `json:"Code"`
	Message    string `json:"Message,omitempty"`
	Period     string `json:"Period,omitempty"`
	NextToken  string `json:"NextToken,omitempty"`
	Datapoints string `json:"Datapoints"`
}

// cursor is where a page ended.
type cursor struct {
	resource, series int
	step             int64
	from, to         int64 // as resolved for the first page, for queries without times
}

func (c cursor) String() string {
	return fmt.Sprintf("%d %d %d %d %d", c.resource, c.series, c.step, c.from, c.to)
}

func parseCursor(text string) (c cursor, err error) {
	_, err = fmt.Sscanf(text, "%d %d %d %d %d", &c.resource, &c.series, &c.step, &c.from, &c.to)
	return c, err
}

// tokenParameters must not change from page to page.
var tokenParameters = []string{"Namespace", "MetricName", "Period", "StartTime", "EndTime", "Dimensions", "Length"}

// prepare parses a query. The second result is an answer with status 200 to give at once.
func (s *Server) prepare(c *call) (q metricQuery, at cursor, early *metricAnswer, e *apiError) {
	q, err := s.parseMetricQuery(c)
	var bad badDimensions
	switch {
	case errors.As(err, &bad):
		return q, at, &metricAnswer{RequestID: c.requestID, Code: "400", Message: bad.Error()}, nil
	case errors.As(err, &e):
		return q, at, nil, e
	}
	q.keepRetained(s.now(), s.cfg.Retention)
	if token := c.params["NextToken"]; token != "" {
		payload, ok := s.tokens.open(c.queryText(tokenParameters...), token)
		if !ok {
			return q, at, nil, illegalParameters()
		}
		if at, err = parseCursor(payload); err != nil {
			return q, at, nil, illegalParameters()
		}
		q.from, q.to = at.from, at.to
	}
	at.from, at.to = q.from, q.to
	if c.empty || q.tooFine {
		return q, at, q.answer(c, newPage(0)), nil
	}
	return q, at, nil, nil
}

func (q *metricQuery) answer(c *call, p *page) *metricAnswer {
	return &metricAnswer{
		RequestID: c.requestID, Success: true, Code: "200",
		Period: strconv.FormatInt(q.period, 10), Datapoints: p.json(),
	}
}

func (s *Server) describeMetricList(c *call) (any, *apiError) { return s.metricPage(c, s.fill) }

// metricPage answers one page, which fill fills from the cursor on.
func (s *Server) metricPage(c *call, fill func(p *page, q *metricQuery, at cursor, region string) (next cursor, more bool)) (any, *apiError) {
	q, at, early, e := s.prepare(c)
	if e != nil || early != nil {
		return early, e
	}
	p := newPage(q.length)
	next, more := fill(p, &q, at, c.region)
	answer := q.answer(c, p)
	if more {
		answer.NextToken = s.tokens.seal(c.queryText(tokenParameters...), next.String())
	}
	return answer, nil
}

// fill adds published points from the cursor on. It returns where to go on.
func (s *Server) fill(p *page, q *metricQuery, at cursor, region string) (next cursor, more bool) {
	now := s.now()
	first, steps := q.steps()
	budget := maxSteps
	resources := s.candidates(q, region)
	for ; at.resource < len(resources); at.resource, at.series = at.resource+1, 0 {
		all := q.m.seriesOf(resources[at.resource])
		for ; at.series < len(all); at.series, at.step = at.series+1, 0 {
			x := s.newSeries(q.m, resources[at.resource], all[at.series])
			if !q.matches(x.dims, s.cfg.AccountID) {
				continue
			}
			head := x.head(s.cfg.AccountID)
			for ; at.step < steps; at.step++ {
				if budget--; budget < 0 {
					return at, true
				}
				step := at.step
				if x.newestFirst() {
					step = steps - 1 - step
				}
				m, ok := x.point(first+step*q.period, int(q.period))
				if !ok || m.published > now.UnixMilli() {
					continue
				}
				if p.full() { // so the last page is never an empty one
					return at, true
				}
				p.add(x, head, m)
			}
		}
	}
	return at, false
}

// steps are the periods of the query: the first one's timestamp in seconds, and how
// many. They depend on the query alone, so that its pages agree.
func (q *metricQuery) steps() (first, count int64) {
	first = firstAfter(q.from, q.period)
	last := floorDiv(q.to, q.period*1000) * q.period
	return first, max(0, (last-first)/q.period+1)
}

// keepRetained moves the begin of the query to the oldest point that is still kept.
func (q *metricQuery) keepRetained(now time.Time, keep Retention) {
	retention := keep.Minute
	switch {
	case q.period < 60:
		retention = keep.Second
	case q.period >= 300:
		retention = keep.Coarse
	}
	q.from = max(q.from, now.Add(-retention).UnixMilli())
}

// describeMetricLast answers the newest published point of each series in the range.
// How the service combines it with an explicit StartTime is not documented; here it
// bounds the range.
func (s *Server) describeMetricLast(c *call) (any, *apiError) { return s.metricPage(c, s.fillLast) }

func (s *Server) fillLast(p *page, q *metricQuery, at cursor, region string) (next cursor, more bool) {
	now := s.now()
	first, steps := q.steps()
	budget := maxSteps
	resources := s.candidates(q, region)
	for ; at.resource < len(resources); at.resource, at.series = at.resource+1, 0 {
		all := q.m.seriesOf(resources[at.resource])
		for ; at.series < len(all); at.series++ {
			x := s.newSeries(q.m, resources[at.resource], all[at.series])
			if !q.matches(x.dims, s.cfg.AccountID) {
				continue
			}
			for step := steps - 1; step >= 0; step-- {
				if budget--; budget < 0 {
					return at, true
				}
				m, ok := x.point(first+step*q.period, int(q.period))
				if !ok || m.published > now.UnixMilli() {
					continue
				}
				if p.full() {
					return at, true
				}
				p.add(x, x.head(s.cfg.AccountID), m)
				break
			}
		}
	}
	return at, false
}

// page collects points as JSON text.
type page struct {
	text   []byte
	count  int
	length int
}

func newPage(length int) *page {
	return &page{length: length, text: append(make([]byte, 0, 64+length*150), '[')}
}

func (p *page) full() bool   { return p.count >= p.length }
func (p *page) json() string { return string(append(p.text, ']')) }

func (p *page) add(x *series, head string, m measurement) {
	if p.count > 0 {
		p.text = append(p.text, ',')
	}
	p.count++
	p.text = append(p.text, `{"timestamp":`...)
	p.text = strconv.AppendInt(p.text, m.at, 10)
	p.text = append(p.text, head...)
	for i := range len(x.m.statistics) {
		letter := x.m.statistics[i]
		p.text = append(p.text, `,"`...)
		p.text = append(p.text, statisticNames[letter]...)
		p.text = append(p.text, `":`...)
		p.text = strconv.AppendFloat(p.text, x.statistic(letter, m), 'f', -1, 64)
	}
	p.text = append(p.text, '}')
}
