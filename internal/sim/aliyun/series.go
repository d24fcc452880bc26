package aliyun

import (
	"encoding/json"
	"math"
	"strings"
	"time"
)

// series is one metric of one resource with one set of dimensions, and the faults
// that act on it.
type series struct {
	m        *metric
	r        *resource
	dims     map[string]string
	values   []string // of m.keys
	key      uint64
	life     life
	breaches []*breach
	delay    Delay
	missing  float64 // Config.MissingRatio
}

func (s *Server) newSeries(m *metric, r *resource, values []string) *series {
	dims := m.dimensions(r, values)
	x := &series{
		m: m, r: r, dims: dims, values: values,
		key:     mixText(mixText(r.key, m.name), strings.Join(values, "\x00")),
		life:    s.lifeOf(r.id),
		delay:   s.cfg.delayOf(m.namespace),
		missing: s.cfg.MissingRatio,
	}
	if r.product.namespace == m.namespace {
		x.breaches = s.breachesOf(r.id, m.name, dims)
	}
	return x
}

// newestFirst: the service promises no order. One series in sixteen answers its
// points backwards.
func (x *series) newestFirst() bool { return mix(x.key, 30)%16 == 0 }

// measurement is one point. Times are Unix milliseconds.
type measurement struct {
	at, published int64
	minuteValue
	sum float64
}

// point is the point of the period that begins at `at` (Unix seconds, a multiple of
// period), whether or not it is published yet. False: it never will be.
func (x *series) point(at int64, period int) (measurement, bool) {
	if !x.life.exists(time.Unix(at, 0)) {
		return measurement{}, false
	}
	if period <= 60 {
		return x.member(at)
	}
	out := measurement{at: at * 1000, minuteValue: minuteValue{minimum: math.Inf(1), maximum: math.Inf(-1)}}
	members := 0
	for t := at; t < at+int64(period); t += 60 {
		p, ok := x.member(t)
		if !ok {
			continue
		}
		members++
		out.sum += p.sum
		out.average += p.average
		out.minimum, out.maximum = min(out.minimum, p.minimum), max(out.maximum, p.maximum)
		out.published = max(out.published, p.published)
	}
	if members == 0 {
		return measurement{}, false
	}
	out.average = round2(out.average / float64(members))
	out.sum = round2(out.sum)
	return out, true
}

// member is the point of a period of at most a minute. Within a minute the value
// stays; each point of it has its own delay.
func (x *series) member(at int64) (measurement, bool) {
	minute := at / 60
	p := measurement{at: at * 1000, minuteValue: x.m.shape.at(x.key, minute)}
	missing := unit(mix(x.key, uint64(at)*4+1)^0x5bd1e995) < x.missing
	delay := x.naturalDelay(at)
	for _, b := range x.breaches {
		ms := minute * 60_000
		if b.From.UnixMilli() < p.at && p.at <= b.To.UnixMilli() {
			p.minuteValue = minuteValue{b.Value, b.Value, b.Value}
			delay, missing = x.usualDelay(at), false
		}
		if d, ok := b.late[ms]; ok {
			delay, missing = d, false
		}
		if b.missing[ms] {
			missing = true
		}
	}
	p.sum = p.average
	p.published = p.at + delay.Milliseconds()
	return p, !missing
}

// usualDelay is that of a point which is not late.
func (x *series) usualDelay(at int64) time.Duration {
	return x.delay.Min + time.Duration(unit(mix(x.key, uint64(at)*4+3))*float64(x.delay.Max-x.delay.Min))
}

func (x *series) naturalDelay(at int64) time.Duration {
	h := mix(x.key, uint64(at)*4+2)
	if unit(h) < x.delay.LateRatio {
		return x.delay.Max + time.Duration(unit(mix(h, 1))*float64(x.delay.LateMax-x.delay.Max))
	}
	return x.usualDelay(at)
}

// statistics of a point, by name.
func (x *series) statistic(letter byte, p measurement) float64 {
	switch letter {
	case 'I':
		return p.minimum
	case 'X':
		return p.maximum
	case 'S':
		return p.sum
	}
	return p.average
}

// head is the constant part of the series' points in JSON, after the timestamp.
func (x *series) head(accountID string) string {
	var b strings.Builder
	write := func(key, value string) {
		text, _ := json.Marshal(value) // a string cannot fail
		b.WriteString(`,"` + key + `":`)
		b.Write(text)
	}
	write("userId", accountID)
	write(x.r.product.idKey, x.r.id)
	for i, key := range x.m.keys {
		write(key, x.values[i])
	}
	return b.String()
}

// Point is a point as ground truth for tests.
type Point struct {
	Time        time.Time
	PublishedAt time.Time // on the account's clock
	Dimensions  map[string]string
	Statistics  map[string]float64 // Average, Minimum, Maximum, Value, Sum: those of the metric
}

// Published returns every point of (from, to] of a metric (by MetricName) of an
// instance that has been or will ever be published, at Period 60 or the metric's
// coarser one: series after series, by time. What a collector can have seen at some
// time are the points whose PublishedAt is not after it; points that never come are
// left out. Retention is not applied. Unknown instances and metrics have no points.
func (s *Server) Published(instance, metricName string, from, to time.Time) []Point {
	return s.PublishedEvery(time.Minute, instance, metricName, from, to)
}

// PublishedEvery is Published at another period, a multiple of a minute.
func (s *Server) PublishedEvery(every time.Duration, instance, metricName string, from, to time.Time) []Point {
	r := s.estate.byID[instance]
	if r == nil {
		return nil
	}
	m := findMetric(r.product.namespace, metricName)
	if m == nil {
		return nil
	}
	period := max(int64(m.period), int64(every/time.Second), 60)
	var out []Point
	for _, values := range m.seriesOf(r) {
		x := s.newSeries(m, r, values)
		for at := firstAfter(from.UnixMilli(), period); at*1000 <= to.UnixMilli(); at += period {
			if p, ok := x.point(at, int(period)); ok {
				out = append(out, x.export(p))
			}
		}
	}
	return out
}

func (x *series) export(p measurement) Point {
	stats := map[string]float64{}
	for i := range len(x.m.statistics) {
		letter := x.m.statistics[i]
		stats[statisticNames[letter]] = x.statistic(letter, p)
	}
	return Point{
		Time: time.UnixMilli(p.at).UTC(), PublishedAt: time.UnixMilli(p.published).UTC(),
		Dimensions: x.dims, Statistics: stats,
	}
}

// firstAfter is the first multiple of period (seconds) after a time (ms, excluded).
func firstAfter(ms, period int64) int64 {
	return floorDiv(ms, period*1000)*period + period
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
