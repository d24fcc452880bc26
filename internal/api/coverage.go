package api

import (
	"context"
	"net/http"
)

// Coverage reports, as JSON can show it, whether every known resource is
// watched as the contract says. Customer, unless empty, is the only one reported.
type Coverage func(ctx context.Context, customer string) (any, error)

// serveCoverage answers GET /api/coverage, of one customer with ?customer=NAME.
// Holes are part of a good answer.
func serveCoverage(w http.ResponseWriter, r *http.Request, coverage Coverage) {
	report, err := coverage(r.Context(), r.URL.Query().Get("customer"))
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, report)
}
