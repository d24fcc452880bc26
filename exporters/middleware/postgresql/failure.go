package postgresql

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"watchkeeper/exporters/middleware/server"
)

// line is the connection of one check.
type line struct {
	address string
	conn    *server.Conn // nil until it stands
	err     error        // why it does not
}

func (l *line) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if l.conn != nil {
		// The driver would send the request to cancel a statement. The server
		// cancels it by itself (statement_timeout).
		return nil, errors.New("one connection a check")
	}
	c, err := server.Dial(ctx, l.address)
	if err != nil {
		l.err = err
		return nil, err
	}
	l.conn = c
	return c, nil
}

// close ends the connection. On one that broke, the driver still waits for what
// may come.
func (l *line) close() {
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

// explain finds why a check failed. The driver has types for what the server
// says and for what the network does, none for its own refusals.
func (l *line) explain(err error) error {
	if err == nil {
		return nil
	}
	if refusal, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused(refusal)
	}
	if f, ok := errors.AsType[*server.Failure](err); ok {
		return f
	}
	if l.err != nil {
		return l.err
	}
	err = inner(err)
	if isNetwork(err) {
		return err
	}
	text := err.Error()
	switch {
	case strings.HasPrefix(text, "tls error: "), strings.Contains(text, "tls: "):
		return &server.Failure{Reason: server.ReasonTLS, Err: err}
	case strings.HasPrefix(text, "failed SASL auth: "), strings.HasPrefix(text, "failed GSS auth: "), strings.HasPrefix(text, "require_auth check failed: "):
		return &server.Failure{Reason: server.ReasonAuth, Err: err}
	}
	return server.Failed(server.ReasonFormat, "not a PostgreSQL server: %w", err)
}

func isNetwork(err error) bool {
	_, op := errors.AsType[*net.OpError](err)
	return op || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// inner leaves out of a log-in's error what the configuration tells: user,
// database and address, twice.
func inner(err error) error {
	c, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return err
	}
	err = c.Unwrap()
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all := joined.Unwrap()
		err = all[len(all)-1]
	}
	if attempt := errors.Unwrap(err); attempt != nil {
		return attempt
	}
	return err
}

// refused gives a refusal of the server its reason.
func refused(refusal *pgconn.PgError) *server.Failure {
	reason := server.ReasonStatus
	switch refusal.Code {
	case "28000", "28P01": // no such user, no entry for it and this host; wrong password
		reason = server.ReasonAuth
	case "42501":
		reason = server.ReasonDenied
	case "57014", "55P03": // statement_timeout, lock_timeout
		reason = server.ReasonTimeout
	}
	return &server.Failure{Reason: reason, Err: refusal}
}
