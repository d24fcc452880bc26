package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset/contract"
)

var t0 = time.Date(2026, 11, 21, 4, 0, 17, 0, time.UTC)

func minute(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }

// memory is a sink and a store: what was delivered can be recalled.
type memory struct {
	batches []sample.Batch
}

func (m *memory) Append(_ context.Context, b sample.Batch) error {
	m.batches = append(m.batches, b)
	return nil
}

func (m *memory) last() sample.Batch { return m.batches[len(m.batches)-1] }

func (m *memory) resume(context.Context, sample.Source) (end time.Time, known bool, err error) {
	for _, b := range m.batches {
		end, known = time.UnixMilli(b.Ups[0].T), true
	}
	return end, known, nil
}

func (m *memory) recall(_ context.Context, metric, customer, product, region string, since time.Time) ([]sample.Sample, error) {
	newest := map[string]sample.Sample{}
	for _, b := range m.batches {
		for _, s := range b.Samples {
			l := s.Labels
			if l.Get("__name__") == metric && l.Get("customer") == customer && l.Get("product") == product && l.Get("region") == region && s.T >= since.UnixMilli() {
				newest[l.String()] = s
			}
		}
	}
	var out []sample.Sample
	for _, s := range newest {
		out = append(out, s)
	}
	return out, nil
}

func (m *memory) ends() (out []string) {
	for _, b := range m.batches {
		for _, e := range b.Ends {
			out = append(out, fmt.Sprintf("%s %s %s at %d", e.Reason, e.Labels.Get("instance"), e.Labels.Get("__name__"), (e.T-t0.UnixMilli())/60000))
		}
	}
	slices.Sort(out)
	return out
}

// start builds a product's collector over a cloud and a store, as a process does.
func start(t *testing.T, product string, c aliyun.Client, m *memory, change func(*aliyun.AccountConfig)) (*collector, *bytes.Buffer) {
	t.Helper()
	cfg := aliyun.AccountConfig{Name: "main", Regions: []string{"cn-hangzhou"}, AccessKeyID: "testid", AccessKeySecret: aliyun.NewSecret("testsecret")}
	if change != nil {
		change(&cfg)
	}
	var text bytes.Buffer
	set := metrics.NewSet()
	accounts, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{cfg}}, "acme", aliyun.Deps{
		NewClient: func(aliyun.ClientConfig) (aliyun.Client, error) { return c, nil },
		Budgets:   aliyun.NewBudgets(set), Resume: m.resume, Metrics: set, Log: slog.New(slog.NewTextHandler(&text, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	col := newCollector(accounts[0], productOf(product), "cn-hangzhou", m.recall)
	col.list.client = c // without limits and retries
	return col, &text
}

// rows answers any list of a product with these rows.
func rows(product string, rows ...map[string]any) func(aliyun.Request) (string, error) {
	p := productOf(product)
	return func(aliyun.Request) (string, error) {
		var body any = rows
		for _, name := range slices.Backward(strings.Split(p.rows, ".")) {
			body = map[string]any{name: body}
		}
		body.(map[string]any)[p.total] = len(rows)
		text, err := json.Marshal(body)
		return string(text), err
	}
}

func (m *memory) collect(t *testing.T, c *collector, at time.Time) {
	t.Helper()
	if err := c.Collect(t.Context(), at, m); err != nil {
		t.Fatal(err)
	}
}

func TestDescribesAnInstance(t *testing.T) {
	file := filepath.Join(t.TempDir(), "assets.yml")
	record := "resources:\n  i-1: {purpose: official site, owner: 韩梅梅, contact: \"13800000000\", environment: prod, entered: 2024-03-01, modules: [nginx, php-fpm]}\n  i-9: {name: of nobody}\n"
	if err := os.WriteFile(file, []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cloud{answer: rows("ecs", map[string]any{
		"InstanceId": "i-1", "InstanceName": "web-1", "ZoneId": "cn-hangzhou-b", "InstanceType": "ecs.g7.large", "OSNameEn": "Debian", "OSName": "x", "Status": "Running",
		"VpcAttributes": map[string]any{"VpcId": "vpc-1", "PrivateIpAddress": map[string]any{"IpAddress": []string{"10.0.0.1"}}},
		"EipAddress":    map[string]any{"IpAddress": ""}, "PublicIpAddress": map[string]any{"IpAddress": []string{"47.0.0.1"}},
		"InstanceChargeType": "PrePaid", "ExpiredTime": "2027-01-01T16:00Z", "CreationTime": "2024-02-01T08:00Z",
		"Tags": map[string]any{"Tag": []any{
			map[string]any{"TagKey": "Env", "TagValue": "prod"}, map[string]any{"TagKey": "负责人", "TagValue": "李雷"},
			map[string]any{"TagKey": "用途", "TagValue": "官网"}, map[string]any{"TagKey": "acs:system", "TagValue": "x"},
		}},
	}, map[string]any{"InstanceId": "i-2", "Status": "Stopped", "InstanceChargeType": "PostPaid", "ExpiredTime": "2027-01-01T16:00Z",
		"Tags": map[string]any{"Tag": []any{map[string]any{"TagKey": "负责人", "TagValue": "李雷"}}}})}
	m := &memory{}
	col, _ := start(t, "ecs", c, m, func(cfg *aliyun.AccountConfig) {
		cfg.TagLabels, cfg.AssetFile = map[string]string{"负责人": "owner"}, file
	})
	m.collect(t, col, t0)
	ts := t0.UnixMilli()
	series := func(name, id string, more ...string) labels.Labels {
		return labels.FromStrings(append([]string{"__name__", name, "customer", "acme", "product", "ecs", "region", "cn-hangzhou", "instance", id}, more...)...)
	}
	expiry, created := float64(time.Date(2027, 1, 1, 16, 0, 0, 0, time.UTC).Unix()), float64(time.Date(2024, 2, 1, 8, 0, 0, 0, time.UTC).Unix())
	seen := float64(t0.Unix())
	want := []sample.Batch{{
		Source: sample.Source{Customer: "acme", Name: "aliyun/main/cn-hangzhou/ecs-inventory"},
		Samples: []sample.Sample{
			{Labels: series(contract.AliyunECSInfo, "i-1", "name", "web-1", "zone", "cn-hangzhou-b", "instance_type", "ecs.g7.large", "os", "Debian",
				"vpc", "vpc-1", "private_ip", "10.0.0.1", "public_ip", "47.0.0.1", "tag_env", "prod", "owner", "韩梅梅", "purpose", "official site",
				"contact", "13800000000", "environment", "prod", "entered", "2024-03-01", "modules", "nginx,php-fpm"), T: ts, V: 1},
			{Labels: series(contract.AliyunResourceRunning, "i-1"), T: ts, V: 1},
			{Labels: series(contract.AliyunResourceExpiryTimestampSeconds, "i-1"), T: ts, V: expiry},
			{Labels: series(contract.AliyunResourceCreatedTimestampSeconds, "i-1"), T: ts, V: created},
			{Labels: series(contract.AliyunResourceFirstSeenTimestampSeconds, "i-1"), T: ts, V: seen},
			{Labels: series(contract.AliyunECSRunning, "i-1"), T: ts, V: 1},
			{Labels: series(contract.AliyunECSExpiryTimestampSeconds, "i-1"), T: ts, V: expiry},
			{Labels: series(contract.AliyunECSInfo, "i-2", "owner", "李雷"), T: ts, V: 1},
			{Labels: series(contract.AliyunResourceRunning, "i-2"), T: ts, V: 0},
			{Labels: series(contract.AliyunResourceFirstSeenTimestampSeconds, "i-2"), T: ts, V: seen},
			{Labels: series(contract.AliyunECSRunning, "i-2"), T: ts, V: 0},
			{Labels: labels.FromStrings("__name__", contract.AliyunResources, "customer", "acme", "product", "ecs", "region", "cn-hangzhou", "account", "main"), T: ts, V: 2},
		},
		Ups:       []sample.Up{{T: ts, OK: true}},
		Watermark: sample.Current,
	}}
	if diff := cmp.Diff(want, m.batches, cmp.Comparer(labels.Equal)); diff != "" {
		t.Error(diff)
	}
}

// The names and labels are those that package contract declares.
func TestSeriesAreDeclared(t *testing.T) {
	for _, p := range products {
		d := describer{customer: "acme", region: "r", product: &p}
		full := resource{
			id: "x", name: "x", zone: "x", status: "x", class: "x", os: "x", engine: "x", version: "x", storageGB: "x",
			privateIP: "x", publicIP: "x", endpoint: "x", vpc: "x",
		}
		m, ok := contract.LookupMetric(p.infoName())
		if !ok {
			t.Errorf("%s is not declared", p.infoName())
			continue
		}
		d.info(&full).Range(func(l labels.Label) {
			// One list serves all cloud products; that of ECS has no fields of databases.
			known := slices.Contains(m.Info, l.Name) || slices.Contains(contract.IdentityLabels, l.Name) || l.Name == "__name__"
			if p.name != "ecs" && !known {
				t.Errorf("%s: label %s is not declared", m.Name, l.Name)
			}
		})
	}
	for _, name := range append([]string{resources}, perResource...) {
		if _, ok := contract.LookupMetric(name); !ok {
			t.Errorf("%s is not declared", name)
		}
	}
}

// A restart neither finds old resources anew nor keeps those that went meanwhile.
func TestRestart(t *testing.T) {
	c := &cloud{answer: rows("eip", map[string]any{"AllocationId": "eip-1", "Name": "a"}, map[string]any{"AllocationId": "eip-2", "ExpiredTime": "2027-01-01T16:00Z"},
		map[string]any{"AllocationId": "eip-3", "Status": "InUse"})}
	m := &memory{}
	col, text := start(t, "eip", c, m, nil)
	for n := 0; n <= 20; n += 5 {
		m.collect(t, col, minute(n))
	}
	if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `msg="inventory begins"`) || !strings.Contains(got, "resources=3") {
		t.Errorf("log of the first contact:\n%s", got)
	}

	c.answer = rows("eip", map[string]any{"AllocationId": "eip-1", "Name": "b"}, map[string]any{"AllocationId": "eip-3", "Status": "InUse"}, map[string]any{"AllocationId": "eip-4"})
	col, text = start(t, "eip", c, m, nil)
	for n := 300; n <= 320; n += 5 {
		m.collect(t, col, minute(n))
	}
	seen := map[string]int64{}
	for _, s := range m.last().Samples {
		if s.Labels.Get("__name__") == resourceFirstSeen {
			seen[s.Labels.Get("instance")] = (int64(s.V) - t0.Unix()) / 60
		}
	}
	if diff := cmp.Diff(map[string]int64{"eip-1": 0, "eip-3": 0, "eip-4": 300}, seen); diff != "" {
		t.Errorf("first seen: %s", diff)
	}
	wantEnds := []string{
		"deleted eip-2 aliyun_eip_info at 20", "deleted eip-2 aliyun_resource_expiry_timestamp_seconds at 20",
		"deleted eip-2 aliyun_resource_first_seen_timestamp_seconds at 20", "replaced eip-1 aliyun_eip_info at 20",
	}
	if diff := cmp.Diff(wantEnds, m.ends()); diff != "" {
		t.Error(diff)
	}
	for line, want := range map[string]int{"resource found": 1, "instance=eip-4": 1, "resource is gone": 1, "instance=eip-2": 1, "level=WARN": 0} {
		if got := strings.Count(text.String(), line); got != want {
			t.Errorf("%d times %q in\n%s", got, line, text)
		}
	}

	// What has ended is not ended again by the next run.
	col, _ = start(t, "eip", c, m, nil)
	for n := 500; n <= 540; n += 5 {
		m.collect(t, col, minute(n))
	}
	if diff := cmp.Diff(wantEnds, m.ends()); diff != "" {
		t.Error(diff)
	}
}

// A list that shifts while it is read says of nobody that it is absent.
func TestShiftedListEndsNothing(t *testing.T) {
	shifting := false
	c := &cloud{}
	c.answer = func(r aliyun.Request) (string, error) {
		switch {
		case !shifting:
			return eips(3, numbered(0, 3)...), nil
		case r.Query["PageNumber"] == "1":
			return eips(4, numbered(0, 2)...), nil
		}
		return eips(3, numbered(1, 2)...), nil
	}
	m := &memory{}
	col, _ := start(t, "eip", c, m, nil)
	m.collect(t, col, minute(0))
	shifting = true
	for n := 5; n < 120; n += 5 {
		m.collect(t, col, minute(n))
	}
	if got := m.ends(); len(got) > 0 {
		t.Errorf("ended: %v", got)
	}
}

// A failed delivery is repeated with the same facts.
func TestNothingMovesUntilItIsDelivered(t *testing.T) {
	c := &cloud{answer: rows("eip", map[string]any{"AllocationId": "eip-1"})}
	m := &memory{}
	col, text := start(t, "eip", c, m, nil)
	m.collect(t, col, minute(0))
	c.answer = rows("eip", map[string]any{"AllocationId": "eip-1", "Name": "new"}, map[string]any{"AllocationId": "eip-2"})
	full := errors.New("disk full")
	if err := col.Collect(t.Context(), minute(5), refusing{full}); !errors.Is(err, full) {
		t.Fatal(err)
	}
	m.collect(t, col, minute(10))
	if diff := cmp.Diff([]string{"replaced eip-1 aliyun_eip_info at 0"}, m.ends()); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(text.String(), "resource found"); n != 1 {
		t.Errorf("%d lines of a found resource:\n%s", n, text)
	}
}

type refusing struct{ err error }

func (r refusing) Append(context.Context, sample.Batch) error { return r.err }

func TestDetails(t *testing.T) {
	fail := error(nil)
	c := &cloud{}
	list := rows("slb", map[string]any{"LoadBalancerId": "lb-1", "PayType": "PrePay"}, map[string]any{"LoadBalancerId": "lb-2", "PayType": "PayOnDemand"},
		map[string]any{"LoadBalancerId": "lb-3", "PayType": "PrePay"})
	ends := map[string]string{"lb-1": `"EndTimeStamp":1803916800000`, "lb-3": `"EndTime":"2999-09-08T16:00:00Z"`}
	asked := map[string]int{}
	c.answer = func(r aliyun.Request) (string, error) {
		id := r.Query["LoadBalancerId"]
		switch {
		case r.Action == "DescribeLoadBalancers":
			return list(r)
		case fail != nil:
			return "", fail
		}
		asked[id]++
		return fmt.Sprintf(`{"LoadBalancerId":%q,%s}`, id, ends[id]), nil
	}
	m := &memory{}
	col, text := start(t, "slb", c, m, nil)
	expiries := func() map[string]float64 {
		out := map[string]float64{}
		for _, s := range m.last().Samples {
			if s.Labels.Get("__name__") == resourceExpiry {
				out[s.Labels.Get("instance")] = s.V
			}
		}
		return out
	}
	want := map[string]float64{"lb-1": 1803916800}
	for n := 0; n < 120; n += 5 { // asked at 0 and at 60
		m.collect(t, col, minute(n))
		if diff := cmp.Diff(want, expiries()); diff != "" {
			t.Fatalf("minute %d: %s", n, diff)
		}
	}
	if diff := cmp.Diff(map[string]int{"lb-1": 2, "lb-3": 2}, asked); diff != "" {
		t.Errorf("asked: %s", diff)
	}
	// Failing to ask keeps what is known, and is told once.
	fail = &aliyun.Error{Kind: aliyun.ErrUnavailable}
	for n := 120; n < 180; n += 5 {
		m.collect(t, col, minute(n))
	}
	if diff := cmp.Diff(want, expiries()); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(text.String(), "details of resources cannot be read"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, text)
	}
}

// Details of many come over several checks, the oldest first.
func TestDetailsAreBounded(t *testing.T) {
	const n = 250
	var all []map[string]any
	for i := range n {
		all = append(all, map[string]any{"LoadBalancerId": fmt.Sprintf("lb-%03d", i), "PayType": "PrePay"})
	}
	list := rows("slb", all...)
	c := &cloud{}
	details := 0
	c.answer = func(r aliyun.Request) (string, error) {
		if r.Action == "DescribeLoadBalancers" {
			return list(r)
		}
		details++
		return fmt.Sprintf(`{"LoadBalancerId":%q,"EndTimeStamp":"1803916800000"}`, r.Query["LoadBalancerId"]), nil
	}
	m := &memory{}
	col, _ := start(t, "slb", c, m, nil)
	var got []int
	for i := range 4 {
		m.collect(t, col, minute(5*i))
		got = append(got, details)
	}
	if want := []int{100, 200, 250, 250}; !slices.Equal(got, want) {
		t.Errorf("calls after each check %v, want %v", got, want)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	tags := map[string]string{"Ünicode": "x", "acs:rm": "x", strings.Repeat("k", 200): "x", "bad utf": "x"}
	for i := range 30 {
		tags[fmt.Sprintf("Key.%02d", i)] = strings.Repeat("值", 100)
	}
	d := describer{customer: "acme", product: productOf("rds"), tagLabels: map[string]string{"Ünicode": "owner"}}
	taken := 0
	d.info(&resource{id: "rm-1", name: "a\xffb", tags: tags}).Range(func(l labels.Label) {
		if len(l.Value) > maxLabel || strings.ToValidUTF8(l.Value, "") != l.Value {
			t.Errorf("%s=%q", l.Name, l.Value)
		}
		if strings.HasPrefix(l.Name, "tag_key_") {
			taken++
		}
	})
	if taken != maxTags {
		t.Errorf("%d tags became labels, want %d", taken, maxTags)
	}
}

func TestSelectedProducts(t *testing.T) {
	f := func(cfg aliyun.AccountConfig, want string) {
		t.Helper()
		ps, err := selected(cfg)
		var names []string
		for _, p := range ps {
			names = append(names, p.name)
		}
		if got := fmt.Sprint(names, err); got != want {
			t.Errorf("%+v: %s, want %s", cfg.Inventory, got, want)
		}
	}
	f(aliyun.AccountConfig{Products: []string{"ecs", "polardb", "cdn"}}, "[ecs cdn] <nil>")
	f(aliyun.AccountConfig{Products: []string{"ecs"}, Inventory: []string{"eip", "rds"}}, "[eip rds] <nil>")
	f(aliyun.AccountConfig{Inventory: []string{"eip", "eip"}}, `[] inventory[1]: "eip" is there twice`)
	f(aliyun.AccountConfig{Inventory: []string{"nas"}}, "[] inventory[0]: no product \"nas\"; there are "+strings.Join(Products(), ", "))
}
