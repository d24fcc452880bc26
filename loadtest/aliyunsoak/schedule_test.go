//go:build unix

package aliyunsoak

import (
	"slices"
	"time"

	sim "watchkeeper/internal/sim/aliyun"
)

// fault is something that goes wrong between two times after the start.
type fault struct {
	name     string
	from, to time.Duration
	outage   sim.Outage // its When is filled in
	throttle bool
}

// event is something that happens at a time after the start.
type event struct {
	at   time.Duration
	kind string
}

// Kinds of events.
const (
	restart = "restart"
	crash   = "crash"
	expire  = "temporary keys revoked"
	created = "instance created"
	deleted = "instance deleted"
	skewed  = "gateway's clock 20 minutes ahead"
	right   = "gateway's clock right again"
)

// schedule is the course of a soak.
type schedule struct {
	start  time.Time
	length time.Duration
	faults []fault
	events []event
	// quiet are windows in which nothing goes wrong and everything has been caught
	// up; whole half hours, since collectors are called within them.
	quiet [][2]time.Duration
	// bursts: each so many calls are refused once, but for quiet windows.
	burstEvery time.Duration
	burst      int
}

const (
	minute = time.Minute
	ecs    = "acs_ecs_dashboard"
)

// day goes over the end of a month (in the provider's zone).
var day = schedule{
	start: time.Date(2026, 11, 30, 8, 0, 17, 0, time.UTC), length: 24 * time.Hour,
	faults: []fault{
		{name: "throttling storm", from: 120 * minute, to: 140 * minute, throttle: true},
		{name: "outage (503)", from: 180 * minute, to: 360 * minute, outage: sim.Outage{Kind: sim.Unavailable}},
		{name: "slow answers", from: 420 * minute, to: 450 * minute, outage: sim.Outage{Kind: sim.Slow, Delay: 30 * time.Second}},
		{name: "truncated JSON", from: 510 * minute, to: 530 * minute, outage: sim.Outage{Kind: sim.Truncated}},
		{name: "200 without success", from: 540 * minute, to: 555 * minute, outage: sim.Outage{Kind: sim.Unsuccessful}},
		{name: "connections cut", from: 565 * minute, to: 580 * minute, outage: sim.Outage{Kind: sim.Reset}},
		{name: "2 MB answers", from: 585 * minute, to: 600 * minute, outage: sim.Outage{Kind: sim.Huge}},
		{name: "502 without body", from: 605 * minute, to: 615 * minute, outage: sim.Outage{Kind: sim.NotJSON}},
		{name: "500", from: 620 * minute, to: 630 * minute, outage: sim.Outage{Kind: sim.InternalError}},
		{name: "wrong types", from: 640 * minute, to: 655 * minute, outage: sim.Outage{Kind: sim.WrongTypes}},
		{name: "empty answers", from: 670 * minute, to: 730 * minute, outage: sim.Outage{Kind: sim.EmptyList}},
		{name: "outage (cut)", from: 1150 * minute, to: 1180 * minute, outage: sim.Outage{Kind: sim.Reset}},
	},
	events: []event{
		{330 * minute, created}, {400 * minute, restart}, {660 * minute, expire}, {780 * minute, restart}, {840 * minute, deleted},
		{900 * minute, crash}, {1020 * minute, skewed}, {1030 * minute, right}, {1080 * minute, crash}, {1160 * minute, crash}, {1210 * minute, expire},
	},
	quiet:      [][2]time.Duration{{60 * minute, 120 * minute}, {1320 * minute, 1380 * minute}},
	burstEvery: 37 * minute, burst: 30,
}

// twoHours have one fault of each kind.
var twoHours = schedule{
	start: time.Date(2026, 11, 10, 8, 0, 17, 0, time.UTC), length: 2 * time.Hour,
	faults: []fault{
		{name: "throttling storm", from: 60 * minute, to: 63 * minute, throttle: true},
		{name: "outage (503)", from: 65 * minute, to: 75 * minute, outage: sim.Outage{Kind: sim.Unavailable}},
		{name: "slow answers", from: 76 * minute, to: 77 * minute, outage: sim.Outage{Kind: sim.Slow, Delay: 30 * time.Second}},
		{name: "truncated JSON", from: 78 * minute, to: 80 * minute, outage: sim.Outage{Kind: sim.Truncated}},
		{name: "200 without success", from: 80 * minute, to: 81 * minute, outage: sim.Outage{Kind: sim.Unsuccessful}},
		{name: "connections cut", from: 81 * minute, to: 82 * minute, outage: sim.Outage{Kind: sim.Reset}},
		{name: "2 MB answers", from: 82 * minute, to: 83 * minute, outage: sim.Outage{Kind: sim.Huge}},
		{name: "502 without body", from: 83 * minute, to: 84 * minute, outage: sim.Outage{Kind: sim.NotJSON}},
		{name: "500", from: 84 * minute, to: 85 * minute, outage: sim.Outage{Kind: sim.InternalError}},
		{name: "wrong types", from: 85 * minute, to: 87 * minute, outage: sim.Outage{Kind: sim.WrongTypes}},
		{name: "empty answers", from: 87 * minute, to: 93 * minute, outage: sim.Outage{Kind: sim.EmptyList}},
	},
	events: []event{
		{61 * minute, created}, {64 * minute, restart}, {70 * minute, crash}, {86 * minute, expire}, {95 * minute, deleted}, {96 * minute, crash},
		{98 * minute, skewed}, {101 * minute, right},
	},
	quiet:      [][2]time.Duration{{30 * minute, 60 * minute}},
	burstEvery: 17 * minute, burst: 30,
}

// schedules by how many hours they simulate.
var schedules = map[int]schedule{2: twoHours, 24: day}

// inject adds the faults to a cloud.
func (s schedule) inject(c *cloud) error {
	for _, f := range s.faults {
		when := sim.When{From: s.start.Add(f.from), To: s.start.Add(f.to)}
		var err error
		if f.throttle {
			err = c.Inject(sim.Throttle{When: when})
		} else {
			o := f.outage
			o.When = when
			if o.When.API = "Cms"; o.Kind != sim.EmptyList { // of the others an empty answer is the truth
				o.When.API = ""
			}
			err = c.Inject(o)
		}
		if err != nil {
			return err
		}
	}
	for _, e := range s.events {
		if ids := c.Instances(ecs); e.kind == created {
			if err := c.Inject(sim.Create{Instance: ids[len(ids)-1], At: s.start.Add(e.at)}); err != nil {
				return err
			}
		}
	}
	for at := s.burstEvery; at < s.length; at += s.burstEvery {
		if s.isQuiet(at) {
			continue
		}
		if err := c.Inject(sim.Throttle{When: sim.When{From: s.start.Add(at), To: s.start.Add(at + minute), Count: s.burst}}); err != nil {
			return err
		}
	}
	return nil
}

// isQuiet: half an hour before a window belongs to it.
func (s schedule) isQuiet(at time.Duration) bool {
	return slices.ContainsFunc(s.quiet, func(q [2]time.Duration) bool { return at >= q[0]-30*minute && at < q[1] })
}
