package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptrace"
	"sync"
	"time"

	"watchkeeper/exporters"
)

// The phases of a request, in their order.
const (
	phaseResolve    = "resolve"    // looking up the name
	phaseConnect    = "connect"    // to the established connection
	phaseTLS        = "tls"        // handshake
	phaseProcessing = "processing" // from the sent request to the answer's first byte
	phaseTransfer   = "transfer"   // to the end of the body
)

var phases = []string{phaseResolve, phaseConnect, phaseTLS, phaseProcessing, phaseTransfer}

// trace measures the phases of one probe; redirects add up.
type trace struct {
	mu    sync.Mutex // connections to several addresses are tried at once
	began time.Time
	took  time.Duration
	phase string // the one that runs
	since time.Time
	spent map[string]time.Duration
	tlsState
	ended bool
}

func newTrace() *trace {
	now := time.Now()
	return &trace{began: now, since: now, spent: make(map[string]time.Duration)}
}

// with hooks the trace into a request's context.
func (t *trace) with(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { t.enter(phaseResolve) },
		ConnectStart:      func(_, _ string) { t.enter(phaseConnect) },
		TLSHandshakeStart: func() { t.enter(phaseTLS) },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			if err == nil {
				t.handshaken(&s)
			}
		},
		GotConn:              func(httptrace.GotConnInfo) { t.enter(phaseProcessing) },
		GotFirstResponseByte: func() { t.enter(phaseTransfer) },
	})
}

// enter ends the phase that runs and begins another. Attempts to connect to
// another address of the name continue the first, and one that starts when a
// connection is there already is not ours any more.
func (t *trace) enter(phase string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	overtaken := phase == phaseConnect && (t.phase == phaseTLS || t.phase == phaseProcessing)
	if t.ended || t.phase == phase || overtaken {
		return
	}
	t.leave(time.Now())
	t.phase = phase
}

func (t *trace) leave(now time.Time) {
	if t.phase != "" {
		t.spent[t.phase] += now.Sub(t.since)
	}
	t.since = now
}

// end stops the clocks.
func (t *trace) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.leave(now)
	t.took = now.Sub(t.began)
	t.ended = true
}

func (t *trace) handshaken(s *tls.ConnectionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tlsState.handshaken(s)
}

func (t *trace) certificates(chain []*x509.Certificate) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tlsState.certificates(chain)
}

func (t *trace) judgeValidity(least time.Duration) result {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tlsState.judgeValidity(least, time.Now())
}

// code names the cause of an error by its kind and the phase in which it came.
func (t *trace) code(ctx context.Context, err error) Code {
	t.mu.Lock()
	phase := t.phase
	t.mu.Unlock()
	var dns *net.DNSError
	var dial *net.OpError
	switch {
	case isTimeout(ctx, err):
		return Timeout
	case errors.As(err, &dns):
		return DNSFailed
	case phase == phaseTLS:
		return TLSFailed
	case errors.As(err, &dial) && dial.Op == "dial":
		return ConnectFailed
	default:
		return ProtocolError
	}
}

func (t *trace) samples(b *exporters.Builder) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.Add(metricHTTPDuration, t.took.Seconds())
	for _, p := range phases {
		if d, ok := t.spent[p]; ok {
			b.Add(metricHTTPPhaseDuration, d.Seconds(), "phase", p)
		}
	}
	t.tlsState.samples(b)
}
