package aliyun

import (
	"hash/fnv"
	"time"

	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/internal/sample"
)

// DegradeLevel says how far an account's collection is cut so that its free
// calls of the month last. Each level holds the cuts of those before it.
type DegradeLevel int

// Levels.
const (
	DegradeNone   DegradeLevel = iota
	DegradeExtras              // metrics without a contract row are polled less often
	DegradeFast                // they are not polled; the fast lane runs down to the alarm interval
	DegradeAlarm               // contract rows are polled less often; their points come late, none is lost
	DegradeSpent               // nothing is polled: the calls of the month are used up
)

func (l DegradeLevel) String() string {
	return [...]string{"none", "extras stretched", "extras off, fast lane slowed", "contract rows stretched", "calls of the month used up"}[l]
}

// Why a poll was skipped.
const (
	skipBudget  = "budget"  // its share of the month's calls is used up for now
	skipSpent   = "spent"   // all calls of the month are made
	skipRefused = "refused" // the provider refuses: the quota is used up, also by others
)

// monthReserve is the part of the month's calls that plans leave for retries
// and for what is fetched again after outages.
const monthReserve = 0.02

// refusedPause is how long metric queries rest after the provider's refusal.
const refusedPause = 10 * time.Minute

// poller is one collector that uses up the month's calls.
type poller struct {
	lane     catalog.Lane
	interval time.Duration
	// alarmInterval is that of the alarm lane, to which the fast lane can be slowed.
	alarmInterval time.Duration
	calls         float64 // of one poll
	// credit grows by the lane's share at each poll; a whole one is a poll.
	credit  float64
	started bool
	asked   time.Time
}

// forgotten tells that nobody polls here any more (after a reload).
func (p *poller) forgotten(now time.Time) bool {
	return now.Sub(p.asked) > max(3*p.interval, 10*time.Minute)
}

// Demand is how many calls that count for the month the collectors of an account
// would make in a second, by lane.
type Demand struct{ alarm, fast, fastSlowed, normal float64 }

// Add adds a collector's; slowed are its calls at the alarm interval.
func (d *Demand) Add(lane catalog.Lane, perSecond, slowed float64) {
	switch lane {
	case catalog.Normal:
		d.normal += perSecond
	case catalog.Fast:
		d.fast += perSecond
		d.fastSlowed += min(perSecond, slowed)
	default:
		d.alarm += perSecond
	}
}

// Level is how far the collection is cut when so many calls are allowed in a
// month of 30 days.
func (d Demand) Level(callsPerMonth int64) DegradeLevel {
	return ration(d, (1-monthReserve)*float64(callsPerMonth)/(30*24*time.Hour).Seconds()).level
}

func (d Demand) total() float64 { return d.alarm + d.fast + d.normal }

// shares is which part of its polls each lane makes.
type shares struct {
	level               DegradeLevel
	alarm, fast, normal float64
}

func (s shares) of(lane catalog.Lane) float64 {
	switch lane {
	case catalog.Normal:
		return s.normal
	case catalog.Fast:
		return s.fast
	}
	return s.alarm
}

// ration divides the calls per second that are left among the lanes, contract
// rows first.
func ration(d Demand, perSecond float64) shares {
	switch {
	case perSecond <= 0:
		return shares{level: DegradeSpent}
	case d.total() <= perSecond:
		return shares{alarm: 1, fast: 1, normal: 1}
	case d.alarm+d.fast <= perSecond:
		return shares{level: DegradeExtras, alarm: 1, fast: 1, normal: (perSecond - d.alarm - d.fast) / d.normal}
	case d.alarm+d.fastSlowed <= perSecond:
		return shares{level: DegradeFast, alarm: 1, fast: (perSecond - d.alarm) / d.fast}
	}
	s := shares{level: DegradeAlarm, alarm: perSecond / (d.alarm + d.fastSlowed)}
	if d.fast > 0 {
		s.fast = s.alarm * d.fastSlowed / d.fast
	}
	return s
}

// gate is a collector's way to its share of the month's calls.
type gate struct {
	budget *budget
	source sample.Source
	poller *poller // guarded by budget.mu
}

func newGate(b *budget, source sample.Source, lane catalog.Lane, interval, alarmInterval time.Duration) *gate {
	return &gate{budget: b, source: source, poller: &poller{lane: lane, interval: interval, alarmInterval: alarmInterval, calls: 1}}
}

// admit says whether a poll may be made now; if not, why.
func (g *gate) admit(now time.Time) (skipped string) {
	b := g.budget
	b.mu.Lock()
	b.pollers[g.source] = g.poller
	g.poller.asked = now
	skipped = b.admit(g.poller, g.source, now)
	b.mu.Unlock()
	if skipped != "" {
		b.set.GetOrCreateCounter("watchkeeper_aliyun_polls_skipped_total" + b.labels("lane", string(g.poller.lane), "reason", skipped)).Inc()
	}
	b.set.GetOrCreateCounter("watchkeeper_aliyun_polls_total" + b.labels("lane", string(g.poller.lane))).Inc()
	return skipped
}

// costs notes how many calls a poll takes, in the mean, when none is skipped.
func (g *gate) costs(calls float64) {
	g.budget.mu.Lock()
	defer g.budget.mu.Unlock()
	g.poller.calls = max(calls, 1)
}

// admit is called with mu held.
func (b *budget) admit(p *poller, source sample.Source, now time.Time) (skipped string) {
	if now.Before(b.refusedTo) {
		return skipRefused
	}
	s := b.shares(now)
	if s.level == DegradeSpent {
		return skipSpent
	}
	if !p.started {
		// Everybody's first poll is made. After it the sources' credits differ, so
		// that not all of them skip the same round.
		p.started, p.credit = true, fraction(source)
		return ""
	}
	p.credit = min(p.credit+s.of(p.lane), 2)
	if p.credit < 1 {
		return skipBudget
	}
	p.credit--
	return ""
}

// shares is called with mu held.
func (b *budget) shares(now time.Time) shares {
	left := (1-monthReserve)*float64(b.cfg.CallsPerMonth) - float64(b.month.count(now))
	return ration(b.demand(now), left/monthEnd(now).Sub(now).Seconds())
}

// level is called with mu held.
func (b *budget) level(now time.Time) DegradeLevel {
	if now.Before(b.refusedTo) {
		return DegradeSpent
	}
	return b.shares(now).level
}

// demand is called with mu held; it forgets who no longer polls.
func (b *budget) demand(now time.Time) (d Demand) {
	for source, p := range b.pollers {
		if p.forgotten(now) {
			delete(b.pollers, source)
			continue
		}
		d.Add(p.lane, p.calls/p.interval.Seconds(), p.calls/p.alarmInterval.Seconds())
	}
	return d
}

// forecast is the month's count at its end if everything is polled. Called with
// mu held.
func (b *budget) forecast(now time.Time) float64 {
	return float64(b.month.count(now)) + b.demand(now).total()*monthEnd(now).Sub(now).Seconds()
}

// fraction is a stable number in [0, 1) for a source.
func fraction(s sample.Source) float64 {
	h := fnv.New32a()
	h.Write([]byte(s.Customer + "\x00" + s.Name))
	return float64(h.Sum32()) / (1 << 32)
}
