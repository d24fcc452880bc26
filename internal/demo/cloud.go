package demo

import (
	"fmt"
	"time"

	sim "watchkeeper/internal/sim/aliyun"
)

// instances is how many ECS instances the simulated account has.
const instances = 4

// metric is the one that breaches.
const metric = "CPUUtilization"

// breach is what the simulated account went through a few minutes ago.
type breach struct {
	Instance string
	From, To time.Time // minutes of the first and the last breaching point
	Missing  time.Time // this minute's point never comes
	// Late is the minute whose point is published during the demo, not before LateAt.
	Late, LateAt time.Time
	// The good points afterwards are published when those before were shown, not
	// before GoodAt.
	GoodAt time.Time
}

// held is for how long after the breach points are published only when the tour has
// come so far: the alert would be over before a slow machine has shown it.
const held = time.Hour

// newCloud makes the account. Its breach: above 90 % for eight minutes, the
// fourth point missing, the sixth late, and the recovery published while the
// demo runs.
func newCloud(start time.Time) (*sim.Server, breach, error) {
	delay := sim.Delay{Min: 5 * time.Second, Max: 20 * time.Second}
	s, err := sim.New(sim.Config{
		Seed: 7, Keys: []sim.Key{key}, Regions: []string{"cn-hangzhou"}, ECSInstances: instances, PointDelay: &delay,
	})
	if err != nil {
		return nil, breach{}, err
	}
	now := start.Truncate(time.Minute)
	minute := func(n int) time.Time { return now.Add(time.Duration(n) * time.Minute) }
	b := breach{
		Instance: s.Instances("acs_ecs_dashboard")[1],
		From:     minute(-9), Missing: minute(-6), Late: minute(-4), To: minute(-2),
		LateAt: start.Add(9 * time.Second), GoodAt: start.Add(16 * time.Second),
	}
	late := map[time.Time]time.Duration{b.Late: 2 * held}
	for m := b.To.Add(time.Minute); m.Before(b.To.Add(held)); m = m.Add(time.Minute) {
		late[m] = 2 * held
	}
	return s, b, s.Inject(sim.Breach{
		Instance: b.Instance, Metric: metric, From: minute(-10), To: b.To, Value: 96.5,
		Missing: []time.Time{b.Missing}, Late: late,
	})
}

// publish lets the points from one minute to another come: at now those that are
// over, the others soon after their time.
func (s *simulated) publish(from, to, now time.Time) error {
	late := map[time.Time]time.Duration{}
	for m := from; !m.After(to); m = m.Add(time.Minute) {
		late[m] = max(now.Sub(m), 10*time.Second)
	}
	return s.cloud.Inject(sim.Breach{Instance: s.breach.Instance, Metric: metric, Late: late})
}

func (b breach) String() string {
	return fmt.Sprintf("%s: CPU above 90 %% from %s to %s; the point of %s never came, the one of %s is published late",
		b.Instance, clock(b.From), clock(b.To), clock(b.Missing), clock(b.Late))
}

func clock(t time.Time) string { return t.UTC().Format("15:04") }
