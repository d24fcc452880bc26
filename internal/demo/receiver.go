package demo

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// notification is an Alertmanager webhook message as the demo's receiver got it.
type notification struct {
	At      time.Time
	Key     string            // Idempotency-Key header
	Status  string            `json:"status"`
	GroupBy map[string]string `json:"groupLabels"`
	Alerts  []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
		EndsAt      time.Time         `json:"endsAt"`
	} `json:"alerts"`
}

// receiver is a small ticket system: it takes webhooks and remembers them,
// each idempotency key once.
type receiver struct {
	mu   sync.Mutex
	seen map[string]bool
	got  []notification
}

// maxMessage bounds a webhook's body, in bytes.
const maxMessage = 1 << 20

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		http.Error(w, "send a POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxMessage))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n := notification{At: time.Now(), Key: req.Header.Get("Idempotency-Key")}
	if err := json.Unmarshal(body, &n); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	if !r.seen[n.Key] {
		r.seen[n.Key] = true
		r.got = append(r.got, n)
	}
}

// messages returns what arrived so far.
func (r *receiver) messages() []notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]notification(nil), r.got...)
}

// website is the local web site that the demo probes.
func website(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, strings.TrimSpace(`
<!doctype html><title>Demo shop</title><h1>Demo shop</h1><p>open for business</p>`)+"\n")
}
