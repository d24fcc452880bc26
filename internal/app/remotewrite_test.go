package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/exporters/exposition"
	"watchkeeper/internal/app"
	"watchkeeper/internal/app/apptest"
	"watchkeeper/internal/config"
	"watchkeeper/internal/sample"
)

// shopSite is a site that a test lets fail for some places.
type shopSite struct {
	*httptest.Server
	mu    sync.Mutex
	fails map[string]bool
	seen  map[string]int // failures that places saw
}

func newSite(t *testing.T) *shopSite {
	t.Helper()
	s := &shopSite{fails: map[string]bool{}, seen: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		place := r.Header.Get("X-Place")
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.fails[place] {
			s.seen[place]++
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shopSite) fail(places ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.seen = map[string]bool{}, map[string]int{}
	for _, p := range places {
		s.fails[p] = true
	}
}

// saw tells whether each place saw so many failures.
func (s *shopSite) saw(n int, places ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range places {
		if s.seen[p] < n {
			return false
		}
	}
	return true
}

// road is the address under which places reach the central server, whichever runs.
type road struct {
	*httptest.Server
	mu sync.Mutex
	to string // empty: nobody is there
}

func newRoad(t *testing.T) *road {
	t.Helper()
	r := &road{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		to := r.to
		r.mu.Unlock()
		if to == "" {
			http.Error(w, "nobody is here", http.StatusBadGateway)
			return
		}
		out := req.Clone(req.Context())
		out.RequestURI = ""
		var err error
		if out.URL, err = out.URL.Parse(to); err != nil {
			panic(err)
		}
		resp, err := http.DefaultClient.Do(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *road) lead(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
}

// placeConfig is a vantage point.
func placeConfig(t *testing.T, name string, site *shopSite, to *road) string {
	t.Helper()
	dir := files(t, map[string]string{
		"watchkeeper.yml": listeners + fmt.Sprintf(`
rules: {packs: []}
customers:
- name: shop
  probes:
    vantage: %s
    targets:
    - {name: shop, url: "%s", interval: 3s, http: {headers: {X-Place: %s}}}
  remote_write:
  - {name: central, url: "%s/api/v1/write", token_file: token}
`, name, site.URL, name, to.URL), "token": name + "-token-0123456789abcdef\n",
	})
	return filepath.Join(dir, "watchkeeper.yml")
}

// websiteRule is that of the pack vantage, with a shorter interval.
const websiteRule = `
groups:
- name: website
  interval: 3s
  rules:
  - alert: WebsiteFailed
    expr: |
      sum by (customer, product, instance, target) (probe_http_code offset 1s != bool 0)
      / clamp_max(count by (customer, product, instance, target) (last_over_time(probe_http_code[2m] offset 1s)), 2) >= 1
    consecutive: 3
    missing: hold
    max_gap: 10
    labels: {severity: disaster}
    annotations: {summary: "{{ $labels.target }}"}
`

// Three places look at a site and write to a central server, which judges 2 of 3.
// What they see while it is down, and while one of them is restarted, comes late and
// is judged at its own time.
func TestVantagePointsWriteToTheCentral(t *testing.T) {
	t.Parallel()
	site, to := newSite(t), newRoad(t)
	tickets, routing := hook(t)
	secrets := map[string]string{"rules.yml": websiteRule}
	senders := ""
	for _, p := range []string{"a", "b", "c"} {
		secrets[p+"-token"] = p + "-token-0123456789abcdef"
		senders += fmt.Sprintf("  - {name: place-%s, customer: shop, token_file: %s-token}\n", p, p)
	}
	secrets["watchkeeper.yml"] = listeners + "  senders:\n" + senders + "rules: {packs: [], files: [rules.yml]}\n" + routing
	central := filepath.Join(files(t, secrets), "watchkeeper.yml")
	s := serve(t, central)
	to.lead(s.IngestURL())

	place := map[string]*server{}
	conf := map[string]string{}
	for _, p := range []string{"a", "b", "c"} {
		conf[p] = placeConfig(t, p, site, to)
		place[p] = serve(t, conf[p])
	}
	apptest.UntilWithin(t, 2*time.Minute, "all places deliver", func() bool {
		return len(query(s, `last_over_time(probe_http_code{instance="shop"}[2m]) == 0`)) == 3
	})
	var list struct{ Sources []app.SourceStatus }
	_, body := apptest.Get(s.URL() + "/api/sources")
	if err := json.Unmarshal([]byte(body), &list.Sources); err != nil {
		_ = json.Unmarshal([]byte(body), &list)
	}
	found := false
	for _, src := range list.Sources {
		if src.Source == "push/place-a/probe/a/3s" {
			found = true
			if !src.Up || src.Current || time.Since(src.Watermark) > time.Minute {
				t.Errorf("facts did not arrive: %+v", src)
			}
		}
	}
	if !found {
		t.Errorf("the place's collector is no source of the central server: %s", body)
	}

	// One of three: no outage.
	site.fail("a")
	apptest.UntilWithin(t, 2*time.Minute, "place a sees failures", func() bool { return site.saw(4, "a") })
	apptest.UntilWithin(t, 2*time.Minute, "they arrive", func() bool {
		return len(query(s, `sum_over_time(probe_http_code{vantage="a"}[5m]) >= 4 * 5`)) == 1
	})
	if list := s.incidents("limit=10"); len(list) != 0 {
		t.Fatalf("one of three places raised %+v", list)
	}
	site.fail()
	apptest.UntilWithin(t, 2*time.Minute, "place a is well", func() bool {
		return len(query(s, `probe_http_code{vantage="a"} == 0`)) == 1
	})

	// Two of three, while nobody listens at the centre; one of them is restarted.
	to.lead("")
	s.stop()
	began := time.Now()
	site.fail("a", "b")
	apptest.UntilWithin(t, 2*time.Minute, "both see failures", func() bool { return site.saw(4, "a", "b") })
	place["a"].stop()
	place["a"] = serve(t, conf["a"])
	apptest.UntilWithin(t, 2*time.Minute, "both see more failures", func() bool { return site.saw(8, "a", "b") })
	site.fail()
	ended := time.Now()
	for _, p := range []string{"a", "b"} {
		apptest.UntilWithin(t, time.Minute, "place "+p+" keeps what it cannot deliver", func() bool {
			return sum(place[p], "watchkeeper_remotewrite_request_failures_total") > 0 && sum(place[p], "watchkeeper_remotewrite_queue_samples") > 0
		})
	}

	s = serve(t, central)
	to.lead(s.IngestURL())
	var d incident.Detail
	apptest.UntilWithin(t, 3*time.Minute, "the outage is an incident that is resolved", func() bool {
		list := s.incidents("limit=10")
		if len(list) != 1 || list[0].State != incident.Resolved {
			return false
		}
		apptest.GetJSON(t, fmt.Sprintf("%s/api/incidents/%d", s.URL(), list[0].ID), &d)
		return true
	})
	if at := d.StartedAt; at.Before(began.Add(-6*time.Second)) || at.After(ended) {
		t.Errorf("the incident began at %s, the outage lasted from %s to %s", at, began, ended)
	}
	apptest.UntilWithin(t, time.Minute, "somebody is told", func() bool { return len(tickets.Messages()) > 0 })
	for _, p := range []string{"a", "b", "c"} {
		apptest.UntilWithin(t, time.Minute, "everything of place "+p+" is delivered", func() bool {
			return sum(place[p], "watchkeeper_remotewrite_queue_samples") < 100 && sum(place[p], "watchkeeper_remotewrite_samples_lost_total") == 0 &&
				sum(place[p], "watchkeeper_remotewrite_requests_refused_total") == 0
		})
	}
	// Whatever the place holds, the central server holds.
	at := ended.Unix()
	const all = `sum by (vantage) (count_over_time(probe_http_code{instance="shop",vantage="%s"}[10m] @ %d))`
	for _, p := range []string{"a", "b", "c"} {
		want := value(place[p], fmt.Sprintf(all, p, at))
		apptest.UntilWithin(t, time.Minute, fmt.Sprintf("%s samples of place %s", want, p), func() bool { return value(s, fmt.Sprintf(all, p, at)) == want })
	}
}

// The exporter command sends what it shows, too, and goes on after a restart
// where it stopped.
func TestExporterWritesToTheCentral(t *testing.T) {
	t.Parallel()
	site, to := newSite(t), newRoad(t)
	conf := placeConfig(t, "a", site, to)
	run := func() (stop func()) {
		cfg, err := config.Load(conf)
		if err != nil {
			t.Fatal(err)
		}
		log := &logBuffer{}
		e, err := app.NewExporter(cfg, "127.0.0.1:0", exposition.DefaultConfig(), slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		stop = sync.OnceFunc(func() {
			cancel()
			if err := errors.Join(<-ended, e.Close()); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
		t.Cleanup(stop)
		apptest.UntilWithin(t, time.Minute, "nobody takes it", func() bool { return strings.Contains(log.String(), "remote write failed") })
		return stop
	}
	site.fail("a")
	stop := run()
	apptest.UntilWithin(t, time.Minute, "failures", func() bool { return site.saw(2, "a") })
	stop()
	site.fail()
	run()

	central := files(t, map[string]string{"watchkeeper.yml": listeners + "  senders: [{name: place-a, customer: shop, token_file: token}]\nrules: {packs: []}\n",
		"token": "a-token-0123456789abcdef"})
	s := serve(t, filepath.Join(central, "watchkeeper.yml"))
	to.lead(s.IngestURL())
	apptest.UntilWithin(t, 2*time.Minute, "what it saw before its restart, and what it sees now", func() bool {
		return len(query(s, `max_over_time(probe_http_code{vantage="a"}[5m]) > 0 and last_over_time(probe_http_code[5m]) == 0`)) == 1
	})
}

// A target that a place no longer looks at ends its alert at the central server.
func TestRemovedTargetEndsElsewhere(t *testing.T) {
	t.Parallel()
	site, to := newSite(t), newRoad(t)
	site.fail("a")
	central := files(t, map[string]string{
		"watchkeeper.yml": listeners + "  senders: [{name: place-a, customer: shop, token_file: token}]\nrules: {packs: [], files: [rules.yml]}\n",
		"rules.yml":       "groups: [{name: site, interval: 3s, rules: [{alert: SiteFailed, expr: probe_http_code != 0, consecutive: 1, missing: hold, max_gap: 1000, labels: {severity: high}, annotations: {summary: x}}]}]\n",
		"token":           "a-token-0123456789abcdef",
	})
	s := serve(t, filepath.Join(central, "watchkeeper.yml"))
	to.lead(s.IngestURL())
	conf := placeConfig(t, "a", site, to)
	place := serve(t, conf)
	apptest.UntilWithin(t, time.Minute, "an incident", func() bool {
		list := s.incidents("limit=10")
		return len(list) == 1 && list[0].State == incident.Firing
	})
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	write(t, conf, strings.Replace(string(text), "{name: shop, url", "{name: other, url", 1))
	site.fail()
	if err := place.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	apptest.UntilWithin(t, time.Minute, "the incident ended", func() bool {
		list := s.incidents("limit=10")
		return len(list) == 1 && list[0].State == incident.Ended
	})
}

// The rule that docs/exporters.md gives for a place that falls silent fires.
func TestSilentPlace(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/exporters.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rule, ok := strings.Cut(string(doc), "- name: places\n")
	rule, _, closed := strings.Cut(rule, "```")
	if !ok || !closed {
		t.Fatal("no rule in docs/exporters.md")
	}
	dir := files(t, map[string]string{
		"watchkeeper.yml": listeners + "  senders: [{name: hangzhou, customer: shop, token_file: token}, {name: beijing, customer: shop, token_file: token-2}]\nrules: {packs: [], files: [rules.yml]}\n",
		"rules.yml":       "groups:\n- name: places\n  interval: 1s\n" + rule, "token": shopToken, "token-2": erpToken,
	})
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))
	now := time.Now()
	for token, at := range map[string]time.Time{shopToken: now.Add(-15 * time.Minute), erpToken: now.Add(-2 * time.Minute)} {
		up := sample.Flatten(sample.Batch{Source: sample.Source{Name: "probe/x/1m"}, Ups: []sample.Up{{T: at.UnixMilli(), OK: true}}}, at)
		var points []apptest.Point
		for _, x := range up {
			points = append(points, apptest.Point{Series: x.Labels, T: x.T, V: x.V})
		}
		if code, body := apptest.WriteSections(t, s.IngestURL(), token, points...); code != http.StatusNoContent {
			t.Fatalf("%d %s", code, body)
		}
	}
	apptest.UntilWithin(t, time.Minute, "an incident", func() bool { return len(s.incidents("limit=10")) > 0 })
	if list := s.incidents("limit=10"); len(list) != 1 || list[0].Identity.Get("source") != "push/hangzhou/probe/x/1m" || list[0].Customer != "shop" {
		t.Errorf("incidents: %+v", list)
	}
}

// value is that of a query with one result.
func value(s *server, expr string) string {
	s.t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	apptest.GetJSON(s.t, s.URL()+"/api/v1/query?query="+strings.NewReplacer(" ", "%20", "[", "%5B", "]", "%5D", "{", "%7B", "}", "%7D", "\"", "%22", "@", "%40", "=", "%3D").Replace(expr), &answer)
	if len(answer.Data.Result) != 1 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}
