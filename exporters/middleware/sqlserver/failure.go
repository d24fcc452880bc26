package sqlserver

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	mssql "github.com/microsoft/go-mssqldb"

	"watchkeeper/exporters/middleware/server"
)

// line is the connection of one check.
type line struct {
	address, host string
	conn          *server.Conn // nil until it stands
	err           error        // why it does not
}

// HostName makes the driver leave finding the address to DialContext.
func (l *line) HostName() string { return l.host }

// DialContext implements mssql.Dialer.
func (l *line) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if l.conn != nil {
		l.err = server.Failed(server.ReasonStatus, "the server sends its clients to another one; give that one's address")
		return nil, l.err
	}
	c, err := server.Dial(ctx, l.address)
	if err != nil {
		l.err = err
		return nil, err
	}
	l.conn = c
	return c, nil
}

// explain finds why a check failed. The driver has a type for what the server
// says, none for its own refusals, and it hides why a connection broke.
func (l *line) explain(err error) error {
	if err == nil {
		return nil
	}
	if refusal := refused(err); refusal != nil {
		return refusal
	}
	if f, ok := errors.AsType[*server.Failure](err); ok {
		return f
	}
	if l.err != nil {
		return l.err
	}
	var cause error
	if l.conn != nil {
		cause = l.conn.Cause()
	}
	text := err.Error()
	inTLS := strings.Contains(text, "TLS Handshake") || strings.Contains(text, "server does not support encryption")
	switch {
	case isTimeout(cause):
		return cause
	case inTLS:
		return &server.Failure{Reason: server.ReasonTLS, Err: err}
	case cause != nil:
		return cause
	case isTimeout(err), errors.Is(err, context.Canceled):
		return err
	}
	return server.Failed(server.ReasonFormat, "not an SQL Server: %w", err)
}

func isTimeout(err error) bool {
	if err == nil {
		return false
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded)
}

// refused gives a refusal of the server its reason; nil when err is none.
func refused(err error) *server.Failure {
	refusal, ok := errors.AsType[mssql.Error](err)
	if !ok || refusal.Number == 0 {
		return nil
	}
	return server.Failed(reasonOf(refusal.Number), "%s (error %d)", refusal.Message, refusal.Number)
}

func reasonOf(number int32) string {
	switch number {
	case 18456, 18452, 18470, 18486, 18487, 18488: // wrong password, not trusted, disabled, locked, expired, must be changed
		return server.ReasonAuth
	case 229, 230, 262, 297, 300, 371, 916, 4060: // not permitted: object, column, statement, server's state, database
		return server.ReasonDenied
	case 1222: // lock request time-out
		return server.ReasonTimeout
	}
	return server.ReasonStatus
}

// fatal says that after err nothing more can be asked: the connection is gone,
// or the server ended the session (severity 20 and above).
func fatal(err error) bool {
	refusal, ok := errors.AsType[mssql.Error](err)
	_, stream := errors.AsType[mssql.StreamError](err)
	_, ended := errors.AsType[mssql.ServerError](err)
	return !ok || refusal.Class >= 20 || stream || ended || errors.Is(err, io.EOF)
}
