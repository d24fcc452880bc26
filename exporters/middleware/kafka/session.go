package kafka

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"watchkeeper/exporters/middleware/server"
)

// session is the client of one check. It remembers why a connection failed: the
// library tries again and tells of the last failure only, which may be that the
// time was up.
type session struct {
	client *kgo.Client

	mu    sync.Mutex
	cause *server.Failure // the first; guarded by mu
}

// Close closes the connections.
func (s *session) Close() { s.client.Close() }

func (s *session) note(f *server.Failure) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.cause = f
	}
	return f
}

func (s *session) first() *server.Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// OnBrokerRead implements kgo.HookBrokerRead. Brokers before 1.0 hang up on a
// wrong password without a word.
func (s *session) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == int16(kmsg.SASLAuthenticate) && errors.Is(err, io.EOF) {
		_ = s.note(server.Failed(server.ReasonAuth, "the broker hung up when it was told user and password"))
	}
}

// failed gives an error its reason; what names the question.
func (s *session) failed(what string, err error) error {
	if f, ok := errors.AsType[*server.Failure](err); ok {
		return &server.Failure{Reason: f.Reason, Err: fmt.Errorf("%s: %w", what, err)}
	}
	if reason := reasonOf(err); reason != "" {
		return &server.Failure{Reason: reason, Err: fmt.Errorf("%s: %w", what, err)}
	}
	if f := s.first(); f != nil {
		return &server.Failure{Reason: f.Reason, Err: fmt.Errorf("%s: %w", what, f.Err)}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// reasonOf returns the reason of what the brokers or the library say; empty for
// the connection's own errors.
func reasonOf(err error) string {
	if _, ok := errors.AsType[*kadm.AuthError](err); ok {
		return server.ReasonDenied
	}
	text := err.Error()
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.UnsupportedSaslMechanism),
		strings.Contains(text, "SASL is required but not provided"):
		return server.ReasonAuth
	case strings.Contains(text, "tls alert"):
		return server.ReasonTLS
	case strings.Contains(text, "response size"), strings.Contains(text, "correlation ID mismatch"):
		return server.ReasonFormat // no broker announces that much, or nothing at all
	}
	if refusal, ok := errors.AsType[*kerr.Error](err); ok {
		switch refusal {
		case kerr.ClusterAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TopicAuthorizationFailed:
			return server.ReasonDenied
		}
		return server.ReasonStatus
	}
	return ""
}
