package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"syscall"
)

// Bounds of a conversation over TCP or UDP.
const (
	maxExchanges   = 50
	maxSendBytes   = 64 << 10
	maxAnswerBytes = 64 << 10
)

// Exchange is one step of a conversation: what is sent, then what must be
// answered. At least one of its fields is set.
type Exchange struct {
	// Send is text to be sent; ${name} in it stands for a secret of the target.
	Send string `yaml:"send"`
	// SendHex is sent after send: bytes as hexadecimal digits.
	SendHex string `yaml:"send_hex"`
	// Expect is a regular expression (RE2) that the answer must contain. Up to
	// 65536 bytes are read until it does; what came after the match is left to
	// a next step that sends nothing.
	Expect string `yaml:"expect"`
	// ExpectHex are bytes, as hexadecimal digits, that the answer must contain.
	ExpectHex string `yaml:"expect_hex"`
	// StartTLS begins TLS after this step's answer; over TCP only.
	StartTLS bool `yaml:"starttls"`
}

// validateExchanges names the first value that cannot be used.
func validateExchanges(list []Exchange, known map[string]bool, tcp bool) error {
	if len(list) > maxExchanges {
		return fmt.Errorf("exchange: more than %d steps", maxExchanges)
	}
	for i, e := range list {
		if err := e.validate(known, tcp); err != nil {
			return fmt.Errorf("exchange[%d].%w", i, err)
		}
	}
	return nil
}

func (e Exchange) validate(known map[string]bool, tcp bool) error {
	switch {
	case e == Exchange{}:
		return errors.New("send: is empty, and nothing is expected")
	case len(e.Send) > maxSendBytes || len(e.SendHex) > 2*maxSendBytes:
		return fmt.Errorf("send: longer than %d bytes", maxSendBytes)
	case e.Expect != "" && e.ExpectHex != "":
		return errors.New("expect: is set beside expect_hex; give one of them")
	case e.StartTLS && !tcp:
		return errors.New("starttls: is for TCP only")
	}
	if err := checkNames(e.Send, known); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if _, err := hex.DecodeString(e.SendHex); err != nil {
		return errors.New("send_hex: is not pairs of hexadecimal digits")
	}
	if _, err := hex.DecodeString(e.ExpectHex); err != nil {
		return errors.New("expect_hex: is not pairs of hexadecimal digits")
	}
	if _, err := regexp.Compile(e.Expect); err != nil {
		return fmt.Errorf("expect: %w", err)
	}
	return nil
}

// exchange is an Exchange ready for use.
type exchange struct {
	send     string
	sendRaw  []byte
	find     func([]byte) (end int, ok bool) // nil: nothing is expected
	startTLS bool
}

func newExchanges(list []Exchange) ([]exchange, error) {
	var out []exchange
	for _, e := range list {
		x := exchange{send: e.Send, startTLS: e.StartTLS}
		var err error
		if x.sendRaw, err = hex.DecodeString(e.SendHex); err != nil {
			return nil, err
		}
		want, err := hex.DecodeString(e.ExpectHex)
		if err != nil {
			return nil, err
		}
		re, err := compileIfSet(e.Expect)
		if err != nil {
			return nil, err
		}
		switch {
		case re != nil:
			x.find = func(b []byte) (int, bool) {
				at := re.FindIndex(b)
				if at == nil {
					return 0, false
				}
				return at[1], true
			}
		case len(want) > 0:
			x.find = func(b []byte) (int, bool) {
				i := bytes.Index(b, want)
				return i + len(want), i >= 0
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// conversation goes through exchanges over one connection.
type conversation struct {
	conn     net.Conn
	datagram bool
	received []byte // and not yet matched
	got      int    // bytes received in this step
	values   values
	tls      *tls.Config
	state    tlsState
}

// handshake puts TLS over the connection.
func (c *conversation) handshake(ctx context.Context) result {
	conn := tls.Client(c.conn, c.tls.Clone())
	if err := conn.HandshakeContext(ctx); err != nil {
		var bad *tls.CertificateVerificationError
		if errors.As(err, &bad) {
			c.state.certificates(bad.UnverifiedCertificates)
		}
		if isTimeout(ctx, err) {
			return result{code: Timeout, err: errors.New("TLS handshake not complete in time")}
		}
		return result{code: TLSFailed, err: err}
	}
	c.conn, c.received = conn, nil
	state := conn.ConnectionState()
	c.state.handshaken(&state)
	return result{code: OK}
}

func (c *conversation) run(ctx context.Context, list []exchange) result {
	for i, x := range list {
		r := c.step(ctx, x)
		if r.code == OK && x.startTLS {
			r = c.handshake(ctx)
		}
		if r.code != OK {
			r.err = fmt.Errorf("exchange %d: %w", i+1, c.values.redacted(r.err))
			return r
		}
	}
	return result{code: OK}
}

func (c *conversation) step(ctx context.Context, x exchange) result {
	if out := append([]byte(c.values.expand(x.send, nil)), x.sendRaw...); len(out) > 0 {
		c.received = nil // the rest of an answer to something else
		if _, err := c.conn.Write(out); err != nil {
			return c.broken(ctx, err)
		}
	}
	if x.find == nil {
		return result{code: OK}
	}
	c.got = len(c.received)
	for {
		if end, ok := x.find(c.received); ok {
			c.received = c.received[end:]
			return result{code: OK}
		}
		if len(c.received) >= maxAnswerBytes {
			return result{code: BodyFailed, err: errors.New("answer does not hold what is expected within its first 65536 bytes")}
		}
		if err := c.receive(); err != nil {
			return c.broken(ctx, err)
		}
	}
}

// receive adds what comes next. A datagram is an answer of its own.
func (c *conversation) receive() error {
	if c.datagram {
		c.received = c.received[:0]
	}
	buf := make([]byte, maxAnswerBytes-len(c.received))
	n, err := c.conn.Read(buf)
	c.received = append(c.received, buf[:n]...)
	c.got += n
	if n > 0 {
		return nil
	}
	return err
}

// broken tells causes of a conversation's end apart. An answer that came and is
// not the expected one is the cause, however long more of it was waited for.
func (c *conversation) broken(ctx context.Context, err error) result {
	switch {
	case isLocal(err):
		return result{code: ProtocolError, local: err, err: err}
	case c.got > 0:
		return result{code: BodyFailed, err: errors.New("answer does not hold what is expected")}
	case isTimeout(ctx, err):
		return result{code: Timeout, err: errors.New("no answer in time")}
	case errors.Is(err, syscall.ECONNREFUSED):
		return result{code: ConnectFailed, err: err}
	case errors.Is(err, io.EOF):
		return result{code: ProtocolError, err: errors.New("connection closed without an answer")}
	default:
		return result{code: ProtocolError, err: err}
	}
}

// bounded lets a connection's reads and writes end with ctx.
func bounded(ctx context.Context, conn net.Conn) (stop func() bool) {
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	return context.AfterFunc(ctx, func() { conn.Close() })
}
