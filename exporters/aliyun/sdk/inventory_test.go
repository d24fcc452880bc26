package sdk_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/aliyuntest"
	"watchkeeper/exporters/aliyun/inventory"
	"watchkeeper/internal/sample"
	sim "watchkeeper/internal/sim/aliyun"
)

// estate is how many resources of each product the simulator has, most of them
// more than a page, and how our label product names it.
var estate = map[string]struct {
	namespace string
	count     int
}{
	"ecs": {"acs_ecs_dashboard", 120}, "rds": {"acs_rds_dashboard", 130}, "slb": {"acs_slb_dashboard", 110}, "alb": {"acs_alb", 105},
	"kvstore": {"acs_kvstore", 101}, "memcache": {"acs_memcache", 7}, "mongodb": {"acs_mongodb", 150}, "drds": {"acs_drds", 55},
	"cdn": {"acs_cdn", 510}, "es-cloud": {"acs_elasticsearch", 103}, "eip": {"acs_vpc_eip", 140}, "oss": {"acs_oss_dashboard", 12},
}

func wholeEstate(cfg *sim.Config) {
	cfg.Products = map[string]int{}
	for product, e := range estate {
		if product == "ecs" {
			cfg.ECSInstances = e.count
		} else {
			cfg.Products[e.namespace] = e.count
		}
	}
}

// lists are an account's inventory by product.
func lists(t *testing.T, a *aliyun.Account) map[string]exporters.Collector {
	t.Helper()
	jobs, err := inventory.Jobs(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]exporters.Collector{}
	for _, j := range jobs {
		name := j.Collector.Source().Name
		out[strings.TrimSuffix(name[strings.LastIndex(name, "/")+1:], "-inventory")] = j.Collector
	}
	return out
}

func listEverything(cfg *aliyun.AccountConfig) { cfg.Inventory = inventory.Products() }

// values are the samples of a metric by instance.
func values(b sample.Batch, metric string) map[string]float64 {
	out := map[string]float64{}
	for _, s := range b.Samples {
		if s.Labels.Get(model.MetricNameLabel) == metric {
			out[s.Labels.Get("instance")] = s.V
		}
	}
	return out
}

func TestEveryProductIsListedWhole(t *testing.T) {
	c := newCloud(t, wholeEstate)
	cols := lists(t, account(t, c.Address, nil, listEverything))
	if len(cols) != len(estate) {
		t.Fatalf("lists %v", slices.Sorted(maps.Keys(cols)))
	}
	for product, col := range cols {
		out := &sink{}
		if err := col.Collect(t.Context(), c.Now(), out); err != nil {
			t.Errorf("%s: %v", product, err)
			continue
		}
		b := out.Batches()[0]
		ids := c.Instances(estate[product].namespace)
		slices.Sort(ids)
		seen := values(b, "aliyun_resource_first_seen_timestamp_seconds")
		if diff := cmp.Diff(ids, slices.Sorted(maps.Keys(seen))); diff != "" {
			t.Errorf("%s: %s", product, diff)
		}
		for id, at := range seen {
			if at != float64(c.Now().Unix()) {
				t.Errorf("%s: %s first seen %v", product, id, at)
			}
		}
		wantExpiry := map[string]float64{}
		for _, id := range ids {
			if end := c.Expiry(id); !end.IsZero() {
				wantExpiry[id] = float64(end.Unix())
			}
		}
		if diff := cmp.Diff(wantExpiry, values(b, "aliyun_resource_expiry_timestamp_seconds")); diff != "" {
			t.Errorf("%s: expiry: %s", product, diff)
		}
		if n := values(b, "aliyun_resources")[""]; n != float64(len(ids)) {
			t.Errorf("%s: %v resources", product, n)
		}
		if product != "oss" {
			if created, running := values(b, "aliyun_resource_created_timestamp_seconds"), values(b, "aliyun_resource_running"); len(created) != len(ids) || len(running) != len(ids) {
				t.Errorf("%s: %d created, %d running", product, len(created), len(running))
			}
		}
		describedWell(t, product, b, len(ids))
	}
}

// described are labels that each product's info must have.
var described = map[string][]string{
	"ecs": {"name", "zone", "instance_type", "os", "private_ip", "vpc", "tag_role"}, "rds": {"name", "zone", "class", "engine", "version", "storage_gb", "endpoint", "vpc"},
	"slb": {"name", "zone", "class", "vpc", "tag_env"}, "alb": {"name", "class", "endpoint", "vpc", "tag_env"},
	"kvstore": {"name", "zone", "class", "engine", "version", "storage_gb", "private_ip", "endpoint", "tag_env"}, "memcache": {"name", "class", "engine"},
	"mongodb": {"name", "zone", "class", "engine", "version", "storage_gb", "tag_env"}, "drds": {"name", "zone", "class", "private_ip"},
	"cdn": {"name", "class", "endpoint"}, "es-cloud": {"name", "zone", "class", "engine", "version", "storage_gb", "vpc", "tag_env"}, "eip": {"name", "class", "public_ip", "tag_env"}, "oss": {"name", "class"},
}

func describedWell(t *testing.T, product string, b sample.Batch, n int) {
	t.Helper()
	stem := strings.Replace(product, "es-cloud", "elasticsearch", 1)
	found := 0
	for _, s := range b.Samples {
		if s.Labels.Get(model.MetricNameLabel) != "aliyun_"+stem+"_info" {
			continue
		}
		found++
		for _, label := range append(described[product], "customer", "instance") {
			if s.Labels.Get(label) == "" {
				t.Errorf("%s has no %s", s.Labels, label)
			}
		}
		if s.Labels.Get("product") != product || (s.Labels.Get("region") == "") != (product == "cdn") {
			t.Errorf("identity of %s", s.Labels)
		}
	}
	if found != n {
		t.Errorf("%s: %d info series, want %d", product, found, n)
	}
}

// texts are a batch's samples, sorted.
func texts(b sample.Batch) []string {
	var out []string
	for _, s := range b.Samples {
		out = append(out, fmt.Sprintf("%s %d %v", s.Labels, s.T, s.V))
	}
	slices.Sort(out)
	return out
}

// Numbers as texts and texts as numbers change nothing.
func TestListsWithWrongTypesAreTheSame(t *testing.T) {
	c := newCloud(t, wholeEstate)
	read := func() map[string][]string {
		out := map[string][]string{}
		for product, col := range lists(t, account(t, c.Address, nil, listEverything)) {
			s := &sink{}
			if err := col.Collect(t.Context(), c.Now(), s); err != nil {
				t.Errorf("%s: %v", product, err)
				continue
			}
			out[product] = texts(s.Batches()[0])
		}
		return out
	}
	want := read()
	c.Hit(t, sim.Outage{Kind: sim.WrongTypes})
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Error(diff)
	}
}

// logged is an account whose lines are kept.
func logged(t *testing.T, address string, change func(*aliyun.AccountConfig)) (*aliyun.Account, *bytes.Buffer) {
	t.Helper()
	var text bytes.Buffer
	a := aliyuntest.Account(t, address, aliyuntest.Options{Config: change, Log: slog.New(slog.NewTextHandler(&text, nil))})
	return a, &text
}

// A product that the key may not list leaves the others alone; the list of ECS
// is empty then, without an error.
func TestForbiddenProductLeavesTheOthersAlone(t *testing.T) {
	c := newCloud(t, func(cfg *sim.Config) {
		wholeEstate(cfg)
		cfg.Keys = append(cfg.Keys, sim.Key{ID: "LTAIsome", Secret: secret, Permissions: []string{"slb:DescribeLoadBalancers", "slb:DescribeLoadBalancerAttribute"}})
	})
	a, text := logged(t, c.Address, func(cfg *aliyun.AccountConfig) {
		cfg.AccessKeyID, cfg.Inventory = "LTAIsome", []string{"ecs", "rds", "slb"}
	})
	cols := lists(t, a)
	for range 2 {
		for product, wants := range map[string]struct {
			err  error
			seen int
		}{"ecs": {nil, 0}, "rds": {aliyun.ErrForbidden, 0}, "slb": {nil, 110}} {
			out := &sink{}
			err := cols[product].Collect(t.Context(), c.Now(), out)
			if !errors.Is(err, wants.err) {
				t.Errorf("%s: %v, want %v", product, err, wants.err)
			}
			if err == nil && len(values(out.Batches()[0], "aliyun_resource_running")) != wants.seen {
				t.Errorf("%s: %d samples", product, len(out.Batches()[0].Samples))
			}
		}
	}
	if n := strings.Count(text.String(), "level=WARN"); n != 1 || !strings.Contains(text.String(), "api=Rds.DescribeDBInstances") {
		t.Errorf("want one warning, of Rds.DescribeDBInstances:\n%s", text)
	}
}

// A wrong key is told once, whatever fails because of it, and told again when
// the service says something else, and when it has ended.
func TestWrongKeyIsToldOnce(t *testing.T) {
	c := newCloud(t, wholeEstate)
	a, text := logged(t, c.Address, func(cfg *aliyun.AccountConfig) {
		cfg.AccessKeySecret, cfg.Inventory = aliyun.NewSecret("wrong"), inventory.Products()
	})
	refused := 0
	for range 2 {
		for _, j := range a.Jobs() {
			switch err := j.Collector.Collect(t.Context(), c.Now(), &sink{}); {
			case errors.Is(err, aliyun.ErrAuth):
				refused++
			case err != nil:
				t.Errorf("%s: %v", j.Collector.Source().Name, err)
			}
		}
		for product, col := range lists(t, a) {
			if err := col.Collect(t.Context(), c.Now(), &sink{}); !errors.Is(err, aliyun.ErrAuth) {
				t.Errorf("%s: %v", product, err)
			}
		}
	}
	if n := strings.Count(text.String(), "\n"); refused < 20 || n != 1 || !strings.Contains(text.String(), `msg="account refuses calls" customer=acme account=main reason=auth`) {
		t.Errorf("%d metrics refused; want one line, got %d:\n%s", refused, n, text)
	}
}

// Resources come, are renamed and go, with and without points of CloudMonitor.
func TestResourcesComeAndGo(t *testing.T) {
	c := newCloud(t, wholeEstate)
	ecs, rds := c.Instances("acs_ecs_dashboard"), c.Instances("acs_rds_dashboard")
	c.Hit(t, sim.Rename{Instance: ecs[3], Name: "renamed-by-test", At: noon.Add(8 * time.Minute)})
	c.Hit(t, sim.Delete{Instance: ecs[5], At: noon.Add(12 * time.Minute)})
	c.Hit(t, sim.Delete{Instance: rds[4], At: noon.Add(12 * time.Minute)})
	c.Hit(t, sim.Create{Instance: rds[7], At: noon.Add(8 * time.Minute)})

	a, text := logged(t, c.Address, func(cfg *aliyun.AccountConfig) { cfg.Inventory = []string{"ecs", "rds"} })
	cols := lists(t, a)
	cpu := collector(t, a, cpuSource)
	listed, points := &sink{}, &sink{}
	for n := 1; n <= 60; n += 5 {
		at := noon.Add(time.Duration(n)*time.Minute + 17*time.Second)
		c.Set(at)
		for _, x := range []struct {
			col exporters.Collector
			out *sink
		}{{cols["ecs"], listed}, {cols["rds"], listed}, {cpu, points}} {
			if err := x.col.Collect(t.Context(), at, x.out); err != nil {
				t.Fatal(err)
			}
		}
	}
	reasons := map[string]int{}
	for _, b := range append(listed.Batches(), points.Batches()...) {
		for _, e := range b.Ends {
			reasons[e.Reason+" "+e.Labels.Get("instance")+" "+e.Labels.Get("__name__")]++
		}
	}
	want := map[string]int{
		"replaced " + ecs[3] + " aliyun_ecs_info": 1, "deleted " + ecs[5] + " aliyun_ecs_info": 1, "deleted " + ecs[5] + " aliyun_ecs_running": 1,
		"deleted " + ecs[5] + " " + cpuMetric: 1, "deleted " + rds[4] + " aliyun_rds_info": 1,
	}
	for _, id := range []string{ecs[5], rds[4]} {
		for _, name := range []string{"running", "created_timestamp_seconds", "first_seen_timestamp_seconds"} {
			want["deleted "+id+" aliyun_resource_"+name] = 1
		}
		if !c.Expiry(id).IsZero() {
			want["deleted "+id+" aliyun_resource_expiry_timestamp_seconds"] = 1
		}
	}
	if !c.Expiry(ecs[5]).IsZero() {
		want["deleted "+ecs[5]+" aliyun_ecs_expiry_timestamp_seconds"] = 1
	}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Error(diff)
	}
	newest := values(listed.Batches()[len(listed.Batches())-1], "aliyun_resource_first_seen_timestamp_seconds")
	if got, want := newest[rds[7]], float64(noon.Add(11*time.Minute+17*time.Second).Unix()); got != want {
		t.Errorf("new instance first seen %v, want %v", got, want)
	}
	if got, want := newest[rds[0]], float64(noon.Add(time.Minute+17*time.Second).Unix()); got != want {
		t.Errorf("old instance first seen %v, want %v", got, want)
	}
	for _, line := range []string{`msg="resource found"`, `msg="resource is gone"`, "instance=" + rds[7], "instance=" + rds[4]} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("no line with %s in\n%s", line, text)
		}
	}
	if n := strings.Count(text.String(), "resource found"); n != 1 {
		t.Errorf("%d lines of found resources, want 1:\n%s", n, text)
	}
}

// Empty lists, as a missing permission gives, end nothing.
func TestEmptyListsEndNothing(t *testing.T) {
	c := newCloud(t, wholeEstate)
	a, text := logged(t, c.Address, func(cfg *aliyun.AccountConfig) { cfg.Inventory = []string{"ecs"} })
	c.Hit(t, sim.Outage{When: sim.When{API: "Ecs", From: noon.Add(time.Minute), To: noon.Add(2 * time.Hour)}, Kind: sim.EmptyList})
	col, out := lists(t, a)["ecs"], &sink{}
	for n := 0; n <= 180; n += 20 {
		c.Set(noon.Add(time.Duration(n) * time.Minute))
		if err := col.Collect(t.Context(), c.Now(), out); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range out.Batches() {
		if len(b.Ends) > 0 {
			t.Errorf("ended: %v", b.Ends[0])
		}
	}
	if n := strings.Count(text.String(), "list is empty"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, text)
	}
	if got := len(values(out.Batches()[len(out.Batches())-1], "aliyun_ecs_running")); got != 120 {
		t.Errorf("%d instances in the end", got)
	}
}

// An account of 20,000 resources of one product: whole, in the calls that it
// takes, and in bounded memory.
func TestTwentyThousandResources(t *testing.T) {
	const n = 20_000
	c := newCloud(t, func(cfg *sim.Config) { cfg.Products = map[string]int{"acs_vpc_eip": n} })
	col := lists(t, account(t, c.Address, nil, func(cfg *aliyun.AccountConfig) {
		cfg.Inventory, cfg.APICallsPerSecond = []string{"eip"}, map[string]float64{"Vpc.DescribeEipAddresses": 1000}
	}))["eip"]
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	count := func() int {
		out := &sink{}
		if err := col.Collect(t.Context(), c.Now(), out); err != nil {
			t.Fatal(err)
		}
		return len(values(out.Batches()[0], "aliyun_resource_running"))
	}
	if got := count(); got != n {
		t.Fatalf("%d resources", got)
	}
	if calls := c.Calls()["Vpc.DescribeEipAddresses"]; calls != n/100 {
		t.Errorf("%d calls", calls)
	}
	if after := heap(); after > before+50<<20 {
		t.Errorf("holds %d MiB between two checks", (after-before)>>20)
	}
	runtime.KeepAlive(col)
}
