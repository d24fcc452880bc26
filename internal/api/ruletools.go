package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// RuleTools look back at what rules make of the stored samples. Each answer is
// JSON. Errors: ErrInvalid marks a wrong request, ErrNotFound an alert that no rule
// raises, ErrBusy that another such question is being answered.
type RuleTools interface {
	// Explain tells the checks of one alert; at zero means now.
	Explain(ctx context.Context, w io.Writer, alert string, at time.Time, checks int) error
	// Replay writes the settled log of a time as JSON lines.
	Replay(ctx context.Context, w io.Writer, q ReplayRequest) error
	// Diff tells which alerts two sets of rules judge differently.
	Diff(ctx context.Context, w io.Writer, q DiffRequest) error
}

// RuleFile is a rule file by its text.
type RuleFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// ReplayRequest is the body of POST /api/rules/replay.
type ReplayRequest struct {
	Rules []RuleFile `json:"rules"`
	From  time.Time  `json:"from"`
	To    time.Time  `json:"to"`
	Begin time.Time  `json:"begin,omitzero"` // state is built from here; zero: from the first stored sample
	// Customer, unless empty, is the only one whose alerts are answered.
	Customer string `json:"customer,omitempty"`
}

// DiffRequest is the body of POST /api/rules/diff.
type DiffRequest struct {
	Old   []RuleFile `json:"old"`
	New   []RuleFile `json:"new"`
	Since time.Time  `json:"since"`
	Until time.Time  `json:"until,omitzero"` // zero: now
	// Customer, unless empty, is the only one whose alerts are compared.
	Customer string `json:"customer,omitempty"`
}

// What RuleTools refuse.
var (
	ErrNotFound = errors.New("not found")
	ErrBusy     = errors.New("busy")
)

// maxChecksExplained bounds the checks of one answer.
const maxChecksExplained = 10_000

// maxRulesBody bounds the rule files of a request, in bytes.
const maxRulesBody = 32 << 20

func registerRuleTools(mux *http.ServeMux, tools RuleTools) {
	mux.HandleFunc("GET /api/rules/explain", func(w http.ResponseWriter, r *http.Request) {
		alert, at, checks, err := parseExplain(r)
		if err != nil {
			problem(w, http.StatusBadRequest, err)
			return
		}
		answer(w, "application/json", func(out io.Writer) error { return tools.Explain(r.Context(), out, alert, at, checks) })
	})
	mux.HandleFunc("POST /api/rules/replay", func(w http.ResponseWriter, r *http.Request) {
		var q ReplayRequest
		if decodeQuestion(w, r, &q) {
			answer(w, "application/jsonl", func(out io.Writer) error { return tools.Replay(r.Context(), out, q) })
		}
	})
	mux.HandleFunc("POST /api/rules/diff", func(w http.ResponseWriter, r *http.Request) {
		var q DiffRequest
		if decodeQuestion(w, r, &q) {
			answer(w, "application/json", func(out io.Writer) error { return tools.Diff(r.Context(), out, q) })
		}
	})
}

func parseExplain(r *http.Request) (alert string, at time.Time, checks int, err error) {
	q := r.URL.Query()
	if alert = q.Get("alert"); alert == "" {
		return "", at, 0, errors.New("alert: missing")
	}
	if s := q.Get("at"); s != "" {
		if at, err = time.Parse(time.RFC3339, s); err != nil {
			return "", at, 0, fmt.Errorf("at: %q is not a time in RFC 3339", s)
		}
	}
	checks = 20
	if s := q.Get("checks"); s != "" {
		if checks, err = strconv.Atoi(s); err != nil || checks < 1 || checks > maxChecksExplained {
			return "", at, 0, fmt.Errorf("checks: want 1 to %d", maxChecksExplained)
		}
	}
	return alert, at, checks, nil
}

func decodeQuestion(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRulesBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		problem(w, http.StatusBadRequest, fmt.Errorf("body: %w", err))
		return false
	}
	return true
}

// answer sends what fn writes; an error before its first byte gets a status of its
// own, one after it cuts the answer off.
func answer(w http.ResponseWriter, contentType string, fn func(io.Writer) error) {
	out := &firstByte{w: w, contentType: contentType}
	err := fn(out)
	switch {
	case err == nil:
		out.begin()
	case out.begun:
		panic(http.ErrAbortHandler)
	case errors.Is(err, ErrInvalid):
		problem(w, http.StatusBadRequest, err)
	case errors.Is(err, ErrNotFound):
		problem(w, http.StatusNotFound, err)
	case errors.Is(err, ErrBusy):
		problem(w, http.StatusServiceUnavailable, err)
	default:
		problem(w, http.StatusInternalServerError, err)
	}
}

// firstByte sets the content type when the answer begins.
type firstByte struct {
	w           http.ResponseWriter
	contentType string
	begun       bool
}

func (f *firstByte) begin() {
	if !f.begun {
		f.begun = true
		f.w.Header().Set("Content-Type", f.contentType)
	}
}

// Write implements io.Writer.
func (f *firstByte) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	f.begin()
	return f.w.Write(b)
}
