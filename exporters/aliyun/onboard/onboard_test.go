package onboard_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/onboard"
	"watchkeeper/exporters/aliyun/sdk"
	sim "watchkeeper/internal/sim/aliyun"
)

func client(t *testing.T, key sim.Key, instances int) aliyun.Client {
	t.Helper()
	server, err := sim.New(sim.Config{
		Seed: 3, Keys: []sim.Key{key}, Regions: []string{"cn-hangzhou", "cn-beijing", "eu-central-1"}, ECSInstances: instances,
		Products: map[string]int{"acs_rds_dashboard": 2, "acs_cdn": 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	set := metrics.NewSet()
	accounts, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{{
		Name: "main", Regions: []string{"cn-hangzhou"}, AccessKeyID: "id", AccessKeySecret: aliyun.NewSecret("secret"), Scheme: "http",
		Endpoint: listener.Listener.Addr().String(), CallsPerSecond: 100, CallTimeout: model.Duration(10 * time.Second),
	}}}, "acme", aliyun.Deps{NewClient: sdk.New, Budgets: aliyun.NewBudgets(set), Metrics: set, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return accounts[0].Client()
}

func examine(t *testing.T, key sim.Key, instances int) *onboard.Report {
	t.Helper()
	r, err := onboard.Examine(t.Context(), client(t, key, instances), "cn-hangzhou", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExamineFindsRegionsAndProducts(t *testing.T) {
	r := examine(t, sim.Key{ID: "id", Secret: "secret"}, 2)
	if r.Identity.Account != "1234567890123456" || !strings.Contains(r.Identity.ARN, ":user/") {
		t.Errorf("identity %+v", r.Identity)
	}
	want := []onboard.Use{
		{Product: "cdn", Resources: 1}, {Product: "ecs", Region: "cn-beijing", Resources: 1}, {Product: "ecs", Region: "cn-hangzhou", Resources: 1},
		{Product: "rds", Region: "cn-beijing", Resources: 1}, {Product: "rds", Region: "cn-hangzhou", Resources: 1},
	}
	if d := cmp.Diff(want, r.Uses); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"cn-beijing", "cn-hangzhou"}, r.Regions); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(aliyun.EventSources(), r.Events()); d != "" || !r.Cost() || !r.Metrics || len(r.Unread) != 0 {
		t.Errorf("%s, cost %v, metrics %v, unread %v", d, r.Cost(), r.Metrics, r.Unread)
	}
}

// The policy that is printed names exactly what is missing; with it nothing is.
func TestMissingPolicyMendsTheKey(t *testing.T) {
	has := []string{"sts:*", "ecs:*", "cms:*", "rds:DescribeDBInstances", "bss:DescribeAcccount"}
	r := examine(t, sim.Key{ID: "id", Secret: "secret", Permissions: has}, 2)
	if r.Cost() || slices.Contains(r.Events(), aliyun.EventsBackups) || !slices.Contains(r.Events(), aliyun.EventsECS) {
		t.Errorf("events %v, cost %v", r.Events(), r.Cost())
	}
	missing := r.MissingPolicy().Statement[0].Action
	for _, action := range []string{"rds:DescribeBackups", "rds:DescribeSlowLogRecords", "bssapi:DescribeInstanceBill", "yundun-sas:DescribeVulList", "cdn:DescribeUserDomains"} {
		if !slices.Contains(missing, action) {
			t.Errorf("%s is not in %v", action, missing)
		}
	}
	for _, action := range missing {
		if strings.HasPrefix(action, "cms:") || action == "rds:DescribeDBInstances" || action == "ecs:DescribeInstances" {
			t.Errorf("%s is granted", action)
		}
	}
	for _, p := range examine(t, sim.Key{ID: "id", Secret: "secret", Permissions: append(has, missing...)}, 2).Permissions {
		if p.Status == onboard.Missing {
			t.Errorf("%s is still missing", p.Action)
		}
	}
}

// The whole policy is enough, and names only readings.
func TestWholePolicy(t *testing.T) {
	policy := onboard.WholePolicy()
	r := examine(t, sim.Key{ID: "id", Secret: "secret", Permissions: append(slices.Clone(policy.Statement[0].Action), "sts:*", "ecs:DescribeRegions")}, 2)
	for _, p := range r.Permissions {
		if p.Status == onboard.Missing {
			t.Errorf("%s is missing", p.Action)
		}
	}
	for _, action := range policy.Statement[0].Action {
		_, verb, _ := strings.Cut(action, ":")
		if !strings.HasPrefix(verb, "Describe") && !strings.HasPrefix(verb, "Query") && !strings.HasPrefix(verb, "List") && !strings.HasPrefix(verb, "Lookup") {
			t.Errorf("%s does more than read", action)
		}
	}
	text, err := json.Marshal(policy)
	if err != nil || !strings.HasPrefix(string(text), `{"Version":"1","Statement":[{"Effect":"Allow","Action":[`) {
		t.Errorf("%s, %v", text, err)
	}
}

// No instance and no permission look alike; that is said, not guessed.
func TestEmptyListIsUnclear(t *testing.T) {
	r := examine(t, sim.Key{ID: "id", Secret: "secret"}, 0)
	for _, p := range r.Permissions {
		if p.Action == "ecs:DescribeInstances" && p.Status != onboard.Unclear {
			t.Errorf("%+v", p)
		}
	}
}

func TestExamineRefusesAWrongKey(t *testing.T) {
	_, err := onboard.Examine(t.Context(), client(t, sim.Key{ID: "id", Secret: "other"}, 1), "cn-hangzhou", nil)
	if !errors.Is(err, aliyun.ErrAuth) {
		t.Errorf("got %v", err)
	}
}
