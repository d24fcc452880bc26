package probe

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
)

// mailServer speaks as much SMTP as a probe hears, with STARTTLS.
func mailServer(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	return converse(t, func(c net.Conn) {
		defer c.Close()
		io.WriteString(c, "220 mail.example ESMTP\r\n")
		for r := bufio.NewReader(c); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			switch strings.TrimSpace(line) {
			case "EHLO probe":
				io.WriteString(c, "250-mail.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n")
			case "STARTTLS":
				io.WriteString(c, "220 go ahead\r\n")
				c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
				r = bufio.NewReader(c)
			case "QUIT":
				io.WriteString(c, "221 bye\r\n")
				return
			default:
				io.WriteString(c, "500 what?\r\n")
			}
		}
	})
}

func TestExchangeOverTCP(t *testing.T) {
	f := func(what, address string, list []Exchange, want Code) {
		t.Helper()
		timeout := 10 * time.Second
		if strings.Contains(what, "silence") {
			timeout = 3 * time.Second // for an answer to come on a loaded machine
		}
		r, got := probeOnce(t, Target{TCP: address, Exchange: list}, timeout)
		if r.code != want || (r.err != nil) != (want != OK) {
			t.Errorf("%s: code %s (%v), want %s", what, r.code, r.err, want)
		}
		if _, ok := got[metricTCPExchangeDuration]; ok != (want == OK) {
			t.Errorf("%s: duration of the exchange present: %t", what, ok)
		}
	}
	mail := mailServer(t, tls.Certificate{})
	f("banner", mail, []Exchange{{Expect: `^220 `}}, OK)
	f("whole conversation", mail, []Exchange{{Expect: `^220 `}, {Send: "EHLO probe\r\n", Expect: `(?m)^250 `}, {Send: "QUIT\r\n", Expect: `^221`}}, OK)
	f("what came after a match is the next step's", mail, []Exchange{{Expect: `^220`}, {Expect: `ESMTP`}}, OK)
	f("bytes", mail, []Exchange{{ExpectHex: "323230"}, {SendHex: "515549540d0a", ExpectHex: "323231"}}, OK)
	f("another banner", converse(t, func(c net.Conn) { io.WriteString(c, "554 go away\r\n"); c.Close() }), []Exchange{{Expect: `^220 `}}, BodyFailed)
	f("another answer, then silence", converse(t, func(c net.Conn) { io.WriteString(c, "554 go away\r\n") }), []Exchange{{Send: "HELO\r\n", ExpectHex: "ff"}}, BodyFailed)
	f("silence", converse(t, func(net.Conn) {}), []Exchange{{Expect: `^220 `}}, Timeout)
	f("closed", converse(t, func(c net.Conn) { c.Close() }), []Exchange{{Expect: `^220 `}}, ProtocolError)
	f("refused", closedPort(t), []Exchange{{Expect: `^220 `}}, ConnectFailed)
	f("answer without end", converse(t, func(c net.Conn) {
		for junk := bytes.Repeat([]byte("x"), 4096); ; {
			if _, err := c.Write(junk); err != nil {
				return
			}
		}
	}), []Exchange{{Expect: `^220 `}}, BodyFailed)
}

func TestTLSOverTCP(t *testing.T) {
	later := time.Now().Add(12 * time.Hour).Truncate(time.Second)
	url, ca := tlsServer(t, later)
	address := strings.TrimPrefix(url, "https://")
	cert := certificate(t, later)
	caOfMail := writePEM(t, cert)
	f := func(what string, target Target, want Code) {
		t.Helper()
		r, got := probeOnce(t, target, 10*time.Second)
		if r.code != want {
			t.Errorf("%s: code %s (%v), want %s", what, r.code, r.err, want)
		}
		if v := got[metricTLSCertificateNotAfterTimestamp]; v != float64(later.Unix()) {
			t.Errorf("%s: certificate expires at %v, want %d", what, v, later.Unix())
		}
		if v := got[metricTLSVersion]; want != TLSFailed && v != 1.3 {
			t.Errorf("%s: version %v, want 1.3", what, v)
		}
	}
	f("trusted", Target{TCP: address, TLS: &TLS{CAFile: ca}}, OK)
	f("not trusted", Target{TCP: address, TLS: &TLS{}}, TLSFailed)
	f("expires soon", Target{TCP: address, TLS: &TLS{CAFile: ca, MinValidity: model.Duration(24 * time.Hour)}}, CertificateExpires)
	upgrade := []Exchange{
		{Expect: `^220 `}, {Send: "EHLO probe\r\n", Expect: `250 STARTTLS`},
		{Send: "STARTTLS\r\n", Expect: `220 go`, StartTLS: true}, {Send: "QUIT\r\n", Expect: `^221`},
	}
	f("STARTTLS", Target{TCP: mailServer(t, cert), TLS: &TLS{CAFile: caOfMail}, Exchange: upgrade}, OK)
	f("STARTTLS, not trusted", Target{TCP: mailServer(t, cert), Exchange: upgrade}, TLSFailed)
}

// echoServer answers each datagram with what f makes of it; nil: not at all.
func echoServer(t *testing.T, f func([]byte) []byte) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := f(buf[:n]); reply != nil {
				c.WriteTo(reply, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

func TestExchangeOverUDP(t *testing.T) {
	f := func(what, address string, want Code, timeout time.Duration) {
		t.Helper()
		r, got := probeOnce(t, Target{UDP: address, Exchange: []Exchange{{Send: "ping\n", Expect: "^pong$"}}}, timeout)
		if r.code != want {
			t.Errorf("%s: code %s (%v), want %s", what, r.code, r.err, want)
		}
		if _, ok := got[metricUDPExchangeDuration]; ok != (want == OK) {
			t.Errorf("%s: duration present: %t", what, ok)
		}
	}
	f("answers", echoServer(t, func([]byte) []byte { return []byte("pong") }), OK, 10*time.Second)
	f("answers otherwise", echoServer(t, func(b []byte) []byte { return b }), BodyFailed, 3*time.Second)
	f("is silent", echoServer(t, func([]byte) []byte { return nil }), Timeout, 500*time.Millisecond)
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	f("nobody listens", c.LocalAddr().String(), ConnectFailed, 10*time.Second)
	f("name does not resolve", "bad..name:53", DNSFailed, 10*time.Second)
}

// A secret that is sent reaches the server and no error, even when the server sends it back.
func TestSecretOfAnExchange(t *testing.T) {
	t.Setenv("PROBE_TEST_SECRET", "s3cr3t-value")
	heard := make(chan string, 1)
	address := converse(t, func(c net.Conn) {
		line, _ := bufio.NewReader(c).ReadString('\n')
		heard <- line
		io.WriteString(c, "ERR bad password "+line)
		c.Close()
	})
	cfg := Target{
		TCP: address, Secrets: map[string]Secret{"PASSWORD": {Env: "PROBE_TEST_SECRET"}},
		Exchange: []Exchange{{Send: "AUTH ${PASSWORD} $${x}\r\n", Expect: "^OK"}},
	}
	r, _ := probeOnce(t, cfg, 10*time.Second)
	if got := <-heard; got != "AUTH s3cr3t-value ${x}\r\n" {
		t.Errorf("sent %q", got)
	}
	if r.code != BodyFailed || strings.Contains(r.err.Error(), "s3cr3t") {
		t.Errorf("code %s, error %v", r.code, r.err)
	}
	os.Unsetenv("PROBE_TEST_SECRET")
	built, err := newTarget(cfg, metrics.NewSet(), map[string]*target{})
	if err != nil {
		t.Fatal(err)
	}
	if r := built.probe(t.Context()); r.local == nil || r.local.Error() != "secret PASSWORD: environment variable PROBE_TEST_SECRET is not set" {
		t.Errorf("without the secret: code %s, local error %v", r.code, r.local)
	}
}
