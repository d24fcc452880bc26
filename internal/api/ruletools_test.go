package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// answering is RuleTools that answer with a text and an error, and note what was asked.
type answering struct {
	text  string
	err   error
	asked string
}

func (a *answering) answer(w io.Writer, asked string) error {
	a.asked = asked
	_, err := io.WriteString(w, a.text)
	return errors.Join(err, a.err)
}

func (a *answering) Explain(_ context.Context, w io.Writer, alert string, at time.Time, checks int) error {
	return a.answer(w, fmt.Sprint(alert, " ", at.Format(time.RFC3339), " ", checks))
}

func (a *answering) Replay(_ context.Context, w io.Writer, q ReplayRequest) error {
	return a.answer(w, fmt.Sprint(q.Rules, " ", q.From.Format(time.RFC3339)))
}

func (a *answering) Diff(_ context.Context, w io.Writer, q DiffRequest) error {
	return a.answer(w, fmt.Sprint(q.Old, " ", q.New))
}

func TestRuleTools(t *testing.T) {
	ask := func(tools *answering, method, path, body string) *httptest.ResponseRecorder {
		mux := http.NewServeMux()
		registerRuleTools(mux, tools)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w
	}
	good := func(method, path, body, asked, contentType string) {
		t.Helper()
		tools := &answering{text: "[]"}
		w := ask(tools, method, path, body)
		if w.Code != http.StatusOK || w.Body.String() != "[]" || tools.asked != asked || w.Header().Get("Content-Type") != contentType {
			t.Errorf("%s %s: %d %q %q, asked %q, want %q", method, path, w.Code, w.Body, w.Header().Get("Content-Type"), tools.asked, asked)
		}
	}
	good("GET", "/api/rules/explain?alert=CPUHigh%7Bi%3D%22a%22%7D&at=2026-03-01T10:00:00Z&checks=3", "", `CPUHigh{i="a"} 2026-03-01T10:00:00Z 3`, "application/json")
	good("GET", "/api/rules/explain?alert=CPUHigh", "", "CPUHigh 0001-01-01T00:00:00Z 20", "application/json")
	good("POST", "/api/rules/replay", `{"rules":[{"name":"a.yml","text":"x"}],"from":"2026-03-01T10:00:00Z"}`, "[{a.yml x}] 2026-03-01T10:00:00Z", "application/jsonl")
	good("POST", "/api/rules/diff", `{"old":[{"name":"a","text":"1"}],"new":[{"name":"b","text":"2"}]}`, "[{a 1}] [{b 2}]", "application/json")

	bad := func(method, path, body string, err error, code int) {
		t.Helper()
		if w := ask(&answering{err: err}, method, path, body); w.Code != code || !strings.Contains(w.Body.String(), `{"error":`) {
			t.Errorf("%s %s %s: %d %s, want %d", method, path, body, w.Code, w.Body, code)
		}
	}
	bad("GET", "/api/rules/explain", "", nil, http.StatusBadRequest)
	bad("GET", "/api/rules/explain?alert=A&at=now", "", nil, http.StatusBadRequest)
	bad("GET", "/api/rules/explain?alert=A&checks=0", "", nil, http.StatusBadRequest)
	bad("POST", "/api/rules/replay", `{"rule":1}`, nil, http.StatusBadRequest)
	const path = "/api/rules/explain?alert=A"
	bad("GET", path, "", fmt.Errorf("%w: x", ErrInvalid), http.StatusBadRequest)
	bad("GET", path, "", fmt.Errorf("%w: x", ErrNotFound), http.StatusNotFound)
	bad("GET", path, "", fmt.Errorf("%w: x", ErrBusy), http.StatusServiceUnavailable)
	bad("GET", path, "", errors.New("disk"), http.StatusInternalServerError)
}

// An answer that breaks off in the middle must not look whole.
func TestRuleToolsAnswerBreaksOff(t *testing.T) {
	mux := http.NewServeMux()
	registerRuleTools(mux, &answering{text: "half", err: errors.New("disk")})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	resp, err := http.Post(srv.URL+"/api/rules/replay", "application/json", strings.NewReader(`{}`))
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err == nil {
		t.Error("the client takes half an answer for a whole one")
	}
}
