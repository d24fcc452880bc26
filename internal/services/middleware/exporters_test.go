//go:build services

package middleware

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"watchkeeper/internal/app/apptest"
	"watchkeeper/internal/services/ports"
)

// exporter is a real exporter of somebody else's that a job scrapes.
type exporter struct {
	product, instance string
	address           string
}

// scraping starts a server of ours that scrapes exporters and judges their
// figures by the contract's rows, put into its terms.
func scraping(t *testing.T, exporters ...exporter) *wholePath {
	t.Helper()
	var jobs strings.Builder
	for i, e := range exporters {
		every := paceOf("contract/"+e.product+".yml").Milliseconds() / 2
		fmt.Fprintf(&jobs, "  - {job_name: exporter-%d, scrape_interval: %dms, scrape_timeout: %[2]dms, static_configs: [{targets: [%q], labels: {product: %s}}], relabel_configs: [{target_label: instance, replacement: %s}]}\n",
			i, every, e.address, e.product, e.instance)
	}
	return &wholePath{Server: apptest.Serve(t, "ingest: {listen: \"\"}\nrules: {packs: [], files: [\"rules-*.yml\"]}\ncustomers:\n- name: acme\n  scrape_configs:\n"+jobs.String(), fastPack(t)),
		found: make(map[string]bool)}
}

// until waits for the value of a query.
func (p *wholePath) until(t *testing.T, query string, want float64) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("%s to be %v", query, want), func() error {
		if v := p.query(t, query); len(v) != 1 || v[0] != want {
			time.Sleep(200 * time.Millisecond)
			return fmt.Errorf("%v", v)
		}
		return nil
	})
}

func TestMySQLExporter(t *testing.T) {
	t.Parallel()
	primary, replica := newMariaDB(t, "1", ports.Free(t)), newMariaDB(t, "2", ports.Free(t))
	replicate(t, primary, replica)
	listen := "127.0.0.1:" + ports.Free(t)
	start(t, []string{"DATA_SOURCE_NAME=watchkeeper:wk-mysql-pass@(127.0.0.1:" + replica.port + ")/"},
		"prometheus-mysqld-exporter", "--web.listen-address="+listen, "--collect.slave_status")
	p := scraping(t, exporter{"mysql", "db-2", listen})
	p.until(t, `mysql_replica_running{instance="db-2",product="mysql"}`, 1)
	p.good(t, "mysql_replica_lag_seconds", "db-2", "mysql-replica-lag")
	replica.sql(t, "STOP SLAVE SQL_THREAD")
	p.fires(t, "mysql-replica-broken", "db-2", nil)
	replica.sql(t, "START SLAVE SQL_THREAD")
	p.recovers(t, "mysql-replica-broken", "db-2")

	// A second source, which MariaDB names by connection, is a channel of its own.
	nobody := &mariaDB{port: ports.Free(t)}
	replica.sql(t, source(nobody, "'stock'", "127.0.0.1"))
	p.until(t, `mysql_replica_running{instance="db-2",channel="stock"}`, 0)
	p.until(t, `mysql_replica_running{instance="db-2",channel=""}`, 1)
}

func TestNginxExporter(t *testing.T) {
	t.Parallel()
	dir, port := folder(t, "tmp"), ports.Free(t)
	d := startNginx(t, dir, port, "1")
	listen := "127.0.0.1:" + ports.Free(t)
	start(t, nil, "prometheus-nginx-exporter", "-nginx.scrape-uri=http://127.0.0.1:"+port+"/nginx_status", "-nginx.retries=100", "-nginx.retry-interval=1s", "-web.listen-address="+listen)
	p := scraping(t, exporter{"nginx", "web-1", listen})
	// The exporter keeps one connection open; others come and go.
	eventually(t, patience, "some connections", func() error {
		if v := p.query(t, `nginx_connections_accepted_total{instance="web-1"}`); len(v) == 1 && v[0] < 20 {
			dial(t, port).Close()
		}
		if v := p.query(t, `nginx_connections_accepted_total{instance="web-1"}`); len(v) != 1 || v[0] < 10 {
			time.Sleep(200 * time.Millisecond)
			return fmt.Errorf("%v", v)
		}
		return nil
	})
	p.calm(t, "nginx-restarted", "web-1")
	d.kill()
	startNginx(t, dir, port, "1")
	p.fires(t, "nginx-restarted", "web-1", nil)
}

func TestApacheExporter(t *testing.T) {
	t.Parallel()
	dir, port := folder(t, "html"), ports.Free(t)
	d := startApache(t, dir, port)
	listen := "127.0.0.1:" + ports.Free(t)
	start(t, nil, "prometheus-apache-exporter", "--scrape_uri=http://127.0.0.1:"+port+"/server-status?auto", "--telemetry.address="+listen)
	p := scraping(t, exporter{"apache", "web-1", listen})
	r := restart{"apache-restarted", "web-1", "apache_uptime_seconds", pace}
	n := r.matures(t, p)
	d.kill()
	startApache(t, dir, port)
	r.once(t, p, n, nil)
}

func TestRabbitMQPlugin(t *testing.T) {
	t.Parallel()
	r := newRabbitMQ(t, "")
	listen := ports.Free(t)
	for _, v := range r.env {
		if file, ok := strings.CutPrefix(v, "RABBITMQ_ENABLED_PLUGINS_FILE="); ok {
			write(t, file, "[rabbitmq_management,rabbitmq_prometheus].")
			conf := filepath.Join(filepath.Dir(file), "rabbitmq.conf")
			b, err := os.ReadFile(conf)
			if err != nil {
				t.Fatal(err)
			}
			write(t, conf, string(b)+"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = "+listen+"\n")
		}
	}
	r.start(t, "")
	p := scraping(t, exporter{"rabbitmq", "mq", "127.0.0.1:" + listen})
	node := fmt.Sprintf(`{instance="mq",node="wk%s@localhost"}`, r.port)
	p.until(t, "count(rabbitmq_file_descriptors_used"+node+" / rabbitmq_file_descriptors_limit)", 1)
	p.until(t, "count(rabbitmq_sockets_used"+node+" / rabbitmq_sockets_limit)", 1)
	p.until(t, `count(rabbitmq_erlang_processes_used{instance="mq"} / rabbitmq_erlang_processes_limit)`, 1)
	p.until(t, "rabbitmq_memory_limit_bytes"+node, 256e6)
	p.calm(t, "rabbitmq-health", "mq")
	r.ctl(t, "set_disk_free_limit", "900000000000000")
	p.fires(t, "rabbitmq-disk", "mq", nil)
	p.fires(t, "rabbitmq-health", "mq", nil)
	r.ctl(t, "set_disk_free_limit", "50MB")
	p.recovers(t, "rabbitmq-disk", "mq")
	p.recovers(t, "rabbitmq-health", "mq")
	r.ctl(t, "set_vm_memory_high_watermark", "absolute", "20MB")
	p.fires(t, "rabbitmq-memory", "mq", nil)
}

func TestRedisExporter(t *testing.T) {
	t.Parallel()
	port, listen := ports.Free(t), "127.0.0.1:"+ports.Free(t)
	startRedis(t, port, "--maxclients", "77")
	start(t, nil, "prometheus-redis-exporter", "-web.listen-address="+listen, "-redis.addr=redis://127.0.0.1:"+port, "-redis.password="+redisPassword)
	p := scraping(t, exporter{"redis", "cache", listen})
	p.until(t, `redis_clients_max{instance="cache",product="redis",job=""}`, 77)
	// What both call by one name is there once, with the exporter's labels.
	p.until(t, `count(redis_connected_clients{instance="cache"})`, 1)
}
