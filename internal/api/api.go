// Package api serves HTTP on the API listener: Prometheus's query API over the
// store, our rules and alerts in Prometheus's shape, incidents, Alertmanager's
// API, remote write, health, reload and the server's own metrics.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/VictoriaMetrics/metrics"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"watchkeeper/alertrouter/incident"
)

// Deps are the parts that the API shows.
type Deps struct {
	Engine        QueryEngine
	Store         Queryable
	Admin         v1.TSDBAdminStats
	DataDir       string
	LookbackDelta time.Duration
	ListenAddress string
	Version       string
	Started       time.Time

	Rules     Rules
	Customers Customers
	Metadata  Metadata
	Incidents Incidents
	// Acknowledge notes that a person has taken an incident, and returns the acknowledgement that counts.
	Acknowledge func(ctx context.Context, id int64, user, comment string) (incident.Acknowledgement, error)
	// Sources returns the status of every source.
	Sources func() any
	// Scraped and Collectors are shown as targets.
	Scraped    Scraped
	Collectors func() []Collector
	Report     Report
	// RuleTools look back at rules over the stored samples.
	RuleTools RuleTools
	Coverage  Coverage

	Write        http.Handler // remote write
	Alertmanager http.Handler // serves /alertmanager/…
	// OutsideAlertmanagers are those that alerts of plain rules are sent to.
	OutsideAlertmanagers v1.AlertmanagerRetriever
	Metrics              func(io.Writer)
	Ready                func() error                // nil when every part runs
	Reload               func(context.Context) error // swaps the configuration fully or not at all
}

// maxBody bounds the body of a request to our own endpoints, in bytes. Remote
// write and Alertmanager's API have limits of their own.
const maxBody = 1 << 20

// New returns the handler of the API listener.
func New(d Deps, set *metrics.Set, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", newPrometheus(d, log))
	mux.Handle("POST /api/v1/write", d.Write)
	mux.HandleFunc("GET /api/v1/rules", func(w http.ResponseWriter, r *http.Request) { serveRules(w, r, d.Rules, d.Customers) })
	mux.HandleFunc("GET /api/v1/alerts", func(w http.ResponseWriter, r *http.Request) { serveAlerts(w, d.Rules) })
	mux.HandleFunc("GET /api/v1/metadata", func(w http.ResponseWriter, r *http.Request) { serveMetadata(w, r, d.Metadata) })
	mux.Handle("/alertmanager/", d.Alertmanager)
	registerIncidents(mux, d.Incidents, d.Customers, d.Acknowledge)
	registerRuleTools(mux, d.RuleTools)
	mux.HandleFunc("GET /api/coverage", func(w http.ResponseWriter, r *http.Request) { serveCoverage(w, r, d.Coverage) })
	mux.HandleFunc("POST /api/slo/report", func(w http.ResponseWriter, r *http.Request) { serveReport(w, r, d.Report) })
	mux.HandleFunc("GET /api/sources", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, d.Sources()) })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		d.Metrics(w)
	})
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "watchkeeper is healthy.\n") })
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := d.Ready(); err != nil {
			http.Error(w, "watchkeeper is not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "watchkeeper is ready.\n")
	})
	mux.HandleFunc("POST /-/reload", func(w http.ResponseWriter, r *http.Request) {
		if err := d.Reload(r.Context()); err != nil {
			http.Error(w, "nothing was changed: "+err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "reloaded\n")
	})
	mux.HandleFunc("GET /graph", serveGraph)
	mux.HandleFunc("GET "+DocsPath, serveDocs)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, index) })
	// A web page that somebody has open must not reload or acknowledge here.
	return counted(http.NewCrossOriginProtection().Handler(mux), set)
}

// serveGraph answers the links of Prometheus's kind in alerts that outside
// Alertmanagers and templates got: by what the expression yields now. The
// address is relative, for a proxy that puts a path before ours.
func serveGraph(w http.ResponseWriter, r *http.Request) {
	to := "."
	if expr := r.FormValue("g0.expr"); expr != "" {
		to = "api/v1/query?" + url.Values{"query": {expr}}.Encode()
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusFound)
}

const index = `watchkeeper

/api/v1/query?query=…            Prometheus's query API (Grafana, promtool query)
/api/v1/rules /api/v1/alerts     rules and alerts with their contract rows
/api/incidents                   incidents with their events and deliveries
/api/rules/explain?alert=…       why an alert did or did not fire, check by check
/api/sources                     sources, when each last delivered
/api/coverage                    resources and contract rows: watched, or why not
/alertmanager/api/v2             Alertmanager's API (amtool --alertmanager.url=…/alertmanager)
/docs/                           runbooks and the other pages
/metrics /-/healthy /-/ready     this server
`

// counted counts requests by status class.
func counted(h http.Handler, set *metrics.Set) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &statusWriter{ResponseWriter: w, code: http.StatusOK}
		h.ServeHTTP(s, r)
		set.GetOrCreateCounter(`watchkeeper_api_requests_total{code="` + string(rune('0'+s.code/100)) + `xx"}`).Inc()
	})
}

type statusWriter struct {
	http.ResponseWriter
	code int
}

func (s *statusWriter) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Flush passes streaming answers on.
func (s *statusWriter) Flush() {
	if f, ok := s.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client went away
}

// success is the envelope of Prometheus's API.
func success(w http.ResponseWriter, data any) {
	writeJSON(w, http.StatusOK, struct {
		Status string `json:"status"`
		Data   any    `json:"data"`
	}{"success", data})
}

// badData is Prometheus's answer to a wrong request.
func badData(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, struct {
		Status    string `json:"status"`
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}{"error", "bad_data", err.Error()})
}

// problem is the answer of our own endpoints to a request that failed.
func problem(w http.ResponseWriter, code int, err error) {
	writeJSON(w, code, map[string]string{"error": err.Error()})
}

// Report computes a contract's report for a cycle and writes it as json or
// table; file is the text of the contract's file. ErrInvalid marks a wrong one.
type Report func(ctx context.Context, w io.Writer, file, cycle, format string) error

// serveReport answers POST /api/slo/report?cycle=YYYY-MM&format=json|table,
// whose body is a contract file.
func serveReport(w http.ResponseWriter, r *http.Request, report Report) {
	file, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		problem(w, http.StatusBadRequest, err)
		return
	}
	q := r.URL.Query()
	format, contentType := q.Get("format"), "application/json"
	switch format {
	case "", "json":
	case "table":
		contentType = "text/plain; charset=utf-8"
	default:
		problem(w, http.StatusBadRequest, fmt.Errorf("format: %q: want json or table", format))
		return
	}
	var out bytes.Buffer
	switch err := report(r.Context(), &out, string(file), q.Get("cycle"), format); {
	case errors.Is(err, ErrInvalid):
		problem(w, http.StatusBadRequest, err)
	case err != nil:
		problem(w, http.StatusInternalServerError, err)
	default:
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(out.Bytes()) // the client went away
	}
}

// ErrInvalid says that the request is wrong; the answer is 400.
var ErrInvalid = errors.New("invalid request")

// marked is an error that is one of ErrInvalid, ErrNotFound and ErrBusy in words of its own.
type marked struct {
	error
	mark error
}

func (m marked) Unwrap() []error { return []error{m.error, m.mark} }

// Mark makes err one of ErrInvalid, ErrNotFound and ErrBusy. Its text stays as it is:
// the status of the answer says the rest.
func Mark(err, mark error) error { return marked{err, mark} }
