package aliyun

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// A Fault changes what the server does, or what happens in the account: Breach,
// Throttle, Outage, ClockSkew; Create, Rename, Delete, Expire; BackupFailure,
// SlowQueries, DomainErrors; Spend, Balance; InstanceEvent, CloudEvent, Change,
// SecurityAlert, Vulnerability. Times are on the account's clock (Config.Now).
type Fault interface{ add(*Server) error }

// Breach sets the values of a metric of one instance, and when single points of it
// come. Inject it before its points are published: points do not change afterwards.
type Breach struct {
	Instance string // id
	// Metric is its MetricName, or a key of DescribeDBInstancePerformance of an RDS
	// instance, where the dimension "part" names a part of the value (recv_k).
	Metric string
	// Dimensions narrow the breach to the series that have all of them (device: /dev/vda1).
	Dimensions map[string]string
	// From and To bound the timestamps of the points that take Value, From excluded,
	// To included. None of them is missing or late by chance, so that a script's
	// course is exactly what it says. Both zero: values stay, only Late and Missing act.
	From, To time.Time
	Value    float64
	// Late is how long after its timestamp the point of that minute is published,
	// instead of its natural delay; such a point is never missing.
	Late map[time.Time]time.Duration
	// Missing are the minutes whose points are never published.
	Missing []time.Time
}

// When says which calls a fault hits. The zero value: all, from now on.
type When struct {
	// API is "Cms.DescribeMetricList", or "Cms" for the product, or "" for everything.
	API string
	// Region limits it to one region; "" is all.
	Region string
	// From (included) and To (excluded) bound the account's time. Zero: no bound.
	From, To time.Time
	// Count is how many calls are hit, 0 is all.
	Count int
}

// Throttle refuses calls with Code, by default Throttling.User.
type Throttle struct {
	When
	Code string
}

// Outage makes calls fail in one way.
type Outage struct {
	When
	Kind OutageKind
	// Delay is how long a Slow answer takes, on the real clock. Default 30 s.
	Delay time.Duration
}

// ClockSkew puts the gateway's clock ahead of the real one by By (behind it, if
// negative). The latest one injected counts; zero ends it.
type ClockSkew struct{ By time.Duration }

// Create hides a generated instance until At: it then appears as new.
type Create struct {
	Instance string
	At       time.Time
}

// Rename gives an instance another name from At on.
type Rename struct {
	Instance, Name string
	At             time.Time
}

// Delete removes an instance at At from the inventory, and its later points.
type Delete struct {
	Instance string
	At       time.Time
}

// maxFaults bounds what tests may pile up.
const maxFaults = 10000

// faultSet is what has been injected.
type faultSet struct {
	count     int
	breaches  map[string][]*breach // by instance
	throttles []*counted[Throttle]
	outages   []*counted[Outage]
	skew      time.Duration
	lives     map[string]life // by instance

	expiries      map[string]time.Time // by instance
	backups       []BackupFailure
	slowQueries   []SlowQueries
	domainErrors  []DomainErrors
	spends        []Spend
	balances      []Balance
	events        []InstanceEvent
	cloudEvents   []CloudEvent
	changes       []Change
	alerts        []SecurityAlert
	vulnerability []Vulnerability
}

// counted is a fault with what is left of its Count.
type counted[F any] struct {
	fault F
	when  When
	left  int // -1: no end
}

// life is when an instance exists, and its names.
type life struct {
	created, deleted time.Time
	renames          []Rename
}

type breach struct {
	Breach
	late    map[int64]time.Duration // by minute, ms
	missing map[int64]bool
}

// Inject adds a fault. An error names what is wrong with it; nothing is injected then.
func (s *Server) Inject(f Fault) error {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	if s.faults.count >= maxFaults {
		return fmt.Errorf("inject: there are %d faults already", maxFaults)
	}
	if err := f.add(s); err != nil {
		return fmt.Errorf("inject: %w", err)
	}
	s.faults.count++
	return nil
}

// ClearFaults takes back everything injected.
func (s *Server) ClearFaults() {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	s.faults = faultSet{}
}

func (f Breach) add(s *Server) error {
	r := s.estate.byID[f.Instance]
	if r == nil {
		return fmt.Errorf("breach: no instance %q", f.Instance)
	}
	m := findMetric(r.product.namespace, f.Metric)
	if (m == nil || len(m.seriesOf(r)) == 0) && findPerformanceKey(r, f.Metric) == nil {
		return fmt.Errorf("breach: %s has no metric %q", f.Instance, f.Metric)
	}
	if f.To.Before(f.From) {
		return fmt.Errorf("breach: To is before From")
	}
	if math.IsNaN(f.Value) || math.IsInf(f.Value, 0) {
		return fmt.Errorf("breach: Value %v is no number that JSON has", f.Value)
	}
	b := &breach{Breach: f, late: map[int64]time.Duration{}, missing: map[int64]bool{}}
	for t, d := range f.Late {
		if d < 0 {
			return fmt.Errorf("breach: Late: %s is negative", d)
		}
		b.late[t.Truncate(time.Minute).UnixMilli()] = d
	}
	for _, t := range f.Missing {
		b.missing[t.Truncate(time.Minute).UnixMilli()] = true
	}
	if s.faults.breaches == nil {
		s.faults.breaches = map[string][]*breach{}
	}
	s.faults.breaches[f.Instance] = append(s.faults.breaches[f.Instance], b)
	return nil
}

func (f Throttle) add(s *Server) error {
	if f.Code == "" {
		f.Code = "Throttling.User"
	}
	c, err := newCounted(f, f.When)
	if err != nil {
		return fmt.Errorf("throttle: %w", err)
	}
	s.faults.throttles = append(s.faults.throttles, c)
	return nil
}

func (f Outage) add(s *Server) error {
	if !f.Kind.valid() {
		return fmt.Errorf("outage: no kind %d", f.Kind)
	}
	if f.Delay == 0 {
		f.Delay = 30 * time.Second
	}
	c, err := newCounted(f, f.When)
	if err != nil {
		return fmt.Errorf("outage: %w", err)
	}
	s.faults.outages = append(s.faults.outages, c)
	return nil
}

func (f ClockSkew) add(s *Server) error {
	s.faults.skew = f.By
	return nil
}

func (f Create) add(s *Server) error {
	return s.changeLife("create", f.Instance, func(l *life) { l.created = f.At })
}

func (f Rename) add(s *Server) error {
	return s.changeLife("rename", f.Instance, func(l *life) { l.renames = append(l.renames, f) })
}

func (f Delete) add(s *Server) error {
	return s.changeLife("delete", f.Instance, func(l *life) { l.deleted = f.At })
}

func (s *Server) changeLife(noun, instance string, change func(*life)) error {
	if s.estate.byID[instance] == nil {
		return fmt.Errorf("%s: no instance %q", noun, instance)
	}
	if s.faults.lives == nil {
		s.faults.lives = map[string]life{}
	}
	l := s.faults.lives[instance]
	change(&l)
	s.faults.lives[instance] = l
	return nil
}

func newCounted[F any](f F, w When) (*counted[F], error) {
	if w.Count < 0 {
		return nil, fmt.Errorf("field Count: %d is negative", w.Count)
	}
	left := w.Count
	if left == 0 {
		left = -1
	}
	return &counted[F]{fault: f, when: w, left: left}, nil
}

func (w When) hits(c *call, now time.Time) bool {
	switch {
	case w.API != "" && w.API != c.api && !strings.HasPrefix(c.api, w.API+"."):
		return false
	case w.Region != "" && w.Region != c.region:
		return false
	case !w.From.IsZero() && now.Before(w.From):
		return false
	}
	return w.To.IsZero() || now.Before(w.To)
}

// takeFirst returns the first fault that hits the call, and counts the hit.
// The caller holds faultMu for writing.
func takeFirst[F any](faults []*counted[F], c *call, now time.Time) *F {
	for _, f := range faults {
		if f.left == 0 || !f.when.hits(c, now) {
			continue
		}
		if f.left > 0 {
			f.left--
		}
		return &f.fault
	}
	return nil
}

func (s *Server) outage(c *call) *Outage {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	return takeFirst(s.faults.outages, c, s.now())
}

func (s *Server) throttle(c *call) *apiError {
	s.faultMu.Lock()
	defer s.faultMu.Unlock()
	if t := takeFirst(s.faults.throttles, c, s.now()); t != nil {
		return errorf(400, t.Code, userFlowControl)
	}
	return nil
}

func (s *Server) skew() time.Duration {
	s.faultMu.RLock()
	defer s.faultMu.RUnlock()
	return s.faults.skew
}

// lifeOf returns when the instance exists and how it is called.
func (s *Server) lifeOf(id string) life {
	s.faultMu.RLock()
	defer s.faultMu.RUnlock()
	return s.faults.lives[id]
}

// exists tells whether the instance is there at t.
func (l life) exists(t time.Time) bool {
	return !t.Before(l.created) && (l.deleted.IsZero() || t.Before(l.deleted))
}

// name is the latest rename at t, or the generated name.
func (l life) name(generated string, t time.Time) string {
	name, since := generated, time.Time{}
	for _, r := range l.renames {
		if !r.At.After(t) && !r.At.Before(since) {
			name, since = r.Name, r.At
		}
	}
	return name
}

// breachesOf returns the breaches of one series.
func (s *Server) breachesOf(id, metric string, dims map[string]string) []*breach {
	s.faultMu.RLock()
	defer s.faultMu.RUnlock()
	var out []*breach
	for _, b := range s.faults.breaches[id] {
		if b.Metric == metric && containsAll(dims, b.Dimensions) {
			out = append(out, b)
		}
	}
	return out
}

func containsAll(have, want map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return true
}
