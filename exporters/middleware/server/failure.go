package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"unicode/utf8"
)

// Reasons why a server could not be read. Each failure has exactly one.
const (
	ReasonConfig   = "config"    // a file that the configuration names could not be read here
	ReasonDNS      = "dns"       // the host name has no address
	ReasonConnect  = "connect"   // nobody took the connection
	ReasonTLS      = "tls"       // no TLS session: certificate, name, protocol, or one side speaks plain text
	ReasonTimeout  = "timeout"   // connected or not: no full answer in time
	ReasonClosed   = "closed"    // the connection ended before the answer did
	ReasonAuth     = "auth"      // the server refuses the user or the password
	ReasonDenied   = "denied"    // the user or command is not allowed to read this
	ReasonStatus   = "status"    // the server answers that it cannot
	ReasonTooLarge = "too_large" // the answer exceeds its limit
	ReasonFormat   = "format"    // the answer is not what this product says
	ReasonOther    = "other"
)

// Reasons lists every reason, for the metrics that count them.
var Reasons = []string{ReasonConfig, ReasonDNS, ReasonConnect, ReasonTLS, ReasonTimeout, ReasonClosed,
	ReasonAuth, ReasonDenied, ReasonStatus, ReasonTooLarge, ReasonFormat, ReasonOther}

const maxFailureBytes = 300

// Failure is why a server could not be read.
type Failure struct {
	Reason string
	Err    error
}

// Failed makes a failure whose reason the caller knows.
func Failed(reason, format string, args ...any) *Failure {
	return &Failure{Reason: reason, Err: fmt.Errorf(format, args...)}
}

func (f *Failure) Error() string { return f.Reason + ": " + f.Err.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// without returns the failure with the secrets taken out of its text and the
// text shortened: an answer that is quoted may be a whole page.
func (f *Failure) without(secrets []Secret) *Failure {
	text := f.Err.Error()
	for _, s := range secrets {
		for _, plain := range s.known() {
			text = strings.ReplaceAll(text, plain, hidden)
			text = strings.ReplaceAll(text, url.QueryEscape(plain), hidden)
		}
	}
	return &Failure{Reason: f.Reason, Err: errors.New(Excerpt(text, maxFailureBytes))}
}

// Excerpt returns the beginning of text in one printable line.
func Excerpt(text string, maxBytes int) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxBytes {
		text = strings.ToValidUTF8(text[:maxBytes], "") + "…"
	}
	return text
}

// failureOf finds the reason of an error; ctxErr is the read's context's error.
// The order matters: a TLS error may wrap a closed connection, a DNS error may
// be a time-out.
func failureOf(err, ctxErr error) *Failure {
	if f, ok := err.(*Failure); ok {
		return f
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		return &Failure{Reason: f.Reason, Err: err}
	}
	// The URL in an url.Error may carry what a person put there.
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &Failure{Reason: reasonOf(err, ctxErr), Err: err}
}

func reasonOf(err, ctxErr error) string {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		// A socket path is configuration as well.
		if isDial(err) {
			return ReasonConnect
		}
		return ReasonConfig
	case isTLS(err):
		return ReasonTLS
	case isDNS(err):
		return ReasonDNS
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded), ctxErr != nil:
		return ReasonTimeout
	case isDial(err), errors.Is(err, syscall.ECONNREFUSED):
		return ReasonConnect
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ReasonClosed
	}
	return ReasonOther
}

func isDNS(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && !dns.IsTimeout
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" && !op.Timeout()
}

func isTLS(err error) bool {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return true // how crypto/tls reports alerts
	}
	return strings.Contains(err.Error(), "tls: ")
}
