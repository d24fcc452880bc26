package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/sample"
	sim "watchkeeper/internal/sim/aliyun"
)

const (
	keyID  = "LTAItestkeyid"
	secret = "s3cr3t+/=value"
)

// noon is the simulated account's time when a test begins.
var noon = time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)

// cloud is a simulator on loopback with a clock that the test turns.
type cloud struct {
	*sim.Server
	address string

	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (c *cloud) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *cloud) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func newCloud(t *testing.T, change func(*sim.Config)) *cloud {
	t.Helper()
	c := &cloud{now: noon}
	cfg := sim.Config{Seed: 7, Keys: []sim.Key{{ID: keyID, Secret: secret}}, ECSInstances: 6, Now: c.clock}
	// Flow control runs on the account's clock, which stands still during a poll.
	cfg.RateLimits = map[string]float64{"Cms.DescribeMetricList": -1, "Cms": -1, "Ecs": -1}
	if change != nil {
		change(&cfg)
	}
	server, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.Server = server
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	c.address = listener.Listener.Addr().String()
	return c
}

func (c *cloud) inject(t *testing.T, f sim.Fault) {
	t.Helper()
	if err := c.Inject(f); err != nil {
		t.Fatal(err)
	}
}

// account builds an account through the SDK; change adapts its configuration.
func account(t *testing.T, address string, resume aliyun.ResumeFunc, change func(*aliyun.AccountConfig)) *aliyun.Account {
	t.Helper()
	cfg := aliyun.AccountConfig{
		Name: "main", Regions: []string{"cn-hangzhou"}, AccessKeyID: keyID, AccessKeySecret: aliyun.NewSecret(secret),
		Scheme: "http", Endpoint: address, CallsPerSecond: 100, CallTimeout: model.Duration(5 * time.Second),
	}
	if change != nil {
		change(&cfg)
	}
	set := metrics.NewSet()
	accounts, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{cfg}}, "acme", aliyun.Deps{
		NewClient: sdk.New, Budgets: aliyun.NewBudgets(set), Resume: resume, Metrics: set, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return accounts[0]
}

// collector picks the account's job whose source ends with name.
func collector(t *testing.T, a *aliyun.Account, name string) exporters.Collector {
	t.Helper()
	for _, j := range a.Jobs() {
		if strings.HasSuffix(j.Collector.Source().Name, name) {
			return j.Collector
		}
	}
	t.Fatalf("no source ends with %s", name)
	return nil
}

// sink collects what is delivered.
type sink struct {
	mu      sync.Mutex
	batches []sample.Batch // guarded by mu
}

func (s *sink) Append(ctx context.Context, b sample.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, b)
	return ctx.Err()
}

// points lists what was delivered under a metric name, sorted; a point that
// came twice is there twice.
func (s *sink) points(metric string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, b := range s.batches {
		for _, x := range b.Samples {
			if x.Labels.Get("__name__") == metric {
				out = append(out, line(x.Labels.Get("instance"), x.Labels.Get("device"), x.T, x.V))
			}
		}
	}
	slices.Sort(out)
	return out
}

func line(instance, device string, t int64, v float64) string {
	return fmt.Sprintf("%s %s %s %.6f", instance, device, time.UnixMilli(t).UTC().Format("15:04"), v)
}

// published lists the ground truth that can have been seen at now, sorted.
func (c *cloud) published(metric, statistic string, from, to, now time.Time) []string {
	var out []string
	for _, instance := range c.Instances("acs_ecs_dashboard") {
		for _, p := range c.Published(instance, metric, from, to) {
			if !p.PublishedAt.After(now) {
				out = append(out, line(instance, p.Dimensions["device"], p.Time.UnixMilli(), p.Statistics[statistic]))
			}
		}
	}
	slices.Sort(out)
	return out
}

func resumeAt(t time.Time) aliyun.ResumeFunc {
	return func(context.Context, sample.Source) (time.Time, bool, error) { return t, true, nil }
}

const (
	cpuSource  = "/acs_ecs_dashboard/CPUUtilization"
	cpuMetric  = "aliyun_ecs_cpu_utilization_percent"
	diskSource = "/acs_ecs_dashboard/diskusage_utilization"
	diskMetric = "aliyun_ecs_disk_utilization_percent"
)

// poll collects every interval of account time up to end.
func (c *cloud) poll(t *testing.T, col exporters.Collector, out *sink, interval time.Duration, end time.Time) (failures int) {
	t.Helper()
	for at := c.clock().Add(interval); !at.After(end); at = at.Add(interval) {
		c.set(at)
		if err := col.Collect(t.Context(), at, out); err != nil {
			failures++
		}
	}
	return failures
}

func TestNoPublishedPointIsLostOrDoubled(t *testing.T) {
	c := newCloud(t, func(cfg *sim.Config) {
		cfg.MissingRatio = 0.05
		cfg.PointDelay = &sim.Delay{Min: 60 * time.Second, Max: 3 * time.Minute, LateRatio: 0.1, LateMax: 15 * time.Minute}
	})
	for _, x := range []struct{ source, wire, metric string }{
		{cpuSource, "CPUUtilization", cpuMetric},
		{diskSource, "diskusage_utilization", diskMetric},
	} {
		c.set(noon.Add(17 * time.Second))
		out := &sink{}
		col := collector(t, account(t, c.address, nil, nil), x.source)
		if err := col.Collect(t.Context(), c.clock(), out); err != nil {
			t.Fatal(err)
		}
		if failures := c.poll(t, col, out, 5*time.Minute, noon.Add(2*time.Hour+time.Minute)); failures > 0 {
			t.Fatalf("%d polls failed", failures)
		}
		// What becomes visible after the last poll cannot have been read.
		end := c.clock()
		want := c.published(x.wire, "Average", noon.Add(-3*time.Hour), end, end)
		if len(want) < 1000 {
			t.Fatalf("only %d points published", len(want))
		}
		if diff := cmp.Diff(want, out.points(x.metric)); diff != "" {
			t.Errorf("%s: %s", x.wire, diff)
		}
	}
}

func TestOutagesAndOddAnswersLoseNothing(t *testing.T) {
	const fails, answers = true, false
	var wg sync.WaitGroup
	for name, x := range map[string]struct {
		kind sim.OutageKind
		want bool
	}{
		"503 page": {sim.Unavailable, fails}, "500": {sim.InternalError, fails}, "Success false": {sim.Unsuccessful, fails},
		"cut-off JSON": {sim.Truncated, fails}, "reset": {sim.Reset, fails}, "502 without body": {sim.NotJSON, fails},
		"too large": {sim.Huge, fails}, "empty list": {sim.EmptyList, answers}, "numbers as text": {sim.WrongTypes, answers},
	} {
		c := newCloud(t, nil)
		c.inject(t, sim.Outage{When: sim.When{API: "Cms", From: noon.Add(20 * time.Minute), To: noon.Add(50 * time.Minute)}, Kind: x.kind})
		col := collector(t, account(t, c.address, resumeAt(noon), nil), cpuSource)
		c.set(noon.Add(17 * time.Second))
		wg.Go(func() { // the waits between tries are real
			out := &sink{}
			failures := c.poll(t, col, out, 30*time.Minute, noon.Add(121*time.Minute))
			if (failures > 0) != x.want {
				t.Errorf("%s: %d polls failed, want some: %v", name, failures, x.want)
			}
			want := c.published("CPUUtilization", "Average", noon.Add(-20*time.Minute), c.clock(), c.clock())
			if diff := cmp.Diff(want, out.points(cpuMetric)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		})
	}
	wg.Wait()
}

func TestThrottledCallIsTriedAgain(t *testing.T) {
	c := newCloud(t, nil)
	c.inject(t, sim.Throttle{When: sim.When{API: "Cms.DescribeMetricList", Count: 2}})
	c.set(noon.Add(10 * time.Minute))
	out := &sink{}
	if err := collector(t, account(t, c.address, resumeAt(noon), nil), cpuSource).Collect(t.Context(), c.clock(), out); err != nil {
		t.Fatal(err)
	}
	if got := c.Calls()["Cms.DescribeMetricList"]; got != 3 {
		t.Errorf("%d calls, want two refused and one answered", got)
	}
	want := c.published("CPUUtilization", "Average", noon.Add(-20*time.Minute), c.clock(), c.clock())
	if diff := cmp.Diff(want, out.points(cpuMetric)); diff != "" {
		t.Error(diff)
	}
}

func TestExhaustedQuotaIsNotTriedAgain(t *testing.T) {
	c := newCloud(t, func(cfg *sim.Config) { cfg.QuotaPerMonth = 1 })
	a := account(t, c.address, nil, nil)
	if err := a.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Check(t.Context()); !errors.Is(err, aliyun.ErrQuota) || !strings.Contains(err.Error(), "pay-as-you-go") {
		t.Errorf("error %v, want ErrQuota with advice", err)
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	c := newCloud(t, func(cfg *sim.Config) {
		cfg.Keys = append(cfg.Keys,
			sim.Key{ID: "LTAIdisabled", Secret: secret, Status: sim.Inactive},
			sim.Key{ID: "LTAIpowerless", Secret: secret, Permissions: []string{}},
			sim.Key{ID: "STS.expired", Secret: secret, SecurityToken: "t0ken", Expires: time.Now().Add(-time.Hour)},
		)
	})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	f := func(change func(*aliyun.AccountConfig), kind error, words ...string) {
		t.Helper()
		err := account(t, c.address, nil, change).Check(t.Context())
		if !errors.Is(err, kind) {
			t.Errorf("error %v, want %v", err, kind)
		}
		if err == nil {
			return
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q does not say %q", err, w)
			}
		}
		for _, hidden := range []string{secret, "t0ken", "Signature=", "AccessKeyId=", "LTAI"} {
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("error %q shows %q", err, hidden)
			}
		}
	}
	f(func(cfg *aliyun.AccountConfig) {}, nil)
	f(func(cfg *aliyun.AccountConfig) { cfg.AccessKeySecret = aliyun.NewSecret("wrong") }, aliyun.ErrAuth, `account "main"`, "SignatureDoesNotMatch", "check access_key_secret")
	f(func(cfg *aliyun.AccountConfig) { cfg.AccessKeyID = "LTAIunknown" }, aliyun.ErrAuth, "no such AccessKey id")
	f(func(cfg *aliyun.AccountConfig) { cfg.AccessKeyID = "LTAIdisabled" }, aliyun.ErrAuth, "disabled")
	f(func(cfg *aliyun.AccountConfig) { cfg.AccessKeyID = "LTAIpowerless" }, aliyun.ErrForbidden, "AliyunCloudMonitorReadOnlyAccess")
	f(func(cfg *aliyun.AccountConfig) {
		cfg.AccessKeyID, cfg.SecurityTokenFile = "STS.expired", token
	}, aliyun.ErrAuth, "security_token_file")
	f(func(cfg *aliyun.AccountConfig) { cfg.Endpoint = closed.Addr().String() }, aliyun.ErrUnavailable, "metrics.cn-hangzhou.aliyuncs.com", "refused", "endpoint")
	f(func(cfg *aliyun.AccountConfig) { cfg.Scheme = "https" }, aliyun.ErrUnavailable, "scheme")
	f(func(cfg *aliyun.AccountConfig) {
		cfg.AccessKeySecret, cfg.AccessKeySecretFile = aliyun.Secret{}, "/nonexistent/secret"
	}, aliyun.ErrAuth, "access_key_secret_file", "/nonexistent/secret")
}

func TestSlowAnswerEndsWithTheCallTimeoutOrTheContext(t *testing.T) {
	c := newCloud(t, nil)
	c.inject(t, sim.Outage{Kind: sim.Slow, Delay: time.Minute})
	quick := func(cfg *aliyun.AccountConfig) { cfg.CallTimeout = model.Duration(200 * time.Millisecond) }
	started := time.Now()
	if err := account(t, c.address, nil, quick).Check(t.Context()); !errors.Is(err, aliyun.ErrUnavailable) || !strings.Contains(err.Error(), "no answer within 200ms") {
		t.Errorf("error %v, want the call's time-out", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := account(t, c.address, nil, nil).Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
	if spent := time.Since(started); spent > 20*time.Second {
		t.Errorf("waited %s for two answers that were given up", spent)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	followed := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed = true
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	err := account(t, server.Listener.Addr().String(), nil, nil).Check(t.Context())
	if !errors.Is(err, aliyun.ErrAnswer) || followed {
		t.Errorf("error %v, followed %v: a signed request must not follow a redirect", err, followed)
	}
}

func TestPanicOfTheSDKIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"Code":400,"Message":"a number as code makes the SDK panic"}`)
	}))
	defer server.Close()
	if err := account(t, server.Listener.Addr().String(), nil, nil).Check(t.Context()); !errors.Is(err, aliyun.ErrAnswer) {
		t.Errorf("error %v, want ErrAnswer", err)
	}
}

// All jobs of an account at once: the SDK's shared tables and clients must not
// be touched without a lock (meaningful with -race).
func TestAllCollectorsAtOnce(t *testing.T) {
	c := newCloud(t, func(cfg *sim.Config) { cfg.Regions = []string{"cn-hangzhou", "cn-beijing"} })
	c.set(noon.Add(17 * time.Second))
	a := account(t, c.address, resumeAt(noon), func(cfg *aliyun.AccountConfig) { cfg.Regions = []string{"cn-hangzhou", "cn-beijing"} })
	out := &sink{}
	var wg sync.WaitGroup
	for _, j := range a.Jobs() {
		wg.Go(func() {
			for range 3 {
				if err := j.Collector.Collect(t.Context(), c.clock(), out); err != nil {
					t.Errorf("%s: %v", j.Collector.Source().Name, err)
				}
			}
		})
	}
	wg.Wait()
}
