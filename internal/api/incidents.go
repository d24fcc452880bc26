package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"watchkeeper/alertrouter/incident"
)

// Incidents reads the incident store.
type Incidents interface {
	List(ctx context.Context, f incident.Filter) ([]incident.Incident, error)
	Get(ctx context.Context, id int64) (*incident.Detail, error)
}

// IncidentList is the answer to GET /api/incidents. Next is the parameter
// `before` of the next page; absent on the last one.
type IncidentList struct {
	Incidents []incident.Incident `json:"incidents"`
	Next      int64               `json:"next,omitempty"`
}

// Acknowledgement is the body of POST /api/incidents/{id}/acknowledge.
type Acknowledgement struct {
	User    string `json:"user"`    // who; required
	Comment string `json:"comment"` // may be empty
}

// AcknowledgedIncident is the answer to it: the incident, acknowledged by whom
// acknowledged_by names.
type AcknowledgedIncident struct {
	*incident.Detail
	Already bool `json:"already_acknowledged"` // it was before; the new one is in the event log
}

// defaultPage is how many incidents a list has when it names no limit.
const defaultPage = 100

func registerIncidents(mux *http.ServeMux, store Incidents, customers Customers, ack func(ctx context.Context, id int64, user, comment string) (incident.Acknowledgement, error)) {
	mux.HandleFunc("GET /api/incidents", func(w http.ResponseWriter, r *http.Request) {
		f, err := ParseIncidentFilter(r.URL.Query())
		if err != nil {
			problem(w, http.StatusBadRequest, err)
			return
		}
		if f.Customer != "" && !customers.known(w, r, f.Customer) {
			return
		}
		list, err := ListIncidents(r.Context(), store, f)
		if err != nil {
			problem(w, http.StatusInternalServerError, err)
			return
		}
		writeJSON(w, http.StatusOK, list)
	})
	mux.HandleFunc("GET /api/incidents/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, ok := incidentID(w, r)
		if !ok {
			return
		}
		d, err := store.Get(r.Context(), id)
		if err != nil {
			incidentProblem(w, id, err)
			return
		}
		writeJSON(w, http.StatusOK, d)
	})
	mux.HandleFunc("POST /api/incidents/{id}/acknowledge", func(w http.ResponseWriter, r *http.Request) {
		id, ok := incidentID(w, r)
		if !ok {
			return
		}
		var a Acknowledgement
		if err := decodeBody(w, r, &a); err != nil {
			problem(w, http.StatusBadRequest, err)
			return
		}
		if a.User == "" {
			problem(w, http.StatusBadRequest, errors.New("user: who acknowledges is needed"))
			return
		}
		counts, err := ack(r.Context(), id, a.User, a.Comment)
		if err != nil {
			incidentProblem(w, id, err)
			return
		}
		d, err := store.Get(r.Context(), id)
		if err != nil {
			incidentProblem(w, id, err)
			return
		}
		writeJSON(w, http.StatusOK, AcknowledgedIncident{d, counts.Already})
	})
}

func incidentID(w http.ResponseWriter, r *http.Request) (int64, bool) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id <= 0 {
		problem(w, http.StatusBadRequest, fmt.Errorf("incident id %q is no number above 0", r.PathValue("id")))
		return 0, false
	}
	return id, true
}

func incidentProblem(w http.ResponseWriter, id int64, err error) {
	switch {
	case errors.Is(err, incident.ErrNotFound):
		problem(w, http.StatusNotFound, fmt.Errorf("no incident %d", id))
	case errors.Is(err, incident.ErrInvalid):
		problem(w, http.StatusBadRequest, err)
	case errors.Is(err, incident.ErrClosed):
		problem(w, http.StatusConflict, err)
	default:
		problem(w, http.StatusInternalServerError, err)
	}
}

// ListIncidents reads one page.
func ListIncidents(ctx context.Context, store Incidents, f incident.Filter) (IncidentList, error) {
	list, err := store.List(ctx, f)
	if err != nil {
		return IncidentList{}, err
	}
	out := IncidentList{Incidents: list}
	if len(list) == 0 {
		out.Incidents = []incident.Incident{}
	}
	if len(list) > 0 && len(list) == f.Limit {
		out.Next = list[len(list)-1].ID
	}
	return out, nil
}

// ParseIncidentFilter reads the query parameters customer, state (repeatable), open,
// severity, rule, since (RFC 3339), before and limit.
func ParseIncidentFilter(q url.Values) (incident.Filter, error) {
	f := incident.Filter{Customer: q.Get("customer"), Severity: q.Get("severity"), RuleID: q.Get("rule"), Limit: defaultPage}
	for _, s := range q["state"] {
		switch st := incident.State(s); st {
		case incident.Firing, incident.NoData, incident.Resolved, incident.Ended:
			f.States = append(f.States, st)
		default:
			return f, fmt.Errorf("state: %q: want firing, no_data, resolved or ended", s)
		}
	}
	var err error
	if s := q.Get("open"); s != "" {
		if f.Open, err = strconv.ParseBool(s); err != nil {
			return f, fmt.Errorf("open: %q: want true or false", s)
		}
	}
	if s := q.Get("since"); s != "" {
		if f.Since, err = time.Parse(time.RFC3339, s); err != nil {
			return f, fmt.Errorf("since: %q: want a time like 2026-01-02T15:04:05Z", s)
		}
	}
	if s := q.Get("before"); s != "" {
		if f.Before, err = strconv.ParseInt(s, 10, 64); err != nil || f.Before < 1 {
			return f, fmt.Errorf("before: %q: want the `next` of a former answer", s)
		}
	}
	if s := q.Get("limit"); s != "" {
		if f.Limit, err = strconv.Atoi(s); err != nil || f.Limit < 1 || f.Limit > incident.MaxListed {
			return f, fmt.Errorf("limit: %q: want 1 to %d", s, incident.MaxListed)
		}
	}
	return f, nil
}

// decodeBody reads a JSON body strictly.
func decodeBody(w http.ResponseWriter, r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("body: more than one JSON value")
	}
	return nil
}
