//go:build unix

package aliyunsoak

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sim "watchkeeper/internal/sim/aliyun"
)

// latency of every answer.
const latency = 40 * time.Millisecond

// cloud is a simulated account on a network in memory. It counts what arrives, as
// the provider would.
type cloud struct {
	*sim.Server
	network *network
	arrived func(now time.Time) // told of every call, if set

	mu    sync.Mutex
	calls map[string]*traffic // by API
}

// traffic of one API.
type traffic struct {
	total  int
	recent []time.Time // of the last second
	peak   int         // most calls within a second
}

func newCloud(t *testing.T, cfg sim.Config) *cloud {
	t.Helper()
	c := &cloud{network: newNetwork(), calls: map[string]*traffic{}}
	var err error
	if c.Server, err = sim.New(cfg); err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: c, IdleTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(c.network) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Errorf("simulator: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("simulator: %v", err)
		}
	})
	return c
}

// ServeHTTP counts a request and hands it on.
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.note(apiOf(r), time.Now())
	if c.arrived != nil {
		c.arrived(time.Now())
	}
	time.Sleep(latency)
	c.Server.ServeHTTP(w, r)
}

func (c *cloud) note(api string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.calls[api]
	if x == nil {
		x = &traffic{}
		c.calls[api] = x
	}
	x.total++
	for len(x.recent) > 0 && now.Sub(x.recent[0]) >= time.Second {
		x.recent = x.recent[1:]
	}
	x.recent = append(x.recent, now)
	x.peak = max(x.peak, len(x.recent))
}

// total is how many calls came, by API.
func (c *cloud) total() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for api, x := range c.calls {
		out[api] = x.total
	}
	return out
}

// peaks are the most calls that came within a second, by API.
func (c *cloud) peaks() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int{}
	for api, x := range c.calls {
		out[api] = x.peak
	}
	return out
}

// products by the first part of their host names.
var products = map[string]string{
	"metrics": "Cms", "ecs": "Ecs", "rds": "Rds", "slb": "Slb", "alb": "Alb", "r-kvstore": "R-kvstore", "mongodb": "Dds", "drds": "Drds",
	"cdn": "Cdn", "vpc": "Vpc", "business": "BssOpenApi", "actiontrail": "Actiontrail", "tds": "Sas", "sts": "Sts", "elasticsearch": "elasticsearch",
}

// apiOf names an API as limits and plans do: Cms.DescribeMetricList.
func apiOf(r *http.Request) string {
	host, _, _ := strings.Cut(r.Host, ".")
	if strings.HasPrefix(host, "ecs-") { // ecs-cn-hangzhou
		host = "ecs"
	}
	action := r.URL.Query().Get("Action")
	if r.URL.Path == "/openapi/instances" {
		action = "ListInstance"
	}
	return products[host] + "." + action
}

// since is the difference of two totals.
func since(before, now map[string]int) map[string]int {
	out := maps.Clone(now)
	for api, n := range before {
		if out[api] -= n; out[api] == 0 {
			delete(out, api)
		}
	}
	return out
}
