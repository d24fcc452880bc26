package aliyun

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func inject(t *testing.T, s *Server, faults ...Fault) {
	t.Helper()
	for _, f := range faults {
		if err := s.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
}

// A breach of three minutes, its first point late and its second one never there:
// the course that the contract's missing-sample rule is about.
func TestBreachWithLateAndMissingPoint(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { c.Now = func() time.Time { return now } })
	id := s.Instances(nsECS)[5]
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	inject(t, s, Breach{
		Instance: id, Metric: "CPUUtilization", From: minute(0), To: minute(3), Value: 95,
		Late:    map[time.Time]time.Duration{minute(1): 9 * time.Minute},
		Missing: []time.Time{minute(2)},
	})
	seen := func(at time.Time) (breaching []time.Time) {
		now = at
		params := window(minute(-1), minute(5))
		params["Dimensions"] = `[{"instanceId":"` + id + `"}]`
		for _, p := range cms(t, s, "DescribeMetricList", params).points(t) {
			if p["Average"] == 95.0 && p["Minimum"] == 95.0 && p["Maximum"] == 95.0 {
				breaching = append(breaching, time.UnixMilli(int64(p["timestamp"].(float64))).UTC())
			}
		}
		return breaching
	}
	if diff := cmp.Diff([]time.Time{minute(3)}, seen(minute(3).Add(5*time.Minute))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]time.Time{minute(1), minute(3)}, seen(minute(10))); diff != "" {
		t.Error(diff)
	}
	truth := s.Published(id, "CPUUtilization", minute(0), minute(3))
	if len(truth) != 2 || !truth[0].PublishedAt.Equal(minute(10)) || truth[0].Statistics["Average"] != 95 {
		t.Errorf("truth %+v", truth)
	}
	other := s.Published(s.Instances(nsECS)[6], "CPUUtilization", minute(0), minute(3))
	for _, p := range other {
		if p.Statistics["Average"] > 75 {
			t.Errorf("breach reached another instance: %+v", p)
		}
	}
}

func TestBreachOfOneDimension(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Products = map[string]int{nsES: 1} })
	id := s.Instances(nsES)[0]
	node := s.Published(id, "NodeDiskUtilization", noon, noon.Add(time.Minute))[1].Dimensions["nodeIP"]
	inject(t, s, Breach{Instance: id, Metric: "NodeDiskUtilization", Dimensions: map[string]string{"nodeIP": node},
		From: noon, To: noon.Add(time.Minute), Value: 91})
	for _, p := range s.Published(id, "NodeDiskUtilization", noon, noon.Add(time.Minute)) {
		if breaching := p.Statistics["Average"] == 91; breaching != (p.Dimensions["nodeIP"] == node) {
			t.Errorf("%v: %v", p.Dimensions, p.Statistics)
		}
	}
}

func TestThrottleCountsAndEnds(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { c.Now = func() time.Time { return now } })
	inject(t, s, Throttle{When: When{API: "Cms.DescribeMetricList", Count: 2}})
	f := func(action string, status int, code string) {
		t.Helper()
		cms(t, s, action, nil).wantCode(t, status, code)
	}
	f("DescribeMetricLast", 200, "200")
	f("DescribeMetricList", 400, "Throttling.User")
	f("DescribeMetricList", 400, "Throttling.User")
	f("DescribeMetricList", 200, "200")
	inject(t, s, Throttle{When: When{API: "Cms", From: noon.Add(time.Minute), To: noon.Add(2 * time.Minute)}, Code: "Throttling.Api"})
	f("DescribeMetricLast", 200, "200")
	now = noon.Add(time.Minute)
	f("DescribeMetricLast", 400, "Throttling.Api")
	if a := ecs(t, s, nil); a.Status != 200 {
		t.Errorf("another product is throttled: %s", a.Raw)
	}
	now = noon.Add(2 * time.Minute)
	f("DescribeMetricLast", 200, "200")
}

func TestOutageOfOneRegion(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Regions = []string{"cn-hangzhou", "cn-beijing"} })
	inject(t, s, Outage{Kind: InternalError, When: When{Region: "cn-beijing"}})
	cms(t, s, "DescribeMetricList", nil).wantCode(t, 200, "200")
	cms(t, s, "DescribeMetricList", map[string]string{"RegionId": "cn-beijing"}).wantCode(t, 500, "InternalError")
}

func TestLifeOfAnInstance(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { c.Now = func() time.Time { return now }; c.PointDelay = &Delay{} })
	ids := s.Instances(nsECS)
	inject(t, s,
		Create{Instance: ids[1], At: noon.Add(time.Minute)},
		Rename{Instance: ids[2], Name: "renamed", At: noon.Add(time.Minute)},
		Delete{Instance: ids[3], At: noon.Add(time.Minute)},
	)
	look := func() (names map[string]string) {
		names = map[string]string{}
		for _, i := range ecs(t, s, map[string]string{"PageSize": "100"}).Instances.Instance {
			names[i.InstanceID] = i.InstanceName
		}
		return names
	}
	before := look()
	now = noon.Add(3 * time.Minute)
	after := look()
	if len(before) != 29 || len(after) != 29 || before[ids[1]] != "" || after[ids[1]] == "" || after[ids[3]] != "" {
		t.Errorf("%d instances before, %d after", len(before), len(after))
	}
	if before[ids[2]] == "renamed" || after[ids[2]] != "renamed" {
		t.Errorf("name %q became %q", before[ids[2]], after[ids[2]])
	}
	points := func(id string) int {
		params := window(noon.Add(-2*time.Minute), noon.Add(2*time.Minute))
		params["Dimensions"] = `[{"instanceId":"` + id + `"}]`
		return len(cms(t, s, "DescribeMetricList", params).points(t))
	}
	if created, deleted := points(ids[1]), points(ids[3]); created != 2 || deleted != 2 {
		t.Errorf("%d points since its creation, %d until its deletion, want 2 and 2", created, deleted)
	}
}

func TestInjectRefuses(t *testing.T) {
	s := newTestServer(t, nil)
	id := s.Instances(nsECS)[0]
	f := func(fault Fault, want string) {
		t.Helper()
		if err := s.Inject(fault); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", fault, err, want)
		}
	}
	f(Breach{Instance: "i-nobody", Metric: "CPUUtilization"}, `no instance "i-nobody"`)
	f(Breach{Instance: id, Metric: "Nothing"}, `no metric "Nothing"`)
	f(Breach{Instance: id, Metric: "CPUUtilization", From: noon, To: noon.Add(-1)}, "To is before From")
	f(Outage{}, "no kind 0")
	f(Throttle{When: When{Count: -1}}, "negative")
	f(Delete{Instance: "i-nobody"}, `no instance "i-nobody"`)
}

func TestConfigIsChecked(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		cfg := Config{Keys: []Key{testKey}}
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("Keys: at least one", func(c *Config) { c.Keys = nil })
	f("Keys[0]: ID and Secret", func(c *Config) { c.Keys = []Key{{ID: "x"}} })
	f("is there twice", func(c *Config) { c.Keys = []Key{testKey, testKey} })
	f("Regions[1]", func(c *Config) { c.Regions = []string{"cn-beijing", "a b"} })
	f("ECSInstances: 20001", func(c *Config) { c.ECSInstances = 20001 })
	f("MissingRatio: 1.5", func(c *Config) { c.MissingRatio = 1.5 })
	f("PointDelay: range", func(c *Config) { c.PointDelay = &Delay{Max: 16 * time.Minute} })
	f("Products[acs_x]", func(c *Config) { c.Products = map[string]int{"acs_x": 1} })
}
