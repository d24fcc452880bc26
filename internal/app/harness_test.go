package app_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/api"
	"watchkeeper/internal/app"
	"watchkeeper/internal/app/apptest"
	"watchkeeper/internal/config"
	sim "watchkeeper/internal/sim/aliyun"
)

// TestMain lets more tests run at once than there are processors: they wait
// more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// secrets are what the tests' configurations hold and nobody may ever read again.
var secrets = []string{cloudKey.Secret, erpToken, shopToken, "hook-secret"}

const (
	erpToken  = "erp-token-0123456789abcdef"
	shopToken = "shop-token-0123456789abcdef"
)

var cloudKey = sim.Key{ID: "testid", Secret: "very-secret-access-key"}

// logBuffer keeps a log for a test to read.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// server is a running App.
type server struct {
	*app.App
	t    *testing.T
	log  *logBuffer
	stop func()
}

// serve starts an App on a configuration file and stops it with the test.
func serve(t *testing.T, file string) *server {
	t.Helper()
	s := &server{t: t, log: &logBuffer{}}
	var err error
	if s.App, err = open(file, s.log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		s.keepsSecrets()
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	t.Cleanup(s.stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.log)
		}
	})
	apptest.Until(t, "ready", func() bool { code, _ := apptest.Get(s.URL() + "/-/ready"); return code == http.StatusOK })
	return s
}

// building lets one App be built at a time: Alertmanager's API, when it is
// built, writes to its description, a global.
var building sync.Mutex

func open(file string, log *logBuffer) (*app.App, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	building.Lock()
	defer building.Unlock()
	return app.New(cfg, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
}

// keepsSecrets looks for the secrets in all that the server shows.
func (s *server) keepsSecrets() {
	s.t.Helper()
	shown := map[string]string{"log": s.log.String()}
	for _, path := range []string{
		"/", "/metrics", "/api/sources", "/api/incidents?limit=1000", "/api/incidents/1", "/api/v1/rules", "/api/v1/alerts", "/api/v1/status/config",
		"/api/v1/status/flags", "/api/v1/status/runtimeinfo", "/api/v1/targets", "/api/v1/metadata", "/api/v1/series?match[]={customer!=\"\"}",
		"/alertmanager/api/v2/status", "/alertmanager/api/v2/receivers", "/alertmanager/api/v2/alerts",
	} {
		_, shown[path] = apptest.Get(s.URL() + path)
	}
	for where, text := range shown {
		for _, secret := range secrets {
			if i := strings.Index(text, secret); i >= 0 {
				s.t.Errorf("%s shows the secret %q: …%s…", where, secret, text[max(0, i-100):min(len(text), i+100)])
			}
		}
	}
}

func (s *server) incidents(query string) []incident.Incident {
	s.t.Helper()
	var list api.IncidentList
	apptest.GetJSON(s.t, s.URL()+"/api/incidents?"+query, &list)
	return list.Incidents
}

// incident waits for the only incident and for its state.
func (s *server) incident(state incident.State) incident.Detail {
	s.t.Helper()
	var list []incident.Incident
	apptest.Until(s.t, "one incident that is "+string(state), func() bool {
		list = s.incidents("limit=10")
		return len(list) == 1 && list[0].State == state
	})
	var d incident.Detail
	apptest.GetJSON(s.t, fmt.Sprintf("%s/api/incidents/%d", s.URL(), list[0].ID), &d)
	return d
}

// files writes files into a new folder and returns it. Names ending in "token"
// or "secret" are secrets.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hook starts a webhook receiver and returns the alertmanager section that
// tells it of everything at once.
func hook(t *testing.T) (*apptest.Receiver, string) {
	t.Helper()
	r := &apptest.Receiver{}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	return r, fmt.Sprintf(`
alertmanager:
  route: {receiver: tickets, group_by: [customer, alertname], group_wait: 300ms, group_interval: 300ms, repeat_interval: 4h}
  receivers:
  - {name: tickets, webhook_configs: [{url: "%s/?token=hook-secret"}]}
alertrouter: {retry_min: 100ms, retry_max: 500ms}
`, srv.URL)
}

const listeners = `
data_dir: data
api: {listen: "127.0.0.1:0"}
ingest:
  listen: "127.0.0.1:0"
`

// cloudAccount is a simulated cloud account whose clock a test moves on to publish
// what is late: how fast the machine is does not matter then.
type cloudAccount struct {
	*sim.Server
	instance, address string // of an instance; of the API
	start             time.Time
	ahead             atomic.Int64 // of the account's clock, as a time.Duration
}

// cloud starts an account with two instances.
func cloud(t *testing.T) *cloudAccount {
	t.Helper()
	c := &cloudAccount{start: time.Now()}
	delay := sim.Delay{Min: time.Second, Max: 2 * time.Second}
	var err error
	c.Server, err = sim.New(sim.Config{
		Seed: 3, Keys: []sim.Key{cloudKey}, Regions: []string{"cn-hangzhou"}, ECSInstances: 2, PointDelay: &delay,
		Now: func() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.instance = c.Instances("acs_ecs_dashboard")[0]
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	c.address = strings.TrimPrefix(srv.URL, "http://")
	return c
}

// minute is the n-th minute from that of the start.
func (c *cloudAccount) minute(n int) time.Time {
	return c.start.Truncate(time.Minute).Add(time.Duration(n) * time.Minute)
}

// until is how late the point of minute n is when it is published once the
// account's clock is so far ahead.
func (c *cloudAccount) until(n int, ahead time.Duration) time.Duration {
	return c.start.Add(ahead - time.Minute).Sub(c.minute(n))
}

func (c *cloudAccount) inject(t *testing.T, faults ...sim.Fault) {
	t.Helper()
	for _, f := range faults {
		if err := c.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
}

// customer is the configuration of a customer with this account.
func (c *cloudAccount) customer() string { return account(c.address) }

func account(address string) string {
	return fmt.Sprintf(`
customers:
- name: acme
  aliyun:
    accounts:
    - {name: main, regions: [cn-hangzhou], access_key_id: testid, access_key_secret_file: cloud-secret, scheme: http, endpoint: "%s", interval: 1s, normal_interval: 1m, inventory_interval: 1s, fill_in: 30m}
`, address)
}

// query returns the result of an instant query.
func query(s *server, expr string) []struct{ Metric map[string]string } {
	s.t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string } `json:"result"`
		} `json:"data"`
	}
	apptest.GetJSON(s.t, s.URL()+"/api/v1/query?query="+url.QueryEscape(expr), &answer)
	return answer.Data.Result
}

// sum adds the lines of /metrics that begin with prefix.
func sum(s *server, prefix string) float64 {
	s.t.Helper()
	_, body := apptest.Get(s.URL() + "/metrics")
	total := 0.0
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, prefix) {
			v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(strings.TrimSpace(line), ' '):]), 64)
			if err != nil {
				s.t.Fatalf("metric %q: %v", line, err)
			}
			total += v
		}
	}
	return total
}
