package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestCoverage(t *testing.T) {
	f := func(c Coverage, code int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		serveCoverage(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/coverage", nil), c)
		if w.Code != code || w.Body.String() != body+"\n" {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, code, body)
		}
	}
	f(func(context.Context) (any, error) { return map[string]int{"holes": 2}, nil }, 200, `{"holes":2}`)
	f(func(context.Context) (any, error) { return nil, errors.New("disk") }, 500, `{"error":"disk"}`)
}
