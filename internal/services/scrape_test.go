//go:build services

package services

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
)

// nodeExporter starts a real node_exporter and returns its address.
func nodeExporter(t *testing.T) (p *process, address string) {
	t.Helper()
	address = freeAddress(t)
	p = launch(t, t.TempDir(), "prometheus-node-exporter", "--web.listen-address="+address, "--web.disable-exporter-metrics",
		"--collector.disable-defaults", "--collector.loadavg", "--collector.meminfo", "--collector.cpu", "--collector.uname", "--collector.time")
	apptest.Until(t, "node_exporter serves", func() bool { code, _ := apptest.Get("http://" + address + "/metrics"); return code == http.StatusOK })
	return p, address
}

// discovered writes the targets of file discovery, in one step.
func discovered(t *testing.T, file string, addresses ...string) {
	t.Helper()
	b, err := json.Marshal([]map[string]any{{"targets": addresses, "labels": map[string]string{"env": "prod"}}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, file+".tmp", string(b))
	if err := os.Rename(file+".tmp", file); err != nil {
		t.Fatal(err)
	}
}

// value is the only result of a query; false when there is none.
func value(t *testing.T, s *server, query string) (float64, map[string]string, bool) {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	apptest.GetJSON(t, s.URL()+"/api/v1/query?query="+url.QueryEscape(query), &answer)
	if len(answer.Data.Result) != 1 {
		return 0, nil, false
	}
	r := answer.Data.Result[0]
	v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v, r.Metric, true
}

// A real node_exporter, found by file discovery and relabelled as its users do
// it, works unchanged: its values arrive, a rule on its names fires, a restart
// goes on with the same series, and its removal ends the incident.
func TestNodeExporter(t *testing.T) {
	t.Parallel()
	exporter, address := nodeExporter(t)
	_, other := nodeExporter(t)
	targets := filepath.Join(t.TempDir(), "targets.json")
	discovered(t, targets, address, other)
	s := watch(t, fmt.Sprintf(`
ingest: {listen: ""}
rules: {packs: [], files: [rules.yml]}
customers:
- name: acme
  scrape_configs:
  - job_name: node
    scrape_interval: 1s
    scrape_timeout: 1s
    file_sd_configs: [{files: [%q], refresh_interval: 1s}]
    relabel_configs:
    - {source_labels: [__address__], regex: %q, target_label: instance, replacement: web-1}
    metric_relabel_configs:
    - {source_labels: [__name__], regex: node_cpu_.*, action: drop}
`, targets, address), map[string]string{"rules.yml": `
groups:
- name: node
  interval: 2s
  rules:
  - {alert: MemoryThere, expr: 'node_memory_MemTotal_bytes{instance="web-1"} > 0', consecutive: 3, labels: {severity: average}}
`})
	apptest.Until(t, "an incident", func() bool { return len(s.incidents(t, "open=true")) == 1 })
	i := s.incidents(t, "")[0]
	if i.Customer != "acme" || i.Identity.Get("instance") != "web-1" || i.Identity.Get("env") != "prod" || i.State != incident.Firing {
		t.Errorf("incident: %+v", i)
	}

	total, labels, ok := value(t, s, `node_memory_MemTotal_bytes{instance="web-1"}`)
	if !ok || labels["customer"] != "acme" || labels["job"] != "node" {
		t.Fatalf("memory: %v %v", ok, labels)
	}
	_, page := apptest.Get("http://" + address + "/metrics")
	if line := "node_memory_MemTotal_bytes " + strconv.FormatFloat(total, 'e', -1, 64); !strings.Contains(page, line) {
		t.Errorf("the exporter does not say %s", line)
	}
	if n, _, _ := value(t, s, `count({__name__=~"node_.*",instance="web-1"})`); n < 20 {
		t.Errorf("%v series", n)
	}
	if _, _, there := value(t, s, `count({__name__=~"node_cpu_.*"})`); there {
		t.Error("what relabelling drops is there")
	}

	exporter.stop()
	apptest.Until(t, "up is 0", func() bool { v, _, ok := value(t, s, `up{instance="web-1"}`); return ok && v == 0 })
	launch(t, t.TempDir(), "prometheus-node-exporter", "--web.listen-address="+address, "--collector.disable-defaults", "--collector.meminfo")
	apptest.Until(t, "up is 1 again", func() bool { v, _, ok := value(t, s, `up{instance="web-1"}`); return ok && v == 1 })
	apptest.Until(t, "a new sample", func() bool {
		v, _, ok := value(t, s, `time() - timestamp(node_memory_MemTotal_bytes{instance="web-1"})`)
		return ok && v < 2
	})
	// If the restart took long, there was no data for a while.
	apptest.Until(t, "a restart of the exporter leaves the incident as it was", func() bool {
		again := s.incidents(t, "")
		return len(again) == 1 && again[0].ID == i.ID && again[0].State == incident.Firing
	})

	discovered(t, targets, other)
	apptest.Until(t, "the incident ends", func() bool { return s.incidents(t, "")[0].State == incident.Ended })
	if v, _, ok := value(t, s, `up{job="node"}`); !ok || v != 1 {
		t.Errorf("the other target: %v %v", v, ok)
	}
}

// A real node_exporter's figures in the contract's terms are those of our own
// host collector on the same machine.
func TestNodeExporterInTheContractsTerms(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	launch(t, t.TempDir(), "prometheus-node-exporter", "--web.listen-address="+address)
	s := watch(t, fmt.Sprintf(`
ingest: {listen: ""}
customers:
- name: acme
  host: {interval: 1s, instance: ours}
  scrape_configs:
  - job_name: node
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs: [{targets: [%q], labels: {product: host}}]
    relabel_configs: [{target_label: instance, replacement: theirs}]
`, address), nil)
	apptest.Until(t, "both deliver", func() bool {
		n, _, ok := value(t, s, `count(host_cpu_used_percent{product="host"})`)
		return ok && n == 2
	})
	for _, test := range []struct {
		metric    string
		tolerance float64 // of the value; what changes from second to second
	}{
		{"host_cpu_cores", 0}, {"host_memory_total_bytes", 0}, {"host_boot_time_seconds", 1e-6}, {"host_uptime_seconds", 0.05},
		{"host_swap_total_bytes", 0}, {"host_memory_available_bytes", 0.3}, {`host_filesystem_size_bytes{mountpoint="/"}`, 0},
		{`host_filesystem_inodes{mountpoint="/"}`, 0}, {`host_filesystem_available_bytes{mountpoint="/"}`, 0.1}, {`host_filesystem_available_percent{mountpoint="/"}`, 0.1},
		{`host_cpu_seconds_total{mode="user"}`, 0.1},
	} {
		of := func(instance string) float64 {
			name, rest, more := strings.Cut(strings.TrimSuffix(test.metric, "}"), "{")
			if more {
				rest = "," + rest
			}
			v, labels, ok := value(t, s, fmt.Sprintf("%s{instance=%q%s}", name, instance, rest))
			if !ok || labels["product"] != "host" || labels["job"] != "" {
				t.Errorf("%s of %s: %v %v", test.metric, instance, ok, labels)
			}
			return v
		}
		ours, theirs := of("ours"), of("theirs")
		if math.Abs(ours-theirs) > test.tolerance*ours {
			t.Errorf("%s: ours %v, theirs %v", test.metric, ours, theirs)
		}
	}
	for _, metric := range []string{"host_filesystem_size_bytes", "host_network_receive_bytes_total", "host_disk_io_time_seconds_total"} {
		// Other tests mount and unmount file systems: for a second one side may know more.
		apptest.UntilWithin(t, 2*time.Minute, metric+": ours are as many as theirs", func() bool {
			n, _, ok := value(t, s, fmt.Sprintf("count(%s{instance=\"ours\"}) - count(%s{instance=\"theirs\"})", metric, metric))
			return ok && n == 0
		})
	}
}

// What the exporter command shows is taken by a real Prometheus, with the
// samples' own timestamps, and promtool reads it.
func TestPrometheusScrapesTheExporter(t *testing.T) {
	t.Parallel()
	address := exporterCommand(t, "customers: [{name: acme, host: {interval: 1s, instance: web-1}}]\n")
	dir, theirs := t.TempDir(), freeAddress(t)
	write(t, dir+"/prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs:
- {job_name: watchkeeper, honor_labels: true, static_configs: [{targets: [%q]}]}
`, address))
	launch(t, dir, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+theirs)
	ask := func(query string) (float64, bool) {
		code, body := apptest.Get("http://" + theirs + "/api/v1/query?query=" + url.QueryEscape(query))
		if code != http.StatusOK {
			return 0, false
		}
		var answer struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Data.Result) != 1 {
			return 0, false
		}
		v, err := strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
		return v, err == nil
	}
	apptest.Until(t, "Prometheus has a sample of the host", func() bool {
		_, ok := ask(`host_load1_per_core{customer="acme",instance="web-1"}`)
		return ok
	})
	if v, ok := ask(`up{job="watchkeeper"}`); !ok || v != 1 {
		t.Errorf("up: %v %v", v, ok)
	}
	if v, ok := ask(`watchkeeper_exporter_source_up{customer="acme",source="host/web-1"}`); !ok || v != 1 {
		t.Errorf("source up: %v %v", v, ok)
	}
	// The timestamps are the checks', which are the same in every scrape.
	at, ok := ask(`timestamp(host_load1_per_core)`)
	if !ok || time.Since(time.UnixMilli(int64(at*1000))) > time.Minute {
		t.Errorf("timestamp %v %v", at, ok)
	}

	_, page := apptest.Get("http://" + address + "/metrics")
	if out := checkMetrics(t, page); strings.Contains(out, "error while linting") {
		t.Errorf("promtool check metrics: %s", out)
	}
}
