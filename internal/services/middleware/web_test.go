//go:build services

package middleware

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/apache"
	"watchkeeper/exporters/middleware/nginx"
	"watchkeeper/exporters/middleware/phpfpm"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/services/ports"
)

const nginxConf = `
daemon off; pid DIR/nginx.pid; error_log DIR/error.log; worker_processes 1;
USER
events { worker_connections 128; }
http {
  access_log off;
  client_body_temp_path DIR/tmp/b; proxy_temp_path DIR/tmp/p; fastcgi_temp_path DIR/tmp/f;
  uwsgi_temp_path DIR/tmp/u; scgi_temp_path DIR/tmp/s;
  server {
    listen 127.0.0.1:PORT; root DIR;
    location = /nginx_status { stub_status; }
    location = /closed { auth_basic "x"; auth_basic_user_file DIR/users; stub_status; }
    location = /fpm-status { include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME $fastcgi_script_name; fastcgi_pass 127.0.0.1:FPM; }
  }
}
`

// asUser is what a daemon's configuration needs when it is started as root.
func asUser(line string) string {
	if os.Getuid() == 0 {
		return line
	}
	return ""
}

func startNginx(t testing.TB, dir, port, fpm string) *daemon {
	conf := write(t, filepath.Join(dir, "nginx.conf"), nginxConf, "DIR", dir, "PORT", port, "FPM", fpm, "USER", asUser("user www-data;"))
	write(t, filepath.Join(dir, "users"), "mon:{PLAIN}right\n")
	return start(t, nil, "nginx", "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", conf)
}

func TestNginx(t *testing.T) {
	t.Parallel()
	dir, port := folder(t, "tmp"), ports.Free(t)
	url := "http://127.0.0.1:" + port
	cfg := nginx.Config{Settings: server.Settings{Name: "web-1"}, HTTP: server.HTTP{URL: url + "/nginx_status"}, PIDFile: filepath.Join(dir, "nginx.pid")}
	c := must(nginx.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
	d := startNginx(t, dir, port, "1")
	answers(t, d, c)

	page := get(t, url+"/nginx_status")
	v := values(t, c)
	m := regexp.MustCompile(`(\d+) (\d+) (\d+)`).FindStringSubmatch(page)
	near(t, v, "nginx_connections_accepted_total", number(t, m[1]), 1)
	near(t, v, "nginx_connections_handled_total", number(t, m[2]), 1)
	near(t, v, "nginx_requests_total", number(t, m[3]), 1)
	near(t, v, "nginx_connections_active", 1, 1)
	near(t, v, "nginx_uptime_seconds", 1, 120)

	j := newJudge(t)
	j.at = now().Add(-time.Minute)
	j.check(t, c)
	j.want(t, "just started", "nginx-restarted")
	d.kill()
	fails(t, c, server.ReasonConnect)
	d = startNginx(t, dir, port, "1")
	answers(t, d, c)
	j.check(t, c)
	j.want(t, "started again", "nginx-restarted")

	// Without the pid file the restart shows in the counter of connections.
	cfg.PIDFile = ""
	remote := must(nginx.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
	j = newJudge(t)
	for range 5 {
		j.check(t, remote)
	}
	j.want(t, "no restart", "!nginx-restarted")
	d.kill()
	d = startNginx(t, dir, port, "1")
	answers(t, d, remote)
	j.check(t, remote)
	j.want(t, "restarted", "nginx-restarted")

	for name, want := range map[string]string{"wrong": server.ReasonAuth, "right": ""} {
		closed := nginx.Config{Settings: cfg.Settings, HTTP: server.HTTP{URL: url + "/closed", Credentials: server.Credentials{
			Username: "mon", PasswordFile: servertest.PasswordFile(t, name)}}}
		cc := must(nginx.New("acme", closed, metrics.NewSet(), servertest.Log))(t)
		if want != "" {
			fails(t, cc, want)
		} else {
			values(t, cc)
		}
	}
	cfg.URL = url + "/nginx.conf" // a page, but not the one
	fails(t, must(nginx.New("acme", cfg, metrics.NewSet(), servertest.Log))(t), server.ReasonFormat)
	cfg.URL = strings.Replace(url, "http:", "https:", 1)
	fails(t, must(nginx.New("acme", cfg, metrics.NewSet(), servertest.Log))(t), server.ReasonTLS)
}

func get(t testing.TB, url string) string {
	t.Helper()
	return client(t, nil, "curl", "-sfm", "120", url)
}

const apacheConf = `
ServerRoot DIR
ServerName localhost
Listen 127.0.0.1:PORT
PidFile DIR/httpd.pid
ErrorLog DIR/error.log
LoadModule mpm_event_module MODULES/mod_mpm_event.so
LoadModule authz_core_module MODULES/mod_authz_core.so
LoadModule status_module MODULES/mod_status.so
LoadModule filter_module MODULES/mod_filter.so
LoadModule deflate_module MODULES/mod_deflate.so
USER
ExtendedStatus On
ServerLimit 1
StartServers 1
ThreadsPerChild 64
MaxRequestWorkers 64
DocumentRoot DIR/html
DeflateCompressionLevel 9
<Location /deflated>
  SetOutputFilter DEFLATE
</Location>
<Directory DIR/html>
  Require all granted
</Directory>
<Location /server-status>
  SetHandler server-status
  Require all granted
</Location>
<Location /closed>
  SetHandler server-status
  Require all denied
</Location>
`

func startApache(t testing.TB, dir, port string) *daemon {
	t.Helper()
	conf := write(t, filepath.Join(dir, "httpd.conf"), apacheConf, "DIR", dir, "PORT", port,
		"MODULES", "/usr/lib/apache2/modules", "USER", asUser("User www-data\nGroup www-data"))
	return start(t, nil, "/usr/sbin/apache2", "-DFOREGROUND", "-f", conf)
}

func TestApache(t *testing.T) {
	t.Parallel()
	dir, port := folder(t, "html"), ports.Free(t)
	url := "http://127.0.0.1:" + port
	write(t, filepath.Join(dir, "html", "index.html"), strings.Repeat("ok ", 100_000))
	begin := func() *daemon { return startApache(t, dir, port) }
	cfg := apache.Config{Settings: server.Settings{Name: "web-1"}, HTTP: server.HTTP{URL: url + "/server-status"}, PIDFile: filepath.Join(dir, "httpd.pid")}
	c := must(apache.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
	d := begin()
	answers(t, d, c)

	page := get(t, url+"/server-status?auto")
	v := values(t, c)
	for series, field := range map[string]string{
		"apache_accesses_total": "Total Accesses", "apache_uptime_seconds": "ServerUptimeSeconds", `apache_workers{state="idle"}`: "IdleWorkers",
		"apache_processes": "Processes", `apache_workers{state="busy"}`: "BusyWorkers",
	} {
		m := regexp.MustCompile(`(?m)^` + field + `: (\S+)`).FindStringSubmatch(page)
		if m == nil {
			t.Fatalf("no %s in\n%s", field, page)
		}
		near(t, v, series, number(t, m[1]), 30)
	}

	j := newJudge(t)
	j.at = now().Add(-time.Minute)
	j.check(t, c)
	j.want(t, "just started, idle", "apache-restarted", "!apache-cpu")
	// The share of CPU grows with the work and is never more than all cores.
	eventually(t, patience, "the share of CPU under load", func() error {
		hammer(t, url+"/", 1500*time.Millisecond)
		p := values(t, c)["apache_cpu_used_percent"]
		if p > 100 {
			t.Fatalf("apache_cpu_used_percent is %v", p)
		}
		if p <= 0 {
			return fmt.Errorf("%v", p)
		}
		return nil
	})
	d.kill()
	fails(t, c, server.ReasonConnect)
	d = begin()
	answers(t, d, c)
	if v := values(t, c); v["apache_uptime_seconds"] > 60 {
		t.Errorf("uptime %v after a restart", v["apache_uptime_seconds"])
	}
	cfg.URL = url + "/closed"
	fails(t, must(apache.New("acme", cfg, metrics.NewSet(), servertest.Log))(t), server.ReasonDenied)
}

// hammer fetches a page as fast as it can.
func hammer(t testing.TB, url string, long time.Duration) {
	t.Helper()
	for began := time.Now(); time.Since(began) < long; {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
}

const fpmConf = `
[global]
daemonize = no
pid = DIR/fpm.pid
error_log = DIR/error.log
[www]
listen = 127.0.0.1:PORT
listen.allowed_clients = 127.0.0.1
USER
pm = static
pm.max_children = 1
pm.status_path = /fpm-status
pm.status_listen = 127.0.0.1:STATUS
[burst]
listen = DIR/burst.sock
listen.mode = 0666
USER
pm = dynamic
pm.start_servers = 1
pm.min_spare_servers = 1
pm.max_spare_servers = 1
pm.max_children = 2
pm.status_path = /fpm-status
pm.status_listen = 127.0.0.1:BURST
`

func startFPM(t testing.TB, dir, port, status, burst string) *daemon {
	t.Helper()
	conf := write(t, filepath.Join(dir, "fpm.conf"), fpmConf, "DIR", dir, "PORT", port, "STATUS", status, "BURST", burst, "USER", asUser("user = www-data\ngroup = www-data"))
	return start(t, nil, "php-fpm8.2", "-F", "-y", conf)
}

func TestPHPFPM(t *testing.T) {
	t.Parallel()
	dir, port, status, burst, web := folder(t, "tmp"), ports.Free(t), ports.Free(t), ports.Free(t), ports.Free(t)
	write(t, filepath.Join(dir, "sleep.php"), `<?php sleep(600); echo "ok";`)
	build := func(cfg phpfpm.Config) *server.Collector {
		cfg.Name = "www"
		return must(phpfpm.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
	}
	// pm.status_listen answers even while every process of the pool is busy.
	direct := build(phpfpm.Config{FastCGI: "127.0.0.1:" + status, Path: "/fpm-status"})
	d := startFPM(t, dir, port, status, burst)
	answers(t, d, direct)
	throughNginx := build(phpfpm.Config{HTTP: server.HTTP{URL: "http://127.0.0.1:" + web + "/fpm-status"}})
	answers(t, startNginx(t, dir, web, status), throughNginx)

	cgi := func(address, script, query string) string {
		return client(t, []string{"SCRIPT_NAME=" + script, "SCRIPT_FILENAME=" + script, "QUERY_STRING=" + query, "REQUEST_METHOD=GET"},
			"cgi-fcgi", "-bind", "-connect", address)
	}
	page := cgi("127.0.0.1:"+status, "/fpm-status", "")
	for _, c := range []*server.Collector{direct, throughNginx} {
		v := values(t, c)
		for series, field := range map[string]string{
			`phpfpm_listen_queue{pool="www"}`: "listen queue", `phpfpm_max_children_reached_total{pool="www"}`: "max children reached",
			`phpfpm_processes{pool="www",state="idle"}`: "idle processes", `phpfpm_listen_queue_length{pool="www"}`: "listen queue len",
		} {
			m := regexp.MustCompile(`(?m)^` + field + `:\s+(\d+)`).FindStringSubmatch(page)
			if m == nil {
				t.Fatalf("no %q in\n%s", field, page)
			}
			near(t, v, series, number(t, m[1]), 0)
		}
		near(t, v, `phpfpm_uptime_seconds{pool="www"}`, 0, 120)
	}

	j := newJudge(t)
	j.check(t, direct)
	j.want(t, "idle", "!php-waiting", "!php-max-children")
	// One process, three requests: two wait.
	script := filepath.Join(dir, "sleep.php")
	release := occupy(t, "127.0.0.1:"+port, script, 3)
	eventually(t, patience, "a queue", func() error {
		if values(t, direct)[`phpfpm_listen_queue{pool="www"}`] == 0 {
			return errNotYet
		}
		return nil
	})
	j.check(t, direct)
	j.want(t, "one process, three requests", "php-waiting")
	release()

	// A pool that would like more processes than it may have; the growth of the
	// counter within five minutes breaches, and no longer.
	c := build(phpfpm.Config{FastCGI: "127.0.0.1:" + burst, Path: "/fpm-status"})
	j = newJudge(t)
	for range 6 {
		j.check(t, c)
	}
	j.want(t, "before", "!php-max-children")
	release = occupy(t, "unix:"+filepath.Join(dir, "burst.sock"), script, 6)
	eventually(t, patience, "the limit", func() error {
		if values(t, c)[`phpfpm_max_children_reached_total{pool="burst"}`] == 0 {
			return errNotYet
		}
		return nil
	})
	j.check(t, c)
	j.want(t, "limit reached", "php-max-children")
	release()
	for range 6 {
		j.check(t, c)
	}
	j.want(t, "five minutes later", "!php-max-children")

	d.kill()
	fails(t, direct, server.ReasonConnect)
	fails(t, throughNginx, server.ReasonStatus) // the web server says 502
}

// occupy sends n requests for a script that takes its time and returns what
// closes the connections.
func occupy(t testing.TB, address, script string, n int) (release func()) {
	t.Helper()
	network := "tcp"
	if rest, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", rest
	}
	var conns []net.Conn
	for range n {
		c, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(request(script)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	return func() {
		for _, c := range conns {
			c.Close()
		}
	}
}

// request is a FastCGI request with short parameters.
func request(script string) []byte {
	var params []byte
	for _, p := range [][2]string{{"SCRIPT_NAME", script}, {"SCRIPT_FILENAME", script}, {"REQUEST_METHOD", "GET"}} {
		params = append(params, byte(len(p[0])), byte(len(p[1])))
		params = append(append(params, p[0]...), p[1]...)
	}
	record := func(kind byte, content []byte) []byte {
		return append([]byte{1, kind, 0, 1, byte(len(content) >> 8), byte(len(content)), 0, 0}, content...)
	}
	var b []byte
	for _, r := range [][]byte{record(1, []byte{0, 1, 0, 0, 0, 0, 0, 0}), record(4, params), record(4, nil), record(5, nil)} {
		b = append(b, r...)
	}
	return b
}
