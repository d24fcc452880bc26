//go:build services

package middleware

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/internal/services/ports"
)

// outlasting is longer than ten of a rule's minutes and than its no-data limit.
func outlasting(minute time.Duration) time.Duration { return 10*minute + 2*time.Second }

// restart is a server whose restarts are counted.
type restart struct {
	row, instance string
	uptime        string // series of the uptime
	minute        time.Duration
}

// matures waits until a server counts as started long ago and no incident says
// otherwise, and returns how often one has fired.
func (r restart) matures(t testing.TB, p *wholePath) int {
	t.Helper()
	eventually(t, patience, r.instance+" to run for ten of the rule's minutes", func() error {
		v := p.query(t, fmt.Sprintf("%s{instance=%q}", r.uptime, r.instance))
		if len(v) != 1 || v[0] < (11*r.minute).Seconds() {
			time.Sleep(200 * time.Millisecond)
			return fmt.Errorf("uptime %v", v)
		}
		return nil
	})
	p.calm(t, r.row, r.instance)
	return p.fired(t, r.row, r.instance)
}

// once waits for the incident of a restart, calls young, if there is any, while
// it stands, and checks that the restart has fired once and is good by itself.
func (r restart) once(t testing.TB, p *wholePath, before int, young func()) {
	t.Helper()
	p.fires(t, r.row, r.instance, nil)
	if young != nil {
		young()
	}
	if n := r.matures(t, p); n != before+1 {
		t.Errorf("%s fired %d times after one restart, want 1", r.instance, n-before)
	}
	p.recovers(t, r.row, r.instance)
}

func nginxVictim(t testing.TB) victim {
	dir, port := folder(t, "tmp"), ports.Free(t)
	r := restart{"nginx-restarted", "web-pid", "nginx_uptime_seconds", nginxPace}
	return victim{
		name: "nginx", watched: map[string][]string{"middleware.nginx": {fmt.Sprintf(`name: web-pid, url: "http://127.0.0.1:%s/nginx_status", pid_file: %q`, port, filepath.Join(dir, "nginx.pid"))}},
		provoke: func(t *testing.T, p *wholePath) {
			d := startNginx(t, dir, port, "1")
			n := r.matures(t, p)
			d.kill()
			d = startNginx(t, dir, port, "1")
			r.once(t, p, n, nil)
			d.kill()
			time.Sleep(outlasting(r.minute))
			startNginx(t, dir, port, "1")
			r.once(t, p, n+1, nil)
		},
	}
}

// nginxCounterVictim is on another host, as it were: only its page is read. It
// is down for longer than the rule looks back.
func nginxCounterVictim(t testing.TB) victim {
	dir, port := folder(t, "tmp"), ports.Free(t)
	return victim{
		name: "nginx by its counters", watched: map[string][]string{"middleware.nginx": {fmt.Sprintf(`name: web-page, url: "http://127.0.0.1:%s/nginx_status"`, port)}},
		provoke: func(t *testing.T, p *wholePath) {
			d := startNginx(t, dir, port, "1")
			for range 100 {
				get(t, "http://127.0.0.1:"+port+"/nginx_status")
			}
			eventually(t, patience, "a hundred connections", func() error {
				if v := p.query(t, `nginx_connections_accepted_total{instance="web-page"}`); len(v) != 1 || v[0] < 100 {
					return fmt.Errorf("%v", v)
				}
				return nil
			})
			p.good(t, "nginx_requests_total", "web-page", "nginx-restarted")
			d.kill()
			time.Sleep(60*nginxPace + 5*time.Second)
			startNginx(t, dir, port, "1")
			p.fires(t, "nginx-restarted", "web-page", nil)
			if n := p.fired(t, "nginx-restarted", "web-page"); n != 1 {
				t.Errorf("fired %d times after one restart", n)
			}
		},
	}
}

func apacheVictim(t testing.TB) victim {
	dir, port := folder(t, "html/deflated"), ports.Free(t)
	url := "http://127.0.0.1:" + port
	r := restart{"apache-restarted", "apache-1", "apache_uptime_seconds", pace}
	return victim{
		name: "apache",
		// Of a host with one core, so that the load need not take the whole machine.
		watched: map[string][]string{"middleware.apache": {fmt.Sprintf(`name: apache-1, url: "%s/server-status", cores: 1`, url)}},
		provoke: func(t *testing.T, p *wholePath) {
			d := startApache(t, dir, port)
			n := r.matures(t, p)
			d.kill()
			time.Sleep(outlasting(pace))
			startApache(t, dir, port)
			r.once(t, p, n, nil)
		},
		busy: func(t *testing.T, p *wholePath) {
			write(t, filepath.Join(dir, "html/deflated/index.txt"), strings.Repeat("what is told to everybody costs little. ", 50_000))
			startApache(t, dir, port)
			var clients sync.WaitGroup
			stop := make(chan struct{})
			for range 16 {
				clients.Go(func() { fetchDeflated(url+"/deflated/index.txt", stop) })
			}
			p.fires(t, "apache-cpu", "apache-1", nil)
			close(stop)
			clients.Wait()
		},
	}
}

// fetchDeflated fetches a page again and again.
func fetchDeflated(url string, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return
		}
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			time.Sleep(100 * time.Millisecond) // not started yet
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

func phpVictim(t testing.TB) victim {
	dir, port, status, burst := folder(t, "tmp"), ports.Free(t), ports.Free(t), ports.Free(t)
	script := write(t, filepath.Join(dir, "sleep.php"), `<?php sleep(600); echo "ok";`)
	nap := write(t, filepath.Join(dir, "nap.php"), `<?php sleep(3); echo "ok";`)
	entry := `name: %s, fastcgi: "127.0.0.1:%s", path: /fpm-status`
	return victim{
		name: "php-fpm", watched: map[string][]string{"middleware.phpfpm": {fmt.Sprintf(entry, "pool-www", status), fmt.Sprintf(entry, "pool-burst", burst)}},
		provoke: func(t *testing.T, p *wholePath) {
			d := startFPM(t, dir, port, status, burst)
			p.good(t, "phpfpm_listen_queue", "pool-www", "php-waiting")
			p.good(t, "phpfpm_max_children_reached_total", "pool-burst", "php-max-children")
			release := occupy(t, "127.0.0.1:"+port, script, 5)
			p.fires(t, "php-waiting", "pool-www", nil)
			release()
			// The limit is counted once while all are busy, and again when they have
			// been idle in between.
			var begun time.Time
			p.fires(t, "php-max-children", "pool-burst", func() {
				if time.Since(begun) > 3*pace {
					release = occupy(t, "unix:"+filepath.Join(dir, "burst.sock"), nap, 6)
					defer release()
					begun = time.Now()
					time.Sleep(pace)
				}
			})
			d.kill()
			startFPM(t, dir, port, status, burst)
			p.recovers(t, "php-waiting", "pool-www")
			p.recovers(t, "php-max-children", "pool-burst")
		},
	}
}

// websiteVictim is a page and its port.
func websiteVictim(t testing.TB) victim {
	dir, port := folder(t, "tmp"), ports.Free(t)
	return victim{
		name: "website", watched: map[string][]string{targets: {fmt.Sprintf(`name: site, url: "http://127.0.0.1:%s/nginx.conf", http: {expect_body: "daemon off"}`, port)}},
		provoke: func(t *testing.T, p *wholePath) {
			d := startNginx(t, dir, port, "1")
			eventually(t, patience, "the site", func() error {
				if v := p.query(t, `probe_http_code{instance="site"} == 0`); len(v) != 1 {
					return errNotYet
				}
				return nil
			})
			n := p.fired(t, "website-failed", "site")
			d.kill()
			p.fires(t, "website-failed", "site", nil)
			startNginx(t, dir, port, "1")
			p.recovers(t, "website-failed", "site")
			if m := p.fired(t, "website-failed", "site"); m != n+1 {
				t.Errorf("fired %d times in one outage", m-n)
			}
		},
	}
}
