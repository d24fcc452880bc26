package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"watchkeeper/exporters"
)

// portProber connects to a port and, where asked, talks to it: TCP or UDP.
type portProber struct {
	network, address string
	secrets          map[string]Secret
	tls              *tls.Config   // nil: no TLS but by starttls
	startWithTLS     bool          // at once
	minValidity      time.Duration // of certificates
	exchanges        []exchange
}

func newPortProber(t Target) (*portProber, error) {
	p := &portProber{network: "tcp", address: t.TCP, secrets: t.Secrets}
	if t.UDP != "" {
		p.network, p.address = "udp", t.UDP
	}
	var options TLS
	if t.TLS != nil {
		options, p.startWithTLS = *t.TLS, !startsTLS(t.Exchange)
	}
	var err error
	if p.tls, err = options.build(); err != nil {
		return nil, err
	}
	if host, _, err := net.SplitHostPort(p.address); err == nil && p.tls.ServerName == "" {
		p.tls.ServerName = host
	}
	p.minValidity = time.Duration(options.MinValidity)
	p.exchanges, err = newExchanges(t.Exchange)
	return p, err
}

// startsTLS reports whether TLS begins within the conversation.
func startsTLS(list []Exchange) bool {
	for _, e := range list {
		if e.StartTLS {
			return true
		}
	}
	return false
}

func (p *portProber) probe(ctx context.Context) result {
	v, err := readSecrets(p.secrets)
	if err != nil {
		return result{local: err}
	}
	began := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, p.network, p.address)
	if err != nil {
		return dialResult(ctx, err)
	}
	defer conn.Close()
	defer bounded(ctx, conn)()
	connected := time.Now()
	c := &conversation{conn: conn, datagram: p.network == "udp", values: v, tls: p.tls}
	r := p.talk(ctx, c)
	talked := time.Since(connected)
	r.samples = func(b *exporters.Builder) {
		if p.network == "tcp" {
			b.Add(metricTCPConnectDuration, connected.Sub(began).Seconds())
		}
		if r.code == OK && len(p.exchanges) > 0 {
			b.Add(map[string]string{"tcp": metricTCPExchangeDuration, "udp": metricUDPExchangeDuration}[p.network], talked.Seconds())
		}
		c.state.samples(b)
	}
	return r
}

func (p *portProber) talk(ctx context.Context, c *conversation) result {
	if p.startWithTLS {
		if r := c.handshake(ctx); r.code != OK {
			return r
		}
	}
	if r := c.run(ctx, p.exchanges); r.code != OK {
		return r
	}
	return c.state.judgeValidity(p.minValidity, time.Now())
}

// dialResult tells causes of a failed look-up or connection apart.
func dialResult(ctx context.Context, err error) result {
	if isLocal(err) {
		return result{local: err}
	}
	return result{code: dialCode(ctx, err), err: err}
}

func dialCode(ctx context.Context, err error) Code {
	var dns *net.DNSError
	switch {
	case isTimeout(ctx, err):
		return Timeout
	case errors.As(err, &dns):
		return DNSFailed
	default:
		return ConnectFailed
	}
}

// isTimeout reports whether time ran out: the probe's, or the system's own for
// a connection.
func isTimeout(ctx context.Context, err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout() || errors.Is(ctx.Err(), context.DeadlineExceeded)
}

// isLocal reports whether the place that looks is at fault: it lacks file
// descriptors, memory, ports or permission.
func isLocal(err error) bool {
	for _, local := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.EADDRNOTAVAIL, syscall.EPERM, syscall.EACCES,
	} {
		if errors.Is(err, local) {
			return true
		}
	}
	return false
}
