//go:build services

package services

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
)

// fastRows are the contract's rows for ports and web sites, a second apart
// instead of a minute.
const fastRows = `
groups:
- name: fast
  interval: 1s
  rules:
  - {alert: PortDown, expr: probe_tcp_code != 0, consecutive: 3, labels: {severity: high}, contract: {row: port-down, literal: "每分钟检测一次, 连续三次!=0"}}
  - {alert: WebsiteFailed, expr: probe_http_code != 0, consecutive: 3, labels: {severity: disaster}, contract: {row: website-failed, literal: "每分钟检测一次, 连续三次!=0"}}
`

// nginx serves one page at an address.
func nginx(t *testing.T, address string) *process {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/nginx.conf", fmt.Sprintf(`
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server { listen %[2]s; location / { default_type text/html; return 200 "open for business"; } }
}
`, dir, address))
	p := launch(t, dir, "nginx", "-p", dir, "-c", dir+"/nginx.conf", "-e", "stderr")
	apptest.Until(t, "nginx serves", func() bool { code, _ := apptest.Get("http://" + address); return code == http.StatusOK })
	return p
}

// A real web server stops and comes back: port and site fire, people are told,
// both resolve.
func TestNginxStopsAndComesBack(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	web := nginx(t, address)
	s := watch(t, fmt.Sprintf(`
rules: {packs: [], files: [rules.yml]}
ingest: {listen: ""}
customers:
- name: acme
  probes:
    targets:
    - {name: port, tcp: "%[1]s", interval: 1s}
    - {name: shop, url: "http://%[1]s/", interval: 1s, http: {expect_body: "open for business"}}
`, address), map[string]string{"rules.yml": fastRows})
	apptest.Until(t, "both probed", func() bool {
		_, body := apptest.Get(s.URL() + `/api/v1/query?query=probe_tcp_code==0+or+probe_http_code==0`)
		return strings.Count(body, `"metric"`) == 2
	})
	if list := s.incidents(t, ""); len(list) != 0 {
		t.Fatalf("incidents of a good server: %+v", list)
	}

	web.stop()
	apptest.Until(t, "two incidents", func() bool { return len(s.incidents(t, "open=true")) == 2 })
	rows := map[string]string{}
	for _, i := range s.incidents(t, "") {
		rows[i.ContractRow] = i.Identity.Get("instance")
	}
	if rows["port-down"] != "port" || rows["website-failed"] != "shop" {
		t.Errorf("incidents of the rows and targets %v", rows)
	}
	told := func(status string) func() bool {
		return func() bool {
			seen := map[string]bool{}
			for _, m := range s.tickets.Messages() {
				for _, a := range m.Alerts {
					if a.Status == status {
						seen[a.Labels["alertname"]] = true
					}
				}
			}
			return len(seen) == 2
		}
	}
	apptest.Until(t, "both told", told("firing"))

	nginx(t, address)
	apptest.Until(t, "both resolved", func() bool { return len(s.incidents(t, "state="+string(incident.Resolved))) == 2 })
	apptest.Until(t, "both told to be good again", told("resolved"))
	if n := len(s.incidents(t, "")); n != 2 {
		t.Errorf("%d incidents, want 2", n)
	}
	s.tickets.OncePerKey(t)
}
