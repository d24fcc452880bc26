package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// idleTimeout is when the real service closes an idle connection.
const idleTimeout = 10 * time.Second

// Serve answers on l until ctx ends, then waits at most a second for running
// requests. It closes l. The error is nil after ctx ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{
		Handler:           s,
		IdleTimeout:       idleTimeout,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    maxQueryBytes,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		grace, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	}()
	err := server.Serve(l)
	cancel()
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ServeHTTP answers one API request. An outage of kind Reset ends it by a panic with
// http.ErrAbortHandler, which net/http takes for a cut connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, e := parseCall(w, r)
	c.requestID = newRequestID()
	var a action
	if e == nil {
		a, e = s.find(c)
	}
	if c.api == "" {
		c.api = "unreadable"
	}
	outage := s.outage(c)
	if outage != nil && outage.Kind.beforeWork() {
		s.record(c, outage.Kind.status(), outage.Kind.code())
		s.fail(w, r, c, outage)
		return
	}
	if outage != nil && outage.Kind == Slow {
		outage.sleep(w, r)
	}
	var body any
	if e == nil {
		body, e = s.perform(c, a, outage)
	}
	if e != nil {
		s.record(c, e.Status, e.Code)
		writeError(w, r.Host, c.requestID, e)
		return
	}
	s.record(c, http.StatusOK, "")
	s.answer(w, c, body, outage)
}

// perform runs the gateway's checks and then the action.
func (s *Server) perform(c *call, a action, outage *Outage) (any, *apiError) {
	if e := s.authenticate(c); e != nil {
		return nil, e
	}
	if e := s.throttle(c); e != nil {
		return nil, e
	}
	if e := s.limits.admit(c, a.metricQuery, s.now()); e != nil {
		return nil, e
	}
	if !c.key.allows(a.permission) {
		if !a.deniedEmpty {
			return nil, denied(c.product, a.permission)
		}
		c.empty = true
	}
	if outage != nil && outage.Kind == EmptyList {
		c.empty = true
	}
	return a.handle(c)
}

func denied(product, permission string) *apiError {
	if product == productCMS {
		return errorf(http.StatusForbidden, "AccessForbidden", "The user is not authorized: "+permission+".")
	}
	return errorf(http.StatusForbidden, "Forbidden.RAM", "User not authorized to operate on the specified resource, or this API doesn't support RAM.")
}

func (s *Server) record(c *call, status int, code string) {
	params := make(map[string]string, len(c.params))
	for name, value := range c.params {
		if name != "Signature" && name != "SecurityToken" {
			params[name] = value
		}
	}
	s.journal.record(Request{
		Time: s.wall(), API: c.api, Host: c.host, Region: c.region, KeyID: c.key.ID,
		Parameters: params, Permission: c.permission, Status: status, Code: code,
	})
}

// answer sends a success, spoilt as the outage says.
func (s *Server) answer(w http.ResponseWriter, c *call, body any, outage *Outage) {
	if outage == nil || outage.Kind == EmptyList {
		writeJSON(w, http.StatusOK, c.requestID, body)
		return
	}
	data, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeBytes(w, http.StatusOK, c.requestID, outage.Kind.spoil(data))
}
