package dashboards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const token = "glsa_testtoken"

// grafana stands in for the parts of Grafana's HTTP API that Publish uses, with
// the paths, statuses and answers of the real one.
type grafana struct {
	mu         sync.Mutex
	folders    map[string]string
	sources    map[string]map[string]any
	dashboards map[string]map[string]any
	requests   []string
	// fail answers a request ("POST /api/folders") with a status instead.
	fail map[string]int
}

func newGrafana(t *testing.T) (*grafana, Config) {
	g := &grafana{folders: map[string]string{}, sources: map[string]map[string]any{}, dashboards: map[string]map[string]any{}, fail: map[string]int{}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	cfg := DefaultConfig()
	cfg.URL, cfg.Key = server.URL, token
	return g, cfg
}

func (g *grafana) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	call := r.Method + " " + r.URL.Path
	g.requests = append(g.requests, call)
	if r.Header.Get("Authorization") != "Bearer "+token {
		answer(w, 401, map[string]any{"message": "Invalid API key", "messageId": "api-key.invalid"})
		return
	}
	if status := g.fail[call]; status != 0 {
		answer(w, status, map[string]any{"message": "the token " + token + " was seen", "status": "version-mismatch"})
		return
	}
	var body map[string]any
	if r.Method != http.MethodGet && json.NewDecoder(r.Body).Decode(&body) != nil {
		answer(w, 400, map[string]any{"message": "bad request data"})
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/"), "/")
	switch {
	case parts[0] == "folders":
		g.folder(w, r.Method, parts, body)
	case parts[0] == "datasources":
		g.source(w, r.Method, parts, body)
	case call == "POST /api/dashboards/db":
		g.dashboard(w, body)
	default:
		answer(w, 404, map[string]any{"message": "Not found"})
	}
}

func (g *grafana) folder(w http.ResponseWriter, method string, parts []string, body map[string]any) {
	if method == http.MethodGet {
		title, there := g.folders[parts[1]]
		if !there {
			answer(w, 404, map[string]any{"message": "folder not found"})
			return
		}
		answer(w, 200, map[string]any{"id": 1, "uid": parts[1], "title": title})
		return
	}
	uid := body["uid"].(string)
	if _, there := g.folders[uid]; there {
		answer(w, 409, map[string]any{"message": "a folder with the same name already exists"})
		return
	}
	g.folders[uid] = body["title"].(string)
	answer(w, 200, map[string]any{"id": 1, "uid": uid, "title": body["title"]})
}

func (g *grafana) source(w http.ResponseWriter, method string, parts []string, body map[string]any) {
	switch method {
	case http.MethodGet, http.MethodPut:
		have, there := g.sources[parts[2]]
		if !there {
			answer(w, 404, map[string]any{"message": "Data source not found"})
			return
		}
		if method == http.MethodPut {
			body["id"] = have["id"]
			g.sources[parts[2]], have = body, body
		}
		answer(w, 200, have)
	case http.MethodPost:
		uid := body["uid"].(string)
		if _, there := g.sources[uid]; there {
			answer(w, 409, map[string]any{"message": "data source with the same name already exists"})
			return
		}
		body["id"] = 7
		g.sources[uid] = body
		answer(w, 200, map[string]any{"id": 7, "message": "Datasource added", "datasource": body})
	}
}

func (g *grafana) dashboard(w http.ResponseWriter, body map[string]any) {
	model := body["dashboard"].(map[string]any)
	uid := model["uid"].(string)
	have, there := g.dashboards[uid]
	if there && body["overwrite"] != true {
		answer(w, 412, map[string]any{"message": "The dashboard has been changed by someone else", "status": "version-mismatch"})
		return
	}
	if _, there := g.folders[fmt.Sprint(body["folderUid"])]; !there {
		answer(w, 400, map[string]any{"message": "folder not found"})
		return
	}
	version := 1.0
	if there {
		version = have["version"].(float64) + 1
	}
	model["version"] = version
	g.dashboards[uid] = model
	answer(w, 200, map[string]any{"id": 3, "uid": uid, "status": "success", "version": version, "slug": "x", "url": "/d/" + uid})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func TestPublishTwice(t *testing.T) {
	g, cfg := newGrafana(t)
	for round := 1.0; round <= 2; round++ {
		cfg.PrometheusURL = fmt.Sprintf("http://127.0.0.1:%d", 9000+int(round))
		done, err := Publish(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		want := Published{Folder: "watchkeeper", DataSource: "watchkeeper", Dashboards: map[string]string{"watchkeeper-customer": cfg.URL + "/d/watchkeeper-customer"}}
		if diff := cmp.Diff(want, done); diff != "" {
			t.Error(diff)
		}
		if got := g.dashboards["watchkeeper-customer"]["version"]; got != round {
			t.Errorf("version %v in round %v", got, round)
		}
		if got := g.sources["watchkeeper"]["url"]; got != cfg.PrometheusURL {
			t.Errorf("data source at %v, want %s", got, cfg.PrometheusURL)
		}
	}
	if len(g.folders) != 1 || len(g.sources) != 1 || len(g.dashboards) != len(All()) {
		t.Errorf("%d folders, %d sources, %d dashboards", len(g.folders), len(g.sources), len(g.dashboards))
	}
	want := []string{
		"GET /api/folders/watchkeeper", "POST /api/folders", "GET /api/datasources/uid/watchkeeper", "POST /api/datasources", "POST /api/dashboards/db",
		"GET /api/folders/watchkeeper", "GET /api/datasources/uid/watchkeeper", "PUT /api/datasources/uid/watchkeeper", "POST /api/dashboards/db",
	}
	if diff := cmp.Diff(want, g.requests); diff != "" {
		t.Error(diff)
	}
}

func TestPublishErrors(t *testing.T) {
	f := func(call string, status int, want error, text string) {
		t.Helper()
		g, cfg := newGrafana(t)
		if call == "key" {
			cfg.Key = "glsa_wrong"
		} else {
			g.fail[call] = status
		}
		_, err := Publish(t.Context(), cfg)
		if want != nil && !errors.Is(err, want) || err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s %d: %v", call, status, err)
			return
		}
		if strings.Contains(err.Error(), string(cfg.Key)) || strings.Contains(err.Error(), token) {
			t.Errorf("the error shows the token: %v", err)
		}
	}
	f("key", 401, ErrUnauthorized, `folder watchkeeper: grafana refuses the token: status 401, "Invalid API key"`)
	f("POST /api/datasources", 403, ErrForbidden, "data source watchkeeper")
	f("POST /api/dashboards/db", 412, ErrConflict, `dashboard watchkeeper-customer: grafana holds a conflicting version: status 412, "the token <secret> was seen"`)
	f("POST /api/folders", 409, ErrConflict, "folder watchkeeper")
	f("POST /api/dashboards/db", 500, nil, "status 500")
	f("POST /api/folders", 404, nil, "status 404: is http://127.0.0.1")
}

func TestPublishUnreachableAndCancelled(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	cfg := DefaultConfig()
	cfg.URL, cfg.Key = server.URL, token
	server.Close()
	if _, err := Publish(t.Context(), cfg); !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v", err)
	}
	_, cfg = newGrafana(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Publish(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestConfig(t *testing.T) {
	good := DefaultConfig()
	good.Key = token
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := good
		change(&c)
		err := c.Validate()
		if got := fmt.Sprint(err); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f("<nil>", func(*Config) {})
	f("url: not an http or https address", func(c *Config) { c.URL = "127.0.0.1:3000" })
	f("url: holds a user or password: use a service account token", func(c *Config) { c.URL = "http://admin:admin@127.0.0.1" })
	f("prometheus_url: not an http or https address", func(c *Config) { c.PrometheusURL = "" })
	f("key: no service account token given", func(c *Config) { c.Key = "" })
	f("timeout: not above zero", func(c *Config) { c.Timeout = 0 })
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s", good, good, good, good.Key), string(text)} {
		if strings.Contains(printed, token) {
			t.Errorf("the token prints: %s", printed)
		}
	}
}
