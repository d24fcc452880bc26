package app_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	prom "github.com/prometheus/client_golang/api/prometheus/v1"

	"watchkeeper/internal/app/apptest"
)

// Prometheus's own client reads the targets: those that are scraped, and our
// collectors beside them.
func TestTargetsAreReadByPrometheusClient(t *testing.T) {
	t.Parallel()
	good, bad := newTheirs(t), newTheirs(t)
	bad.down.Store(true)
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + fmt.Sprintf(`
rules: {packs: []}
customers:
- name: erp
  scrape_configs:
  - job_name: queues
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs: [{targets: [%q, %q, "dropped:1"]}]
    relabel_configs: [{source_labels: [__address__], regex: "dropped:.*", action: drop}]
  probes:
    vantage: here
    targets: [{name: shop, url: %q, interval: 1s}]
  middleware:
    redis: [{name: cache, address: "127.0.0.1:1", interval: 1s}]
`, good.address(), bad.address(), good.URL)})
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))
	c, err := promapi.NewClient(promapi.Config{Address: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]struct {
		health prom.HealthStatus
		err    string
	}{
		"erp/scrape/queues " + good.address(): {prom.HealthGood, ""},
		"erp/scrape/queues " + bad.address():  {prom.HealthBad, "502"},
		"erp/probe probe/here/1s":             {prom.HealthGood, ""},
		"erp/redis redis/cache":               {prom.HealthBad, "refused"},
	}
	var found prom.TargetsResult
	apptest.UntilWithin(t, time.Minute, "the health of all targets", func() bool {
		if found, err = prom.NewAPI(c).Targets(t.Context()); err != nil {
			t.Fatal(err)
		}
		known := 0
		for _, target := range found.Active {
			if w := want[target.ScrapePool+" "+string(target.Labels["instance"])]; target.Health == w.health {
				known++
			}
		}
		return known == len(want)
	})
	if len(found.Active) != len(want) {
		t.Errorf("%d targets, want %d", len(found.Active), len(want))
	}
	for _, target := range found.Active {
		w, ok := want[target.ScrapePool+" "+string(target.Labels["instance"])]
		switch {
		case !ok:
			t.Errorf("unexpected: %+v", target)
		case !strings.Contains(target.LastError, w.err) || (w.err == "") != (target.LastError == ""):
			t.Errorf("%s: last error %q, want %q", target.Labels["instance"], target.LastError, w.err)
		case time.Since(target.LastScrape) > time.Hour || target.LastScrapeDuration <= 0 || !strings.HasPrefix(target.ScrapeURL, "http://"):
			t.Errorf("%+v", target)
		case strings.Contains(target.ScrapePool, "/scrape/") == strings.HasSuffix(target.ScrapeURL, "/api/sources"):
			t.Errorf("pool %s has the url %s", target.ScrapePool, target.ScrapeURL)
		}
	}
	if len(found.Dropped) != 1 {
		t.Errorf("dropped: %+v", found.Dropped)
	}
	for path, want := range map[string]string{
		"/api/v1/scrape_pools":                                              `"erp/probe","erp/redis","erp/scrape/queues"`,
		"/api/v1/targets?state=active&scrapePool=erp%2Fredis":               `"scrapeInterval":"1s"`,
		"/api/v1/targets?state=dropped":                                     `"droppedTargetCounts":{"erp/scrape/queues":1}`,
		"/api/v1/targets/relabel_steps?scrapePool=nobody/x/y&labels=%7B%7D": `there is no scrape job`,
	} {
		if _, body := apptest.Get(s.URL() + path); !strings.Contains(body, want) {
			t.Errorf("%s lacks %s: %s", path, want, body)
		}
	}
}
