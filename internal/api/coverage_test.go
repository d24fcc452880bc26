package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestCoverage(t *testing.T) {
	f := func(query string, c Coverage, code int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		serveCoverage(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/coverage"+query, nil), c)
		if w.Code != code || w.Body.String() != body+"\n" {
			t.Errorf("%d %s, want %d %s", w.Code, w.Body, code, body)
		}
	}
	of := func(_ context.Context, customer string) (any, error) { return map[string]string{"of": customer}, nil }
	f("", of, 200, `{"of":""}`)
	f("?customer=acme", of, 200, `{"of":"acme"}`)
	f("?customer=acne", func(context.Context, string) (any, error) {
		return nil, Mark(errors.New("no such customer"), ErrNotFound)
	}, 404, `{"error":"no such customer"}`)
	f("", func(context.Context, string) (any, error) { return nil, errors.New("disk") }, 500, `{"error":"disk"}`)
}
