package mongodb

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/auth"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"watchkeeper/exporters/middleware/server"
)

// placeholder is what the driver takes for the server's address; line knows the
// real one.
const placeholder = "server:27017"

// line makes the connections of one check. The driver looks at the server over
// one of its own before it runs a command, and tells only by an event why it
// cannot.
type line struct {
	check   context.Context
	ctx     context.Context // of the check, and ended when it has failed; the driver's own would outlive it
	fail    context.CancelCauseFunc
	address string
	tls     *tls.Config // nil without TLS

	mu     sync.Mutex
	failed bool
	broken error // why a connection broke first
}

// watched notes why reading failed: the driver, which closes what it cannot read
// from, may take its own closing for the reason.
type watched struct {
	*server.Conn
	line *line
}

func (w watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.line.note(err)
	}
	return n, err
}

func (l *line) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil && !l.failed {
		l.broken = err
	}
}

// DialContext implements options.ContextDialer. TLS is made here, where a
// failure of it can be told from one of the connection.
func (l *line) DialContext(context.Context, string, string) (net.Conn, error) {
	plain, err := server.Dial(l.ctx, l.address)
	if err != nil {
		return nil, err
	}
	conn := watched{plain, l}
	if l.tls == nil {
		return conn, nil
	}
	session := tls.Client(conn, l.tls)
	if err := session.HandshakeContext(l.ctx); err != nil {
		_ = conn.Close()
		if isTimeout(err) {
			return nil, err
		}
		return nil, &server.Failure{Reason: server.ReasonTLS, Err: err}
	}
	return session, nil
}

// lookFailed ends the check when the driver's look at the server failed: it
// would wait for a better one.
func (l *line) lookFailed(err error) {
	if err == nil { // the driver has lost it
		err = server.Failed(server.ReasonFormat, "not a MongoDB server: no answer to hello that the driver understands")
	}
	l.mu.Lock()
	l.failed = true
	l.mu.Unlock()
	l.fail(err)
}

// explain finds why a check failed.
func (l *line) explain(err error) error {
	if err == nil {
		return nil
	}
	if isSelection(err) {
		// The driver waited for a look at the server that had failed.
		if cause := context.Cause(l.ctx); cause != nil {
			err = cause
		}
	}
	if f, ok := errors.AsType[*server.Failure](err); ok {
		return f
	}
	if refusal := refused(err); refusal != nil {
		return refusal
	}
	inner := innermost(err)
	if errors.Is(inner, context.Canceled) {
		inner = l.hungUp()
	}
	if f, ok := errors.AsType[*server.Failure](inner); ok {
		return f
	}
	if isTimeout(inner) || isNetwork(inner) {
		return closedWords(inner)
	}
	if _, ok := errors.AsType[*auth.Error](err); ok {
		return &server.Failure{Reason: server.ReasonAuth, Err: inner}
	}
	if text := err.Error(); strings.Contains(text, "wire version") {
		return server.Failed(server.ReasonStatus, "%s", strings.ReplaceAll(text, "server at "+placeholder, "the server"))
	}
	return server.Failed(server.ReasonFormat, "not a MongoDB server: %w", inner)
}

// hungUp is why the driver gave up when it names nothing but its own giving up.
func (l *line) hungUp() error {
	if err := l.check.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	return server.Failed(server.ReasonFormat, "not a MongoDB server: an answer that the driver does not understand")
}

func isSelection(err error) bool {
	_, selection := errors.AsType[topology.ServerSelectionError](err)
	return selection || errors.Is(err, context.Canceled)
}

// innermost leaves out of an error what the driver wraps around it.
func innermost(err error) error {
	for {
		c, ok := errors.AsType[topology.ConnectionError](err)
		if !ok || c.Wrapped == nil {
			return err
		}
		err = c.Wrapped
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

func isNetwork(err error) bool {
	_, op := errors.AsType[*net.OpError](err)
	return op || isClosed(err) || errors.Is(err, context.Canceled)
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// closedWords adds to an end without a word what MongoDB means by it.
func closedWords(err error) error {
	if !isClosed(err) {
		return err
	}
	return closed{err}
}

type closed struct{ error }

func (c closed) Error() string {
	return "the server closed the connection, as it does when only one side speaks TLS, or when it has too many connections: " + c.error.Error()
}

func (c closed) Unwrap() error { return c.error }

// The server's codes, by their names in its source.
const (
	codeUserNotFound         = 11
	codeUnauthorized         = 13
	codeAuthenticationFailed = 18
	codeMaxTimeExpired       = 50
	codeNoReplication        = 76
	codeReauthentication     = 391
)

// refused gives a refusal of the server its reason; nil when err is none.
func refused(err error) *server.Failure {
	code, text := int32(0), ""
	if c, ok := errors.AsType[mongo.CommandError](err); ok && c.Code != 0 {
		code, text = c.Code, c.Message
	} else if c, ok := errors.AsType[driver.Error](err); ok && c.Code != 0 {
		code, text = c.Code, c.Message
	} else {
		return nil
	}
	reason := server.ReasonStatus
	switch code {
	case codeAuthenticationFailed, codeUserNotFound, codeReauthentication:
		reason = server.ReasonAuth
	case codeUnauthorized:
		reason = server.ReasonDenied
	case codeMaxTimeExpired:
		reason = server.ReasonTimeout
	}
	return server.Failed(reason, "%s (code %d)", text, code)
}

// hasCode says whether err is the server's refusal with the given code.
func hasCode(err error, code int32) bool {
	c, ok := errors.AsType[mongo.CommandError](err)
	return ok && c.Code == code
}
