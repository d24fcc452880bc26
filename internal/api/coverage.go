package api

import (
	"context"
	"errors"
	"net/http"
)

// Coverage reports, as JSON can show it, whether every known resource is
// watched as the contract says. Customer, unless empty, is the only one reported;
// ErrNotFound when nothing is known of it.
type Coverage func(ctx context.Context, customer string) (any, error)

// serveCoverage answers GET /api/coverage, of one customer with ?customer=NAME.
// Holes are part of a good answer.
func serveCoverage(w http.ResponseWriter, r *http.Request, coverage Coverage) {
	report, err := coverage(r.Context(), r.URL.Query().Get("customer"))
	if errors.Is(err, ErrNotFound) {
		problem(w, http.StatusNotFound, err)
		return
	}
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, report)
}
