// Package apptest holds what the tests of the whole program share: a receiver
// of notifications that can refuse them, senders of samples, and waiting.
package apptest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. The machine may be busy.
const patience = 2 * time.Minute

// Until looks for something every few milliseconds and fails the test when it
// does not come.
func Until(t testing.TB, what string, look func() bool) {
	t.Helper()
	UntilWithin(t, patience, what, look)
}

// UntilWithin is Until for what takes longer.
func UntilWithin(t testing.TB, limit time.Duration, what string, look func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !look() {
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s", limit, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Message is one accepted Alertmanager webhook.
type Message struct {
	Key         string            // Idempotency-Key header
	Body        string            // as it came
	Version     string            `json:"version"`
	Status      string            `json:"status"`
	GroupLabels map[string]string `json:"groupLabels"`
	Alerts      []Alert           `json:"alerts"`
}

// Alert is one alert of a message.
type Alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// Receiver takes webhooks. With Answer it refuses them.
type Receiver struct {
	mu       sync.Mutex
	status   int
	refused  int
	accepted []Message
}

// Answer sets the status of further answers; 200 accepts.
func (r *Receiver) Answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	m := Message{Key: req.Header.Get("Idempotency-Key"), Body: string(body)}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status != 0 && r.status != http.StatusOK {
		r.refused++
		http.Error(w, "refused by the test", r.status)
		return
	}
	r.accepted = append(r.accepted, m)
}

// Messages returns what was accepted so far.
func (r *Receiver) Messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Message(nil), r.accepted...)
}

// Refused counts the refused attempts.
func (r *Receiver) Refused() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// OncePerKey fails the test when a message was accepted twice.
func (r *Receiver) OncePerKey(t testing.TB) {
	t.Helper()
	seen := map[string]bool{}
	for _, m := range r.Messages() {
		if m.Key == "" || seen[m.Key] {
			t.Errorf("message with the idempotency key %q was delivered twice or has none: %s", m.Key, m.Body)
		}
		seen[m.Key] = true
	}
}

// Get returns status and body of an address; 0 and the error when nobody answers.
func Get(address string) (int, string) {
	resp, err := http.Get(address)
	if err != nil {
		return 0, err.Error()
	}
	return answer(resp)
}

// Post posts a body and returns status and answer.
func Post(t testing.TB, address, contentType, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return answer(resp)
}

func answer(resp *http.Response) (int, string) {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// GetJSON decodes the answer of an address that must be 200.
func GetJSON(t testing.TB, address string, out any) {
	t.Helper()
	code, body := Get(address)
	if code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", address, code, body)
	}
	if err := json.Unmarshal([]byte(body), out); err != nil {
		t.Fatalf("GET %s: %v in %s", address, err, body)
	}
}

// Metric returns the value of a line of /metrics; the name includes the labels.
func Metric(t testing.TB, base, name string) float64 {
	t.Helper()
	code, body := Get(base + "/metrics")
	if code != http.StatusOK {
		t.Fatalf("GET /metrics: %d %s", code, body)
	}
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			var v float64
			if _, err := fmt.Sscan(rest, &v); err != nil {
				t.Fatalf("metric %s: %v", line, err)
			}
			return v
		}
	}
	return 0
}
