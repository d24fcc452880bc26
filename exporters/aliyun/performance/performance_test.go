package performance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/aliyuntest"
	"watchkeeper/exporters/aliyun/performance"
	sim "watchkeeper/internal/sim/aliyun"
	"watchkeeper/ruleset/dbpolicy"
)

const rds = "acs_rds_dashboard"

var (
	noon     = aliyuntest.Noon
	resumeAt = aliyuntest.ResumeAt
)

type cloud = aliyuntest.Cloud

type sink struct{ aliyuntest.Sink }

func newCloud(t *testing.T, databases int) *cloud {
	t.Helper()
	return aliyuntest.New(t, func(cfg *sim.Config) { cfg.Products = map[string]int{rds: databases} })
}

// account builds an account over the simulator, through the SDK; over wraps its client.
func account(t *testing.T, c *cloud, resume aliyun.ResumeFunc, change func(*aliyun.AccountConfig), over func(aliyun.Client) aliyun.Client) *aliyun.Account {
	t.Helper()
	return aliyuntest.Account(t, c.Address, aliyuntest.Options{Resume: resume, Over: over, Config: func(cfg *aliyun.AccountConfig) {
		cfg.Products = []string{"rds"}
		if change != nil {
			change(cfg)
		}
	}})
}

func collector(t *testing.T, a *aliyun.Account, name string) exporters.Collector {
	t.Helper()
	jobs, err := performance.Jobs(a)
	if err != nil {
		t.Fatal(err)
	}
	return aliyuntest.Collector(t, jobs, name)
}

// points lists samples of a metric after a time as "instance time value", sorted.
func (s *sink) points(metric string, after time.Time) []string {
	var out []string
	for _, b := range s.Batches() {
		for _, x := range b.Samples {
			if x.Labels.Get("__name__") == metric && x.T > after.UnixMilli() {
				out = append(out, line(x.Labels.Get("instance"), time.UnixMilli(x.T), x.V))
			}
		}
	}
	slices.Sort(out)
	return out
}

func line(instance string, t time.Time, v float64) string {
	return fmt.Sprintf("%s %s %.6f", instance, t.UTC().Format("15:04:05"), v)
}

func poll(t *testing.T, c *cloud, col exporters.Collector, out *sink, end time.Time) {
	t.Helper()
	for at := noon.Add(5*time.Minute + 17*time.Second); !at.After(end.Add(time.Minute)); at = at.Add(5 * time.Minute) {
		c.Set(at)
		if err := col.Collect(t.Context(), at, out); err != nil {
			t.Fatalf("%s: %v", at, err)
		}
	}
}

// engines of the simulator's instances, from its own list.
func engines(t *testing.T, a *aliyun.Account) map[string]string {
	t.Helper()
	body, err := a.Client().Do(t.Context(), aliyun.Request{
		Product: "Rds", Version: "2014-08-15", Action: "DescribeDBInstances", Region: "cn-hangzhou", Host: "rds.aliyuncs.com", Query: map[string]string{"PageSize": "100"},
	})
	var list struct {
		Items struct {
			DBInstance []struct{ DBInstanceID, Engine string }
		}
	}
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, i := range list.Items.DBInstance {
		out[i.DBInstanceID] = i.Engine
	}
	return out
}

// truth lists what the simulator says of a part at every whole minute.
func truth(c *cloud, ids map[string]string, engine, key, part string, scale float64, from, to time.Time) []string {
	var out []string
	for id, e := range ids {
		if e != engine {
			continue
		}
		for at := from.Add(time.Minute); !at.After(to); at = at.Add(time.Minute) {
			for _, p := range c.Performance(id, key, at) {
				if p.Name == part {
					out = append(out, line(id, at, p.Value*scale))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// Every counter of the contract that the API has comes, with the value that the
// simulator measured at that time, once.
func TestEveryCounterOfTheContract(t *testing.T) {
	c := newCloud(t, 15)
	a := account(t, c, resumeAt(noon), nil, nil)
	out := &sink{}
	poll(t, c, collector(t, a, "rds-performance"), out, noon.Add(40*time.Minute))
	ids := engines(t, a)
	wholeMinutes := func(metric string) []string {
		return slices.DeleteFunc(out.points(metric, noon), func(s string) bool { return !strings.Contains(s, ":00 ") })
	}
	keys, err := performance.LoadKeys()
	if err != nil {
		t.Fatal(err)
	}
	delivered := map[string]bool{}
	compared := 0
	for _, e := range keys.Engines {
		for _, k := range e.Keys {
			for _, p := range k.Parts {
				parts := append([]string{""}, p.Part...)
				var want []string
				for _, name := range names(c, ids, e.Engine, k.Key) {
					if slices.ContainsFunc(parts, func(n string) bool { return strings.EqualFold(n, name) }) {
						want = append(want, truth(c, ids, e.Engine, k.Key, name, p.Scale, noon, noon.Add(35*time.Minute))...)
					}
				}
				got := slices.DeleteFunc(wholeMinutes(p.Name), func(s string) bool {
					id, rest, _ := strings.Cut(s, " ")
					return ids[id] != e.Engine || rest > "04:35:00 z"
				})
				// Instances with a point every 300 s have no others.
				sparse := map[string]bool{}
				for _, g := range got {
					sparse[g] = true
				}
				want = slices.DeleteFunc(want, func(s string) bool {
					id, rest, _ := strings.Cut(s, " ")
					return !sparse[s] && everyFiveMinutes(got, id) && rest[4] != '0' && rest[4] != '5'
				})
				if len(got) == 0 {
					t.Errorf("%s %s: nothing delivered as %s", e.Engine, k.Key, p.Name)
					continue
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("%s %s %v: %s", e.Engine, k.Key, p.Part, d)
				}
				compared += len(got)
				delivered[p.Name] = true
			}
		}
	}
	for _, m := range dbpolicy.Metrics() {
		if !delivered[m.Name] {
			t.Errorf("counter %q: no series %s", m.Counter, m.Name)
		}
	}
	if compared < 10_000 {
		t.Errorf("only %d points compared", compared)
	}
}

// names are the parts that the simulator gives a key of an engine.
func names(c *cloud, ids map[string]string, engine, key string) []string {
	for id, e := range ids {
		if e == engine {
			var out []string
			for _, p := range c.Performance(id, key, noon) {
				out = append(out, p.Name)
			}
			if out != nil {
				return out
			}
		}
	}
	return nil
}

// everyFiveMinutes tells that an instance has no point between.
func everyFiveMinutes(got []string, id string) bool {
	for _, g := range got {
		if have, rest, _ := strings.Cut(g, " "); have == id && rest[4] != '0' && rest[4] != '5' {
			return false
		}
	}
	return true
}

// Points that come late or never, and calls that fail, lose and double nothing.
func TestLatePointsAndFailuresLoseNothing(t *testing.T) {
	c := newCloud(t, 1) // MySQL
	id := c.Instances(rds)[0]
	late := map[time.Time]time.Duration{noon.Add(10 * time.Minute): 14 * time.Minute, noon.Add(20 * time.Minute): 6 * time.Minute}
	inject := func(f sim.Fault) {
		t.Helper()
		if err := c.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
	inject(sim.Breach{Instance: id, Metric: "MySQL_IOPS", Late: late, Missing: []time.Time{noon.Add(15 * time.Minute)}})
	inject(sim.Outage{Kind: sim.Unavailable, When: sim.When{API: "Rds.DescribeDBInstancePerformance", From: noon.Add(24 * time.Minute), To: noon.Add(31 * time.Minute)}})
	inject(sim.Throttle{When: sim.When{API: "Rds", From: noon.Add(34 * time.Minute), Count: 2}})
	a := account(t, c, resumeAt(noon), nil, nil)
	col := collector(t, a, "rds-performance")
	out := &sink{}
	failed := 0
	for at := noon.Add(5*time.Minute + 17*time.Second); at.Before(noon.Add(61 * time.Minute)); at = at.Add(5 * time.Minute) {
		c.Set(at)
		if col.Collect(t.Context(), at, out) != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("no collection failed in the outage")
	}
	missing := line(id, noon.Add(15*time.Minute), 0)[:len(id)+9]
	want := slices.DeleteFunc(truth(c, engines(t, a), "MySQL", "MySQL_IOPS", "io", 1, noon, noon.Add(50*time.Minute)), func(s string) bool {
		return strings.HasPrefix(s, missing)
	})
	got := slices.DeleteFunc(out.points("aliyun_rds_mysql_iops", noon), func(s string) bool {
		_, rest, _ := strings.Cut(s, " ")
		return rest > "04:50:00 z" || !strings.Contains(s, ":00 ")
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// refuseOptional is a service that refuses a call with a key that it does not know.
type refuseOptional struct {
	aliyun.Client
	asked *[]string
}

func (r refuseOptional) Do(ctx context.Context, q aliyun.Request) ([]byte, error) {
	if q.Action == "DescribeDBInstancePerformance" {
		*r.asked = append(*r.asked, q.Query["Key"])
		if strings.Contains(q.Query["Key"], "MySQL_ROW_LOCK") {
			return nil, &aliyun.Error{Kind: aliyun.ErrParameter, Code: "InvalidParameter", Status: 400}
		}
	}
	return r.Client.Do(ctx, q)
}

func TestKeysThatAreRefusedAreLeftOut(t *testing.T) {
	c := newCloud(t, 1)
	var asked []string
	a := account(t, c, resumeAt(noon), nil, func(client aliyun.Client) aliyun.Client { return refuseOptional{client, &asked} })
	out := &sink{}
	poll(t, c, collector(t, a, "rds-performance"), out, noon.Add(10*time.Minute))
	if len(asked) != 3 { // refused, without, and never again with
		t.Errorf("asked %d times: %v", len(asked), asked)
	}
	if len(out.points("aliyun_rds_mysql_queries_per_second", noon)) == 0 {
		t.Error("the other keys brought nothing")
	}
}

func TestSlowQueriesAreCountedBySlot(t *testing.T) {
	c := newCloud(t, 1)
	id := c.Instances(rds)[0]
	// One storm that fits into pages, one that does not.
	for _, f := range []sim.SlowQueries{
		{Instance: id, From: noon.Add(10 * time.Minute), To: noon.Add(15 * time.Minute), PerMinute: 60, Duration: 12500 * time.Millisecond},
		{Instance: id, From: noon.Add(20 * time.Minute), To: noon.Add(25 * time.Minute), PerMinute: 900, Duration: time.Second},
	} {
		if err := c.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
	a := account(t, c, resumeAt(noon), nil, nil)
	out := &sink{}
	poll(t, c, collector(t, a, "rds-slow-log"), out, noon.Add(60*time.Minute))
	var want []string
	for end := noon.Add(5 * time.Minute); !end.After(noon.Add(50 * time.Minute)); end = end.Add(5 * time.Minute) {
		want = append(want, line(id, end, float64(c.SlowQueryCount(id, end.Add(-5*time.Minute), end))))
	}
	if d := cmp.Diff(want, out.points("aliyun_rds_slow_queries", noon)); d != "" {
		t.Error(d)
	}
	longest := out.points("aliyun_rds_slow_query_longest_seconds", noon)
	if !slices.Contains(longest, line(id, noon.Add(15*time.Minute), 12.5)) {
		t.Errorf("longest: %v", longest)
	}
	for _, l := range longest {
		if strings.Contains(l, " 04:25:00 ") {
			t.Errorf("a longest query of a slot that was not read whole: %s", l)
		}
	}
}

// A catch-up over hours counts each slot as it would have been.
func TestSlowQueriesAreCaughtUp(t *testing.T) {
	c := newCloud(t, 1)
	id := c.Instances(rds)[0]
	c.Set(noon.Add(17 * time.Second))
	out := &sink{}
	a := account(t, c, resumeAt(noon.Add(-10*time.Hour)), nil, nil)
	if err := collector(t, a, "rds-slow-log").Collect(t.Context(), c.Now(), out); err != nil {
		t.Fatal(err)
	}
	var want []string
	for end := noon.Add(-10*time.Hour + 5*time.Minute); !end.After(noon.Add(-10 * time.Minute)); end = end.Add(5 * time.Minute) {
		want = append(want, line(id, end, float64(c.SlowQueryCount(id, end.Add(-5*time.Minute), end))))
	}
	slices.Sort(want)
	if d := cmp.Diff(want, out.points("aliyun_rds_slow_queries", noon.Add(-10*time.Hour))); d != "" {
		t.Error(d)
	}
	if calls := c.Calls()["Rds.DescribeSlowLogRecords"]; calls != 2 {
		t.Errorf("%d calls for ten hours, want 2", calls)
	}
}

func TestNothingIsCollectedWithoutTheProduct(t *testing.T) {
	c := newCloud(t, 1)
	for name, change := range map[string]func(*aliyun.AccountConfig){
		"other product": func(cfg *aliyun.AccountConfig) { cfg.Products = []string{"ecs"} },
		"off":           func(cfg *aliyun.AccountConfig) { cfg.Performance.Off = true },
	} {
		if jobs, err := performance.Jobs(account(t, c, nil, change, nil)); err != nil || len(jobs) != 0 {
			t.Errorf("%s: %d jobs, %v", name, len(jobs), err)
		}
	}
	_, err := performance.Jobs(account(t, c, nil, func(cfg *aliyun.AccountConfig) { cfg.Performance.KeyFiles = []string{"nowhere.yml"} }, nil))
	if err == nil || !strings.Contains(err.Error(), "nowhere.yml") {
		t.Errorf("a key file that is not there: %v", err)
	}
}
