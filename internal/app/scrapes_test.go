package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/exporters/scrape"
	"watchkeeper/internal/app/apptest"
	"watchkeeper/ruleset/contract"
	"watchkeeper/ruleset/coverage"
)

// theirs is an exporter of somebody else's, whose queue a test fills.
type theirs struct {
	*httptest.Server
	queue atomic.Int64
	down  atomic.Bool
}

func newTheirs(t *testing.T) *theirs {
	t.Helper()
	e := &theirs{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if e.down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "queue_length %d\n", e.queue.Load())
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *theirs) address() string { return strings.TrimPrefix(e.URL, "http://") }

// scraped is a configuration that scrapes what targets.json names each second,
// and fires when a queue is long.
const scraped = `
customers:
- name: erp
  scrape_configs:
  - job_name: queues
    scrape_interval: 1s
    scrape_timeout: 1s
    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
rules: {packs: [], files: [rules.yml]}
`

const scrapedRule = `
groups:
- name: queue
  interval: 2s
  rules:
  - {alert: QueueLong, expr: queue_length > 10, consecutive: 1, labels: {severity: high}, annotations: {summary: "long"}}
`

// writeTargets names the targets, in one step as file discovery wants it.
func writeTargets(t *testing.T, dir string, targets ...*theirs) {
	t.Helper()
	addresses := []string{}
	for _, e := range targets {
		addresses = append(addresses, e.address())
	}
	b, err := json.Marshal([]map[string]any{{"targets": addresses}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "targets.tmp"), string(b))
	if err := os.Rename(filepath.Join(dir, "targets.tmp"), filepath.Join(dir, "targets.json")); err != nil {
		t.Fatal(err)
	}
}

// A scraped breach becomes an incident of the configured customer; a failed
// scrape does not end it, and a target that discovery drops does, with its reason.
func TestScrapedTarget(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + scraped + routing, "rules.yml": scrapedRule})
	stays, goes := newTheirs(t), newTheirs(t)
	goes.queue.Store(99)
	writeTargets(t, dir, stays, goes)
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))

	d := s.incident(incident.Firing)
	if d.Customer != "erp" || d.Identity.Get("instance") != goes.address() || d.Identity.Get("job") != "queues" {
		t.Errorf("incident: %+v", d.Incident)
	}
	goes.down.Store(true)
	apptest.Until(t, "failed scrapes of several checks", func() bool {
		return apptest.Metric(t, s.URL(), `watchkeeper_scrape_failures_total{reason="status"}`) >= 6
	})
	s.incident(incident.Firing)
	goes.down.Store(false)
	writeTargets(t, dir, stays)
	d = s.incident(incident.Ended)
	if text := fmt.Sprintf("%+v", d); !strings.Contains(text, "target removed") {
		t.Errorf("the reason is not told: %s", text)
	}
	for _, metric := range []string{"up", "scrape_duration_seconds", "queue_length"} {
		apptest.Until(t, metric+" of the other target", func() bool {
			return len(query(s, fmt.Sprintf("%s{customer=\"erp\",instance=%q}", metric, stays.address()))) == 1
		})
	}
}

// A job that the configuration no longer has ends its series as well, and a
// mistake in a job changes nothing.
func TestScrapeJobRemoved(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + scraped + routing, "rules.yml": scrapedRule})
	e := newTheirs(t)
	e.queue.Store(99)
	writeTargets(t, dir, e)
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))
	s.incident(incident.Firing)

	write(t, filepath.Join(dir, "watchkeeper.yml"), listeners+strings.Replace(scraped, "scrape_timeout", "scrap_timeout", 1)+routing)
	if code, body := reload(s); code == http.StatusOK || !strings.Contains(body, "scrape_configs[0].scrap_timeout: unknown key") {
		t.Errorf("reload with a mistake: %d %s", code, body)
	}
	write(t, filepath.Join(dir, "watchkeeper.yml"), listeners+strings.Split(scraped, "  scrape_configs:")[0]+"rules: {packs: [], files: [rules.yml]}\n"+routing)
	if code, body := reload(s); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, body)
	}
	if d := s.incident(incident.Ended); !strings.Contains(fmt.Sprintf("%+v", d), "removed from configuration") {
		t.Errorf("the reason is not told: %+v", d)
	}
}

// What other exporters' metrics are translated to is what the contract declares.
func TestAliasesAreTheContracts(t *testing.T) {
	t.Parallel()
	declared := 0
	for product, aliases := range scrape.Aliases() {
		for _, a := range aliases {
			m, ok := contract.LookupMetric(a.Metric)
			if !ok {
				t.Errorf("%s: %s is not declared", product, a.Metric)
				continue
			}
			declared++
			if m.Source != product && m.Source != "middleware/"+product {
				t.Errorf("%s: %s is a metric of %s", product, a.Metric, m.Source)
			}
			for _, l := range a.Labels {
				if !slices.Contains(m.Labels, l) && !slices.Contains(m.Info, l) {
					t.Errorf("%s: %s has no label %s", product, a.Metric, l)
				}
			}
		}
	}
	if declared < 40 {
		t.Errorf("%d aliases", declared)
	}
}

// A target with a product is watched by the contract's rules, and coverage
// counts it.
func TestScrapedHostIsCovered(t *testing.T) {
	t.Parallel()
	e := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "node_load1 4\nnode_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 1\nnode_memory_MemAvailable_bytes 1e9\n")
	}))
	t.Cleanup(e.Close)
	_, routing := hook(t)
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + fmt.Sprintf(`
customers:
- name: erp
  scrape_configs:
  - {job_name: node, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{targets: [%q], labels: {product: host}}],
     relabel_configs: [{target_label: instance, replacement: web-1}]}
`, strings.TrimPrefix(e.URL, "http://")) + routing})
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))
	apptest.Until(t, "the contract's metric", func() bool {
		return len(query(s, `host_load1_per_core{customer="erp",product="host",instance="web-1"} == 4`)) == 1
	})
	apptest.Until(t, "coverage", func() bool {
		var r coverage.Report
		apptest.GetJSON(t, s.URL()+"/api/coverage", &r)
		status := map[string]coverage.Status{}
		for _, e := range r.Entries {
			if e.Product == "host" && e.Instance == "web-1" {
				status[e.Row] = e.Status
			}
		}
		return status["host-load"] == coverage.Watched && status["host-memory-available"] == coverage.Watched && status["host-cpu"] == coverage.Hole
	})
}
