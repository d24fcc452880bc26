//go:build unix

package aliyunsoak

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/plan"
	sim "watchkeeper/internal/sim/aliyun"
	"watchkeeper/internal/table"
)

var simulated = flag.Int("soak.hours", 2, "simulated `hours`: 2 or 24")

// A customer's day: nothing that the account published is lost, nothing doubled,
// the limits are kept, and quiet hours cost what the plan says.
func TestSoak(t *testing.T) {
	s, ok := schedules[*simulated]
	if !ok {
		t.Fatalf("-soak.hours %d: want 2 or 24", *simulated)
	}
	began := realTime()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { soak(t, s, dir, began) })
}

func soak(t *testing.T, s schedule, dir string, began time.Time) {
	time.Sleep(time.Until(s.start))
	customers := []*customer{everything(t, dir), thrifty(t)}
	for _, c := range customers {
		if err := s.inject(c.cloud); err != nil {
			t.Fatal(err)
		}
	}
	ledger := &ledger{accepted: map[string]map[string]int{}}
	p := start(t, filepath.Join(dir, "data"), customers, ledger)
	for _, at := range s.stops() {
		time.Sleep(time.Until(s.start.Add(at)))
		if at%time.Hour == 0 || at == s.length {
			progress(at, customers, ledger, began)
		}
		for _, e := range s.events {
			if e.at == at {
				p = happen(t, p, e)
			}
		}
		for _, c := range customers {
			c.watchQuiet(t, s, at)
		}
	}
	p.stop()
	judge(t, s, p, customers)
	p.end()
}

// stops are the times at which something is to be done.
func (s schedule) stops() []time.Duration {
	at := map[time.Duration]bool{s.length: true}
	for n := time.Hour; n < s.length; n += time.Hour {
		at[n] = true
	}
	for _, e := range s.events {
		at[e.at] = true
	}
	for _, q := range s.quiet {
		at[q[0]-planBefore], at[q[0]], at[q[1]] = true, true, true
	}
	return slices.Sorted(maps.Keys(at))
}

// happen does what no fault's time could say, and returns the process that runs then.
func happen(t *testing.T, p *process, e event) *process {
	t.Helper()
	c := p.customers[0].cloud
	var err error
	switch e.kind {
	case restart:
		p.end()
		return start(t, p.dir, p.customers, p.ledger)
	case crash:
		next := p.dir + "-" + strconv.Itoa(int(e.at.Minutes()))
		p.crash(next)
		return start(t, next, p.customers, p.ledger)
	case expire:
		c.ExpireSessions()
	case created: // it was hidden from the start
	case deleted:
		err = c.Inject(sim.Delete{Instance: c.Instances(ecs)[0], At: time.Now()})
	case skewed:
		err = c.Inject(sim.ClockSkew{By: 20 * time.Minute})
	case right:
		err = c.Inject(sim.ClockSkew{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// watchQuiet plans before a quiet window and compares after it.
func (c *customer) watchQuiet(t *testing.T, s schedule, at time.Duration) {
	t.Helper()
	for _, q := range s.quiet {
		switch at {
		case q[0] - planBefore:
			c.makePlan(t)
		case q[0]:
			c.quiet = c.cloud.total()
		case q[1]:
			c.checkPlan(t, q[1]-q[0], since(c.quiet, c.cloud.total()))
		}
	}
}

// planBefore a quiet window the account is asked what it holds.
const planBefore = 10 * time.Minute

func (c *customer) makePlan(t *testing.T) {
	t.Helper()
	sizes, err := plan.Live(t.Context(), []*aliyun.Account{c.account}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if c.plan, err = plan.New([]*aliyun.Account{c.account}, sizes); err != nil {
		t.Fatal(err)
	}
}

// checkPlan compares a quiet window's calls with the plan. An account whose plan
// exceeds its quota makes fewer.
func (c *customer) checkPlan(t *testing.T, window time.Duration, made map[string]int) {
	t.Helper()
	planned := map[string]int{}
	for _, r := range c.plan.Rows {
		if n := r.Calls * int(window/(time.Duration(r.Interval)*time.Second)); n > 0 {
			planned[r.API] += n
		}
	}
	delete(made, "Sts.AssumeRole") // a new key an hour is in no plan
	if d := cmp.Diff(planned, made); d != "" && !c.plan.Over() {
		t.Errorf("calls of %s in quiet %s, planned (-) and made (+): %s", c.name, window, d)
	}
	c.planned = append(c.planned, fmt.Sprintf("%s: %d calls, %d planned", window, total(made), total(planned)))
}

func total(m map[string]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

// judge compares and prints. An error of the test is a line of the first kind of
// mistake in each row.
func judge(t *testing.T, s schedule, p *process, customers []*customer) {
	t.Helper()
	var stored, calls, months [][]string
	for _, c := range customers {
		r := reader{t: t, store: p.store, who: c.name, from: s.start.Add(-time.Duration(c.cfg.FillIn) + 2*time.Minute), to: s.start.Add(s.length)}
		accepted := p.ledger.accepted[c.name]
		results := cloudMonitor(r, c, accepted)
		if slices.Contains(c.cfg.Products, "rds") {
			results = append(results, counters(r, c, accepted)...)
		}
		for _, one := range results {
			stored = append(stored, one.row())
			one.check(t)
		}
		calls = append(calls, c.calls(t)...)
		months = append(months, c.month(t, p, s))
	}
	fmt.Println()
	table.Write(os.Stdout, []string{"points of", "due", "stored", "lost", "wrong", "invented", "doubled", "read until"}, stored)
	fmt.Println()
	table.Write(os.Stdout, []string{"customer", "API", "calls", "most in 1 s", "allowed"}, calls)
	fmt.Println()
	table.Write(os.Stdout, []string{"customer", "metric queries of the month", "counted by us", "forecast", "limit", "degrade level"}, months)
	fmt.Println()
	for _, c := range customers {
		for _, line := range c.planned {
			fmt.Println(c.name, "in quiet", line)
		}
	}
	l := p.ledger
	fmt.Printf("delivered again after a restart and dropped: %d samples; refused: %d\n", l.again, l.refused)
	if l.refused > 0 {
		t.Errorf("the store refused %d samples, first %s", l.refused, l.example)
	}
	if l.settled > 0 {
		t.Errorf("%d samples were delivered twice by a process that ran for longer than %s: %s", l.settled, settling, l.twice[:min(len(l.twice), 10)])
	}
}

// longestLag is how long before the end a source may have been read last.
const longestLag = 40 * time.Minute

func (r result) check(t *testing.T) {
	t.Helper()
	switch {
	case r.lost+r.wrong+r.invented+r.doubled != 0:
		t.Errorf("%s: %d lost, %d wrong, %d invented, %d doubled; %s", r.what, r.lost, r.wrong, r.invented, r.doubled, r.example)
	case r.published == 0:
		t.Errorf("%s: no point was due", r.what)
	case r.lag > longestLag:
		t.Errorf("%s: last read %s before the end", r.what, r.lag)
	}
}

func (r result) row() []string {
	n := strconv.Itoa
	return []string{r.what, n(r.published), n(r.stored), n(r.lost), n(r.wrong), n(r.invented), n(r.doubled), r.lag.Round(time.Second).String() + " ago"}
}

func progress(at time.Duration, customers []*customer, l *ledger, began time.Time) {
	calls := 0
	for _, c := range customers {
		calls += total(c.cloud.total())
	}
	fmt.Printf("%5.1f h simulated in %4.0f s: %7d calls, %9d samples stored\n", at.Hours(), realTime().Sub(began).Seconds(), calls, l.total())
}

// realTime is the machine's clock, also in a bubble.
func realTime() time.Time {
	var tv syscall.Timeval
	if err := syscall.Gettimeofday(&tv); err != nil {
		panic(err)
	}
	return time.Unix(tv.Sec, int64(tv.Usec)*1000)
}
