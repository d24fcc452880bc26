package probe

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"watchkeeper/exporters"
)

// tcpProber connects to a port.
type tcpProber struct{ address string }

func (p tcpProber) probe(ctx context.Context) result {
	began := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address)
	if err != nil {
		return dialResult(ctx, err)
	}
	took := time.Since(began)
	conn.Close() // of a connection without data: nothing can be lost
	return result{code: OK, samples: func(b *exporters.Builder) {
		b.Add(metricTCPConnectDuration, took.Seconds())
	}}
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
