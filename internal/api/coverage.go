package api

import (
	"context"
	"net/http"
)

// Coverage reports, as JSON can show it, whether every known resource is
// watched as the contract says.
type Coverage func(ctx context.Context) (any, error)

// serveCoverage answers GET /api/coverage. Holes are part of a good answer.
func serveCoverage(w http.ResponseWriter, r *http.Request, coverage Coverage) {
	report, err := coverage(r.Context())
	if err != nil {
		problem(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, report)
}
