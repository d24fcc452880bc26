package aliyun

import (
	"slices"
	"strings"
)

// describeMetricData is the list without NextToken; its Express is not simulated.
func (s *Server) describeMetricData(c *call) (any, *apiError) {
	q, at, early, e := s.prepare(c)
	if e != nil || early != nil {
		return early, e
	}
	p := newPage(q.length)
	s.fill(p, &q, at, c.region)
	return q.answer(c, p), nil
}

// describeMetricTop answers the newest point of each series, ordered by the statistic
// Orderby. OrderDesc "True" means ascending, against its name.
func (s *Server) describeMetricTop(c *call) (any, *apiError) {
	letter := byte(0)
	for l, name := range statisticNames {
		if name == c.params["Orderby"] {
			letter = l
		}
	}
	if c.params["Orderby"] == "" {
		return nil, missingParameter("Orderby")
	}
	q, _, early, e := s.prepare(c)
	if e != nil || early != nil {
		return early, e
	}
	if !strings.ContainsRune(q.m.statistics, rune(letter)) {
		return nil, illegalParameters()
	}
	type row struct {
		x     *series
		m     measurement
		value float64
	}
	var rows []row
	for _, r := range s.candidates(&q, c.region) {
		for _, values := range q.m.seriesOf(r) {
			x := s.newSeries(q.m, r, values)
			if !q.matches(x.dims, s.cfg.AccountID) {
				continue
			}
			if m, ok := s.newest(x, &q); ok {
				rows = append(rows, row{x, m, x.statistic(letter, m)})
			}
		}
	}
	sortBy(rows, func(r row) float64 { return r.value })
	if !strings.EqualFold(c.params["OrderDesc"], "true") {
		slices.Reverse(rows)
	}
	p := newPage(q.length)
	for _, r := range rows {
		if p.full() {
			break
		}
		p.add(r.x, r.x.head(s.cfg.AccountID), r.m)
	}
	return q.answer(c, p), nil
}

// newest is the newest published point of the range.
func (s *Server) newest(x *series, q *metricQuery) (measurement, bool) {
	now := s.now().UnixMilli()
	first, steps := q.steps()
	for step := steps - 1; step >= 0; step-- {
		if m, ok := x.point(first+step*q.period, int(q.period)); ok && m.published <= now {
			return m, true
		}
	}
	return measurement{}, false
}
