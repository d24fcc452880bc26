package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// maxConnBytes bounds what one connection may bring; the largest honest answer
// is some hundred kilobytes.
const maxConnBytes = 4 << 20

// Conn is a connection that lives as long as a check and brings at most so much
// that an endless answer fills no memory.
type Conn struct {
	net.Conn
	stop func() bool

	mu    sync.Mutex // a library may read in a goroutine of its own
	left  int
	cause error
}

// Dial connects to "host:port" or "unix:/path" and lets the connection end with ctx.
func Dial(ctx context.Context, address string) (*Conn, error) {
	network, address := splitAddress(address)
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			conn.Close()
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // our own stop
	return &Conn{Conn: conn, left: maxConnBytes, stop: stop}, nil
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.full(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left -= n
	if err != nil {
		c.cause = err
	}
	return n, err
}

// full returns an error when the connection has brought all that it may.
func (c *Conn) full() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left > 0 {
		return nil
	}
	c.cause = Failed(ReasonTooLarge, "the answer is larger than %d bytes", maxConnBytes)
	return c.cause
}

// SetDeadline does nothing, nor do the other two: ctx sets the deadline, and
// client libraries would put it off.
func (c *Conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (c *Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// Cause returns why reading failed, for libraries that do not tell; nil if it did not.
func (c *Conn) Cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Exchange sends a request and reads the answer, which ends with the connection
// or with one of the given end marks.
func Exchange(ctx context.Context, address string, request []byte, ends ...[]byte) ([]byte, error) {
	conn, err := Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	answer, buf := []byte(nil), make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		answer = append(answer, buf[:n]...)
		switch {
		case slices.ContainsFunc(ends, func(end []byte) bool { return bytes.HasSuffix(answer, end) }):
			return answer, nil
		case err == io.EOF && len(ends) == 0 && len(answer) > 0:
			return answer, nil
		case err != nil:
			return nil, fmt.Errorf("answer after %d bytes: %w", len(answer), err)
		}
	}
}

func splitAddress(address string) (network, rest string) {
	if len(address) > 5 && address[:5] == "unix:" {
		return "unix", address[5:]
	}
	return "tcp", address
}

// ValidateAddress accepts "host:port" and "unix:/path".
func ValidateAddress(address string) error {
	network, rest := splitAddress(address)
	if network == "unix" {
		if rest[0] != '/' {
			return fmt.Errorf("%q: the socket's path must begin with /", address)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("%q: want host:port or unix:/path", address)
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return fmt.Errorf("%q: %q is not a port", address, port)
	}
	return nil
}
