package api

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPagesAreShown(t *testing.T) {
	get := func(path string) (int, string, string) {
		w := httptest.NewRecorder()
		serveDocs(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Header().Get("Location"), w.Body.String()
	}
	code, _, body := get("/docs/runbooks/ecs-cpu.md")
	if code != 200 || !strings.Contains(body, "<title>ECSCPUUtilizationHigh: CPU utilization</title>") || !strings.Contains(body, "<h2 ") {
		t.Errorf("a runbook: %d %s", code, body)
	}
	if _, _, body := get("/docs/aliyun-account.md"); !strings.Contains(body, `id="events"`) {
		t.Errorf("a page with anchors: %s", body)
	}
	if _, _, body := get("/docs/runbooks/README.md"); !strings.Contains(body, "<table>") || !strings.Contains(body, `<a href="ecs-cpu.md">`) {
		t.Errorf("the list of runbooks: %s", body)
	}
	for from, want := range map[string]string{"/docs/": "runbooks/README.md", "/docs/runbooks/": "README.md"} {
		if code, to, _ := get(from); code != 302 || to != want {
			t.Errorf("%s: %d %s", from, code, to)
		}
	}
	for _, path := range []string{"/docs/none.md", "/docs/docs.go", "/docs/../go.mod", "/docs/%2e%2e/go.mod", "/docs/adr", "/docs//etc/passwd"} {
		if code, _, body := get(path); code != 404 || strings.Contains(body, "module") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}
