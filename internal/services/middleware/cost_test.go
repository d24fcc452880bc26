//go:build services

package middleware

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/app/apptest"
	"watchkeeper/internal/cli"
	"watchkeeper/internal/services/ports"
)

// asCommand makes the test binary the program watchkeeper, with its arguments.
const asCommand = "WATCHKEEPER_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(cli.Run("test", os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// What the collectors of a host with ten middleware servers cost, in a process
// of their own: 'watchkeeper exporter'. An operation is one round: one check of
// everything. They are a second apart here and a minute apart as shipped.
//
//	go test -tags services -run '^$' -bench CollectorsOfAHost -benchtime 60x ./internal/services/middleware
func BenchmarkCollectorsOfAHost(b *testing.B) {
	config := write(b, filepath.Join(folder(b), "watchkeeper.yml"), hostWithTenServers(b))
	listen := "127.0.0.1:" + ports.Free(b)
	d := start(b, []string{asCommand + "=1"}, os.Args[0], "exporter", "--config", config, "--listen", listen, "--log-level", "warn")
	kinds := regexp.MustCompile(`(?m)^(nginx|apache|phpfpm|mysql|pg|redis|memcached|zookeeper|rabbitmq|tomcat|host)_\w*uptime\w*[{ ]`)
	var page string
	eventually(b, 2*time.Minute, "every server's series", func() error {
		var code int
		if code, page = apptest.Get("http://" + listen + "/metrics"); code != http.StatusOK {
			return fmt.Errorf("status %d", code)
		}
		found := map[string]bool{}
		for _, m := range kinds.FindAllStringSubmatch(page, -1) {
			found[m[1]] = true
		}
		if len(found) < 10 {
			return fmt.Errorf("found %v", found)
		}
		return nil
	})
	p, err := procfs.NewProc(d.cmd.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	time.Sleep(10 * time.Second) // after which caches are filled
	before, began := cpuSeconds(b, p), time.Now()
	b.ResetTimer()
	time.Sleep(time.Duration(b.N) * time.Second)
	b.StopTimer()
	perRound := (cpuSeconds(b, p) - before) / time.Since(began).Seconds()
	status, err := p.NewStatus()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op") // the time that passes is not what is asked for
	b.ReportMetric(perRound*1000, "cpu-ms/round")
	b.ReportMetric(100*perRound/60, "%core-at-1m")
	b.ReportMetric(float64(status.VmRSS)/(1<<20), "rss-MiB")
	b.ReportMetric(float64(status.VmHWM)/(1<<20), "peak-MiB")
	b.ReportMetric(float64(strings.Count(page, "\n")-strings.Count(page, "\n#")), "series")
}

func cpuSeconds(b *testing.B, p procfs.Proc) float64 {
	b.Helper()
	s, err := p.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return s.CPUTime()
}

// hostWithTenServers starts ten servers and returns the configuration that
// watches them and this host, every second.
func hostWithTenServers(b *testing.B) string {
	b.Helper()
	nginxDir, nginxPort := folder(b, "tmp"), ports.Free(b)
	startNginx(b, nginxDir, nginxPort, "1")
	apacheDir, apachePort := folder(b, "html/deflated"), ports.Free(b)
	startApache(b, apacheDir, apachePort)
	fpm := ports.Free(b)
	startFPM(b, folder(b, "tmp"), ports.Free(b), fpm, ports.Free(b))
	db := newMariaDB(b, "1", ports.Free(b))
	db.sql(b, `CREATE USER 'watchkeeper'@'127.0.0.1' IDENTIFIED BY 'wk-mysql-pass'; GRANT SLAVE MONITOR ON *.* TO 'watchkeeper'@'127.0.0.1'`)
	pg := newPrimary(b)
	redisPort, memcachedPort, zooPort := ports.Free(b), ports.Free(b), ports.Free(b)
	startRedis(b, redisPort)
	startMemcached(b, memcachedPort)
	startZooKeeper(b, folder(b, "data"), zooPort, "")
	mq := newRabbitMQ(b, "")
	mq.start(b, "")
	cat := newTomcat(b)
	cat.start(b)
	password := func(plain string) string { return servertest.PasswordFile(b, plain) }
	return fmt.Sprintf(strings.ReplaceAll(`
data_dir: %q
customers:
- name: acme
  host: {interval: 1s}
  processes: {interval: 1s, processes: [{name: nginx, command: nginx}, {name: mariadb, command: mariadbd}]}
  middleware:
    nginx: [{name: web, url: "http://127.0.0.1:%s/nginx_status", pid_file: %q, EVERY}]
    apache: [{name: web, url: "http://127.0.0.1:%s/server-status", pid_file: %q, EVERY}]
    phpfpm: [{name: www, fastcgi: "127.0.0.1:%s", path: /fpm-status, EVERY}]
    mysql: [{name: db, address: "127.0.0.1:%s", username: watchkeeper, password_file: %q, EVERY}]
    postgresql: [{name: db, address: "127.0.0.1:%s", username: watchkeeper, password_file: %q, EVERY}]
    redis: [{name: cache, address: "127.0.0.1:%s", password_file: %q, EVERY}]
    memcached: [{name: cache, address: "127.0.0.1:%s", EVERY}]
    zookeeper: [{name: zoo, address: "127.0.0.1:%s", EVERY}]
    rabbitmq: [{name: mq, url: "http://127.0.0.1:%s", username: admin, password_file: %q, EVERY}]
    tomcat: [{name: app, url: %q, username: mon, password_file: %q, EVERY}]
`, "EVERY", "interval: 1s, timeout: 800ms"), folder(b), nginxPort, filepath.Join(nginxDir, "nginx.pid"), apachePort, filepath.Join(apacheDir, "httpd.pid"), fpm,
		db.port, password("wk-mysql-pass"), pg.port, password("s3cr3t/pass+word"), redisPort, password(redisPassword), memcachedPort, zooPort,
		mq.api, password("wk-admin-pass"), cat.url("/manager"), password("wk-tomcat-pass"))
}
