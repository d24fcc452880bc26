package sdk_test

import (
	"context"
	"errors"
	"fmt"
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

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	sim "watchkeeper/internal/sim/aliyun"
)

// points lists what was delivered under a metric name, sorted; a point that
// came twice is there twice.
func (s *sink) points(metric string) []string {
	var out []string
	for _, b := range s.Batches() {
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
func (c cloud) published(metric, statistic string, from, to, now time.Time) []string {
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

const (
	cpuSource  = "/acs_ecs_dashboard/CPUUtilization"
	cpuMetric  = "aliyun_ecs_cpu_utilization_percent"
	diskSource = "/acs_ecs_dashboard/diskusage_utilization"
	diskMetric = "aliyun_ecs_disk_utilization_percent"
)

// poll collects every interval of account time up to end.
func (c cloud) poll(t *testing.T, col exporters.Collector, out *sink, interval time.Duration, end time.Time) (failures int) {
	t.Helper()
	for at := c.Now().Add(interval); !at.After(end); at = at.Add(interval) {
		c.Set(at)
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
		c.Set(noon.Add(17 * time.Second))
		out := &sink{}
		col := collector(t, account(t, c.Address, nil, nil), x.source)
		if err := col.Collect(t.Context(), c.Now(), out); err != nil {
			t.Fatal(err)
		}
		if failures := c.poll(t, col, out, 5*time.Minute, noon.Add(2*time.Hour+time.Minute)); failures > 0 {
			t.Fatalf("%d polls failed", failures)
		}
		// What becomes visible after the last poll cannot have been read.
		end := c.Now()
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
		c.Hit(t, sim.Outage{When: sim.When{API: "Cms", From: noon.Add(20 * time.Minute), To: noon.Add(50 * time.Minute)}, Kind: x.kind})
		col := collector(t, account(t, c.Address, resumeAt(noon), nil), cpuSource)
		c.Set(noon.Add(17 * time.Second))
		wg.Go(func() { // the waits between tries are real
			out := &sink{}
			failures := c.poll(t, col, out, 30*time.Minute, noon.Add(121*time.Minute))
			if (failures > 0) != x.want {
				t.Errorf("%s: %d polls failed, want some: %v", name, failures, x.want)
			}
			want := c.published("CPUUtilization", "Average", noon.Add(-20*time.Minute), c.Now(), c.Now())
			if diff := cmp.Diff(want, out.points(cpuMetric)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		})
	}
	wg.Wait()
}

func TestThrottledCallIsTriedAgain(t *testing.T) {
	c := newCloud(t, nil)
	c.Hit(t, sim.Throttle{When: sim.When{API: "Cms.DescribeMetricList", Count: 2}})
	c.Set(noon.Add(10 * time.Minute))
	out := &sink{}
	if err := collector(t, account(t, c.Address, resumeAt(noon), nil), cpuSource).Collect(t.Context(), c.Now(), out); err != nil {
		t.Fatal(err)
	}
	if got := c.Calls()["Cms.DescribeMetricList"]; got != 3 {
		t.Errorf("%d calls, want two refused and one answered", got)
	}
	want := c.published("CPUUtilization", "Average", noon.Add(-20*time.Minute), c.Now(), c.Now())
	if diff := cmp.Diff(want, out.points(cpuMetric)); diff != "" {
		t.Error(diff)
	}
}

func TestExhaustedQuotaIsNotTriedAgain(t *testing.T) {
	c := newCloud(t, func(cfg *sim.Config) { cfg.QuotaPerMonth = 1 })
	a := account(t, c.Address, nil, nil)
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
		err := account(t, c.Address, nil, change).Check(t.Context())
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
	c.Hit(t, sim.Outage{Kind: sim.Slow, Delay: time.Minute})
	quick := func(cfg *aliyun.AccountConfig) { cfg.CallTimeout = model.Duration(200 * time.Millisecond) }
	started := time.Now()
	if err := account(t, c.Address, nil, quick).Check(t.Context()); !errors.Is(err, aliyun.ErrUnavailable) || !strings.Contains(err.Error(), "no answer within 200ms") {
		t.Errorf("error %v, want the call's time-out", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := account(t, c.Address, nil, nil).Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
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
	if err := account(t, panicking(t), nil, nil).Check(t.Context()); !errors.Is(err, aliyun.ErrAnswer) {
		t.Errorf("error %v, want ErrAnswer", err)
	}
}

// All jobs of an account at once: the SDK's shared tables and clients must not
// be touched without a lock (meaningful with -race).
func TestAllCollectorsAtOnce(t *testing.T) {
	c := newCloud(t, func(cfg *sim.Config) { cfg.Regions = []string{"cn-hangzhou", "cn-beijing"} })
	c.Set(noon.Add(17 * time.Second))
	a := account(t, c.Address, resumeAt(noon), func(cfg *aliyun.AccountConfig) { cfg.Regions = []string{"cn-hangzhou", "cn-beijing"} })
	out := &sink{}
	var wg sync.WaitGroup
	for _, j := range a.Jobs() {
		wg.Go(func() {
			for range 3 {
				if err := j.Collector.Collect(t.Context(), c.Now(), out); err != nil {
					t.Errorf("%s: %v", j.Collector.Source().Name, err)
				}
			}
		})
	}
	wg.Wait()
}
