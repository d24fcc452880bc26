package demo

import (
	"fmt"
	"time"

	sim "watchkeeper/internal/sim/aliyun"
)

// instances is how many ECS instances the simulated account has.
const instances = 4

// breach is what the simulated account went through a few minutes ago.
type breach struct {
	Instance string
	From, To time.Time // minutes of the first and the last breaching point
	Missing  time.Time // this minute's point never comes
	Late     time.Time // this minute's point is published during the demo
	LateAt   time.Time
	GoodAt   time.Time // the first good point afterwards is published then
}

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
	return s, b, s.Inject(sim.Breach{
		Instance: b.Instance, Metric: "CPUUtilization", From: minute(-10), To: minute(-2), Value: 96.5,
		Missing: []time.Time{b.Missing},
		Late: map[time.Time]time.Duration{
			b.Late:     b.LateAt.Sub(b.Late),
			minute(-1): b.GoodAt.Sub(minute(-1)),
			minute(0):  start.Add(17 * time.Second).Sub(minute(0)),
		},
	})
}

func (b breach) String() string {
	return fmt.Sprintf("%s: CPU above 90 %% from %s to %s; the point of %s never came, the one of %s is published late",
		b.Instance, clock(b.From), clock(b.To), clock(b.Missing), clock(b.Late))
}

func clock(t time.Time) string { return t.UTC().Format("15:04") }
