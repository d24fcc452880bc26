package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"watchkeeper/internal/config"
)

// The longest of several intervals counts, each kind of probe for itself.
func TestIntervals(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "watchkeeper.yml")
	if err := os.WriteFile(file, []byte(`
customers:
- name: acme
  host: {interval: 2m}
  processes: {interval: 3m, processes: [{name: sshd, command: sshd}]}
  probes:
    targets: [{name: a, url: "http://127.0.0.1/"}, {name: b, url: "http://127.0.0.1/", interval: 5m}, {name: c, tcp: "127.0.0.1:25", interval: 1m}]
  middleware: {redis: [{name: cache, address: "127.0.0.1:6379", interval: 10m}]}
- name: beta
  host: {interval: 1m}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	of, err := Intervals(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for metric, want := range map[string]time.Duration{
		"host_load5": 2 * time.Minute, "probe_http_code": 5 * time.Minute, "probe_tcp_code": time.Minute, "process_state": 3 * time.Minute,
		"redis_clients_max": 10 * time.Minute, "probe_icmp_code": 0, "mysql_replica_lag_seconds": 0, "no_such_thing": 0, "aliyun_cdn_hit_ratio_percent": 0,
	} {
		if got, known := of(metric); got.Every != want || known != (want > 0) {
			t.Errorf("%s: %s, %v; want %s", metric, got.Every, known, want)
		}
	}
	for metric, want := range map[string]string{
		"host_load5": "the host of acme", "probe_http_code": `the probe "b" of acme`, "process_state": "the processes of acme", "redis_clients_max": "redis/cache of acme",
	} {
		if got, _ := of(metric); got.Source != want {
			t.Errorf("%s is from %q, want %q", metric, got.Source, want)
		}
	}
}
