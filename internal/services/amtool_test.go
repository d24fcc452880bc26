//go:build services

package services

import (
	"bytes"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/app/apptest"
)

// amtool reads alerts, and its silences mute what they match and are lifted again.
func TestAmtool(t *testing.T) {
	t.Parallel()
	s := watch(t, receiving+"rules: {packs: [], files: [rules.yml]}\n", map[string]string{"rules.yml": `
groups:
- name: queue
  interval: 1m
  rules: [{alert: QueueLong, expr: queue_length > 10, consecutive: 1, labels: {severity: high}, annotations: {summary: long}}]
`})
	breach := func(name string) {
		t.Helper()
		series := labels.FromStrings("__name__", "queue_length", "instance", name)
		if code, body := apptest.WriteV1(t, s.IngestURL(), token, apptest.Point{Series: series, T: time.Now().Add(-2 * time.Minute).UnixMilli(), V: 99}); code != http.StatusNoContent {
			t.Fatalf("write: %d %s", code, body)
		}
		apptest.Until(t, "incident of "+name, func() bool {
			for _, i := range s.incidents(t, "open=true") {
				if i.Identity.Get("instance") == name {
					return true
				}
			}
			return false
		})
	}
	am := func(args ...string) string {
		t.Helper()
		return called(t, "amtool", append([]string{"--alertmanager.url=" + s.URL() + "/alertmanager"}, args...)...)
	}
	told := func(name string) bool {
		for _, m := range s.tickets.Messages() {
			for _, a := range m.Alerts {
				if a.Labels["instance"] == name {
					return true
				}
			}
		}
		return false
	}

	breach("mail")
	apptest.Until(t, "mail is told", func() bool { return told("mail") })
	var warned bytes.Buffer
	query := exec.CommandContext(t.Context(), program(t, "amtool"), "--alertmanager.url="+s.URL()+"/alertmanager", "alert", "query")
	if query.Stderr = &warned; query.Run() != nil {
		t.Errorf("alert query fails: %s", &warned)
	}
	// It warns of every release of an Alertmanager but its own, and of nothing else here.
	for line := range strings.Lines(warned.String()) {
		if !strings.HasPrefix(line, "Warning: amtool version ") {
			t.Errorf("amtool warns: %s", line)
		}
	}
	if out := am("alert", "query"); !strings.Contains(out, "QueueLong") {
		t.Errorf("alert query:\n%s", out)
	}
	if out := am("alert", "query", "instance=other"); strings.Contains(out, "QueueLong") {
		t.Errorf("alert query of another:\n%s", out)
	}
	if out := am("alert", "query", "-o", "json", "instance=mail"); !strings.Contains(out, `"customer":"acme"`) {
		t.Errorf("alert query -o json:\n%s", out)
	}
	if out := am("config", "show"); !strings.Contains(out, "receiver: tickets") || strings.Contains(out, "127.0.0.1") {
		t.Errorf("config show must show the routes and hide the webhook's address:\n%s", out)
	}

	id := strings.TrimSpace(am("silence", "add", "instance=web", "--author=li.wei", "--comment=moving it", "--duration=1h"))
	if out := am("silence", "query"); !strings.Contains(out, id) || !strings.Contains(out, "moving it") {
		t.Errorf("silence query:\n%s", out)
	}
	breach("web")
	apptest.Until(t, "web is suppressed", func() bool { return strings.Contains(am("alert", "query", "--silenced", "instance=web"), "QueueLong") })
	if out := am("alert", "query", "instance=web"); strings.Contains(out, "QueueLong") {
		t.Errorf("alert query shows a silenced alert as active:\n%s", out)
	}
	breach("disk") // told after web would have been
	apptest.Until(t, "disk is told", func() bool { return told("disk") })
	if told("web") {
		t.Error("web was told although it is silenced")
	}
	am("silence", "expire", id)
	if out := am("silence", "query"); strings.Contains(out, id) {
		t.Errorf("silence query after expire:\n%s", out)
	}
	apptest.Until(t, "web is told after the silence ended", func() bool { return told("web") })
	s.tickets.OncePerKey(t)
}
