package kubernetes

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"watchkeeper/exporters/middleware/server/servertest"
)

// objects are a cluster's, by resource, as an API server holds them.
type objects map[string][]json.RawMessage

func recorded(t testing.TB) objects {
	t.Helper()
	var o objects
	if err := json.Unmarshal(servertest.Recorded(t, "cluster.json"), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// without leaves out the object of a name.
func (o objects) without(resource, name string) objects {
	less := make(objects)
	for r, items := range o {
		for _, item := range items {
			if r != resource || metaOf(item).Name != name {
				less[r] = append(less[r], item)
			}
		}
	}
	return less
}

func metaOf(item json.RawMessage) meta {
	var o struct {
		Metadata meta `json:"metadata"`
	}
	if err := json.Unmarshal(item, &o); err != nil {
		panic(err)
	}
	return o.Metadata
}

var kinds = map[string]string{
	"nodes": "api/v1 NodeList", "pods": "api/v1 PodList", "deployments": "apis/apps/v1 DeploymentList",
	"statefulsets": "apis/apps/v1 StatefulSetList", "daemonsets": "apis/apps/v1 DaemonSetList",
}

// apiServer stands in for an API server: it checks the bearer token, what the
// account may list, and answers lists in pages that may expire.
type apiServer struct {
	token string

	mu        sync.Mutex
	objects   objects         // guarded by mu, as are all below
	forbidden map[string]bool // by resource, or "namespace/resource"
	expire    int             // how many continue tokens are refused as too old
	pageSize  int             // the most it gives, whatever is asked for
	asked     []string
}

const token = "s3cr3t/pass+word" // which servertest looks for in errors

func newAPIServer(t testing.TB) *apiServer {
	t.Helper()
	return &apiServer{token: token, objects: recorded(t), forbidden: make(map[string]bool), pageSize: 500}
}

func (s *apiServer) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// start serves TLS and returns a configuration that reaches it.
func (s *apiServer) start(t testing.TB) Config {
	t.Helper()
	web := httptest.NewUnstartedServer(s)
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{URL: web.URL}
	cfg.Name, cfg.CAFile, cfg.TokenFile = "prod", ca, servertest.PasswordFile(t, token)
	return cfg
}

func status(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{},
		"status": "Failure", "message": message, "reason": reason, "code": code})
}

// ServeHTTP implements http.Handler.
func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		status(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
		return
	}
	if r.URL.Path == "/version" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"major":"1","minor":"32","gitVersion":"v1.32.1-aliyun.1","gitCommit":"f0f5","platform":"linux/amd64"}`))
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	resource, namespace := parts[len(parts)-1], ""
	prefix := strings.Join(parts[:len(parts)-1], "/")
	if i := strings.Index(prefix, "/namespaces/"); i > 0 {
		prefix, namespace = prefix[:i], prefix[i+len("/namespaces/"):]
	}
	group, kind, _ := strings.Cut(kinds[resource], " ")
	switch {
	case kind == "" || group != prefix:
		status(w, http.StatusNotFound, "NotFound", "the server could not find the requested resource")
	case s.forbidden[resource] || s.forbidden[namespace+"/"+resource]:
		status(w, http.StatusForbidden, "Forbidden", fmt.Sprintf(
			`%s is forbidden: User "system:serviceaccount:monitoring:watchkeeper" cannot list resource %q in API group "" at the cluster scope`, resource, resource))
	default:
		s.list(w, r, kind, resource, namespace)
	}
}

// list answers one page. A continue token names the object to begin with.
func (s *apiServer) list(w http.ResponseWriter, r *http.Request, kind, resource, namespace string) {
	var items []json.RawMessage
	for _, item := range s.objects[resource] {
		if namespace == "" || metaOf(item).Namespace == namespace {
			items = append(items, item)
		}
	}
	from := 0
	if c := r.URL.Query().Get("continue"); c != "" {
		if s.expire > 0 {
			s.expire--
			status(w, http.StatusGone, "Expired", "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.")
			return
		}
		text, _ := base64.StdEncoding.DecodeString(c)
		from, _ = strconv.Atoi(string(text))
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit <= 0 {
		status(w, http.StatusBadRequest, "BadRequest", "a list without limit")
		return
	}
	to := min(from+min(limit, s.pageSize), len(items))
	metadata := map[string]any{"resourceVersion": "48311"}
	if to < len(items) {
		metadata["continue"] = base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(to)))
		metadata["remainingItemCount"] = len(items) - to
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items[from:to]})
}
