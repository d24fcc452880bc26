package cli

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"watchkeeper/internal/app/apptest"
)

// The exporter shows what its collectors and its scrapes deliver, with the
// customer, and stops when it is told.
func TestExporter(t *testing.T) {
	t.Parallel()
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintln(w, `requests_total{customer="evil"} 7`)
	}))
	defer theirs.Close()
	dir := folder(t, map[string]string{"watchkeeper.yml": fmt.Sprintf(`
customers:
- name: acme
  host: {interval: 1s, instance: web-1}
  scrape_configs:
  - {job_name: app, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{targets: [%q]}]}
`, strings.TrimPrefix(theirs.URL, "http://"))})
	d := launch(t, dir, "exporter", "--config", "watchkeeper.yml", "--listen", "127.0.0.1:0")
	var page string
	apptest.Until(t, "both are shown", func() bool {
		_, page = apptest.Get(d.url + "/metrics")
		return strings.Contains(page, "requests_total{") && strings.Contains(page, "host_load1_per_core{")
	})
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatalf("not the text format: %v in\n%s", err, page)
	}
	if f := families["host_load1_per_core"]; f.GetHelp() == "" || f.GetType().String() != "GAUGE" || f.GetMetric()[0].GetTimestampMs() < time.Now().Add(-time.Minute).UnixMilli() {
		t.Errorf("host_load1_per_core: %v", f)
	}
	for _, want := range []string{
		`requests_total{customer="acme",exported_customer="evil",`, `watchkeeper_exporter_source_up{customer="acme",source="host/web-1"} 1`,
		"watchkeeper_exporters_collections_total{collector=\"host\"}",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	if code, body := apptest.Get(d.url + "/-/healthy"); code != http.StatusOK {
		t.Errorf("health: %d %s", code, body)
	}

	// A reload takes a host's other name; with a mistake everything stays.
	write(t, filepath.Join(dir, "watchkeeper.yml"), "customers: [{name: acme, host: {interval: 1s, instance: web-2}}]\n")
	reload := func(says string) {
		t.Helper()
		if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		apptest.Until(t, says, func() bool { return strings.Contains(d.logged(), says) })
	}
	reload("configuration reloaded")
	apptest.Until(t, "the new name", func() bool {
		_, page = apptest.Get(d.url + "/metrics")
		return strings.Contains(page, `instance="web-2"`)
	})
	write(t, filepath.Join(dir, "watchkeeper.yml"), "customers: [{name: acme, hosts: {}}]\n")
	reload("nothing was changed")

	http.DefaultClient.CloseIdleConnections()
	if code := d.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d: %s", code, d.logged())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("an exporter writes nothing; in its folder are %v, %v", entries, err)
	}
}

// Wrong flags are usage errors that say what to do.
func TestExporterUsage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--listen", "0.0.0.0:9372"}, "--listen: others can reach 0.0.0.0:9372"},
		{[]string{"--stale-after", "1ms"}, "--stale-after: 1ms is shorter than a second"},
		{[]string{"--max-series", "0"}, "--max-series: must be at least 1"},
		{[]string{"--log-level", "loud"}, "--log-level"},
		{[]string{"--config", "missing.yml"}, "missing.yml"},
	} {
		var stderr bytes.Buffer
		if code := Run("test", append([]string{"exporter"}, test.args...), &stderr, &stderr); code != exitFailed || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%v: exit code %d, %s; want %q", test.args, code, &stderr, test.want)
		}
	}
}
