package probe

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
)

// probeOnce runs one probe and returns its code, error and what it measured.
func probeOnce(t *testing.T, cfg Target, timeout time.Duration) (result, map[string]float64) {
	t.Helper()
	cfg.Name = "t"
	if err := cfg.validate(); err != nil {
		t.Fatal(err)
	}
	built, err := newTarget(cfg, metrics.NewSet(), map[string]*target{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	r := built.probe(ctx)
	if r.local != nil {
		t.Fatalf("probe could not be made: %v", r.local)
	}
	b := exporters.NewBuilder(time.Now())
	if r.samples != nil {
		r.samples(b)
	}
	got := make(map[string]float64)
	for _, s := range b.Samples() {
		got[strings.TrimSpace(s.Labels.Get("__name__")+" "+s.Labels.Get("phase")+s.Labels.Get("step"))] = s.V
	}
	return r, got
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func respond(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// converse accepts connections and hands each to f. They are open until the test ends,
// unless f closes them: one that nobody refers to is closed when garbage is collected.
func converse(t *testing.T, f func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted sync.WaitGroup
	accepted.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			go f(c)
		}
	})
	t.Cleanup(func() {
		l.Close()
		accepted.Wait()
	})
	return l.Addr().String()
}

// readRequest reads what a client sends before it waits for the answer.
func readRequest(c net.Conn) {
	if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		r.Body.Close()
	}
}

// closedPort returns an address of loopback at which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return l.Addr().String()
}

func TestHTTPCodes(t *testing.T) {
	f := func(what, url string, h HTTP, want Code) {
		t.Helper()
		r, got := probeOnce(t, Target{URL: URL(url), HTTP: h}, time.Minute)
		if r.code != want {
			t.Errorf("%s: code %s (%v), want %s", what, r.code, r.err, want)
		}
		if (r.err != nil) != (want != OK) {
			t.Errorf("%s: error %v with code %s", what, r.err, r.code)
		}
		if got[metricHTTPDuration] <= 0 {
			t.Errorf("%s: took %v seconds", what, got[metricHTTPDuration])
		}
	}
	zero, two := 0, 2
	hello := serve(t, respond(200, "hello, world"))
	f("good", hello, HTTP{}, OK)
	f("HEAD", hello, HTTP{Method: "HEAD"}, OK)
	f("status 500", serve(t, respond(500, "oops")), HTTP{}, StatusFailed)
	f("status 404", serve(t, respond(404, "")), HTTP{}, StatusFailed)
	f("404 expected", serve(t, respond(404, "")), HTTP{ExpectStatus: []int{200, 404}}, OK)
	f("200 not expected", hello, HTTP{ExpectStatus: []int{204}}, StatusFailed)
	f("body as expected", hello, HTTP{ExpectBody: `hello, w.rld`}, OK)
	f("body not as expected", hello, HTTP{ExpectBody: `^world`}, BodyFailed)
	f("body rejected", hello, HTTP{RejectBody: `(?i)WORLD`}, BodyFailed)
	f("body not rejected", hello, HTTP{RejectBody: `exception`}, OK)

	f("redirect followed", serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, hello, http.StatusFound) }), HTTP{ExpectBody: "hello"}, OK)
	loop := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
	f("redirect loop", loop, HTTP{}, StatusFailed)
	f("redirect loop, bounded", loop, HTTP{MaxRedirects: &two}, StatusFailed)
	f("redirect is the answer", loop, HTTP{MaxRedirects: &zero}, OK)
	f("redirect elsewhere", serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(302)
	}), HTTP{}, ProtocolError)

	f("refused", "http://"+closedPort(t), HTTP{}, ConnectFailed)
	f("name does not resolve", "http://bad..name/", HTTP{}, DNSFailed)
	f("closed without an answer", "http://"+converse(t, func(c net.Conn) { c.Close() }), HTTP{}, ProtocolError)
	f("garbage", "http://"+converse(t, func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n\r\n")
		c.Close()
	}), HTTP{}, ProtocolError)
	f("body cut", serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "hello")
	}), HTTP{}, ProtocolError)
	f("plain text where TLS is expected", strings.Replace(hello, "http:", "https:", 1), HTTP{}, TLSFailed)
}

func TestHTTPTimeouts(t *testing.T) {
	f := func(what, url string) {
		t.Helper()
		began := time.Now()
		r, _ := probeOnce(t, Target{URL: URL(url)}, 200*time.Millisecond)
		if r.code != Timeout {
			t.Errorf("%s: code %s (%v), want timeout", what, r.code, r.err)
		}
		if took := time.Since(began); took > 30*time.Second { // a loaded machine may be slow, a probe that ignores its time-out never ends
			t.Errorf("%s: took %s, want about 200ms", what, took)
		}
	}
	silent := converse(t, func(net.Conn) {})
	f("accepts and says nothing", "http://"+silent)
	f("accepts and says nothing, TLS", "https://"+silent)
	f("body that drips", serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	}))
	f("headers without end", "http://"+converse(t, func(c net.Conn) {
		readRequest(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for {
			if _, err := io.WriteString(c, "X: y\r\n"); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}))
}

func TestBodyIsReadBounded(t *testing.T) {
	f := func(what string, h http.HandlerFunc, http HTTP, want float64) {
		t.Helper()
		r, got := probeOnce(t, Target{URL: URL(serve(t, h)), HTTP: http}, 10*time.Second)
		if r.code != OK || got[metricHTTPBodyBytes] != want {
			t.Errorf("%s: code %s (%v), %v bytes, want ok with %v", what, r.code, r.err, got[metricHTTPBodyBytes], want)
		}
	}
	big := bytes.Repeat([]byte("x"), 10<<20)
	write := func(w http.ResponseWriter, _ *http.Request) { w.Write(big) }
	f("10 MB", write, HTTP{}, defaultMaxBodyBytes)
	f("10 MB, more asked for", write, HTTP{MaxBodyBytes: 16 << 20}, 10<<20)
	f("10 MB compressed to a few KB", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write(big)
		z.Close()
	}, HTTP{}, defaultMaxBodyBytes)
	f("small", respond(200, "hello"), HTTP{}, 5)
}

func TestHTTPPhases(t *testing.T) {
	const slow = 30 * time.Millisecond
	_, got := probeOnce(t, Target{URL: URL(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(slow) // the server thinks
		io.WriteString(w, "a")
		w.(http.Flusher).Flush()
		time.Sleep(slow) // and sends the rest later
		io.WriteString(w, "b")
	}))}, 5*time.Second)
	var sum float64
	for _, p := range phases {
		sum += got[metricHTTPPhaseDuration+" "+p]
	}
	if d := got[metricHTTPDuration]; sum > d || d < 2*slow.Seconds() {
		t.Errorf("phases take %v s of %v s", sum, d)
	}
	// The client may see the first byte late and so book some of the server's
	// second pause as processing, never the other way round.
	processing, transfer := got[metricHTTPPhaseDuration+" "+phaseProcessing], got[metricHTTPPhaseDuration+" "+phaseTransfer]
	if processing < slow.Seconds() || transfer <= 0 || processing+transfer < 2*slow.Seconds() {
		t.Errorf("processing took %v s and transfer %v s, want at least %v s and %v s together", processing, transfer, slow.Seconds(), 2*slow.Seconds())
	}
	for _, p := range []string{phaseResolve, phaseTLS} { // an address, no TLS
		if v, ok := got[metricHTTPPhaseDuration+" "+p]; ok {
			t.Errorf("%s took %v s, want no such phase", p, v)
		}
	}
	if got[metricHTTPStatusCode] != 200 {
		t.Errorf("status %v", got[metricHTTPStatusCode])
	}
}

// certificate makes a self-signed one for loopback.
func certificate(t testing.TB, notAfter time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: notAfter,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"shop.example"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func writePEM(t *testing.T, cert tls.Certificate) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// tlsServer serves with a self-signed certificate and returns its URL and the
// certificate's file.
func tlsServer(t *testing.T, notAfter time.Time) (url, caFile string) {
	t.Helper()
	cert := certificate(t, notAfter)
	s := httptest.NewUnstartedServer(respond(200, "secure"))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, writePEM(t, cert)
}

func TestTLS(t *testing.T) {
	later := time.Now().Add(12 * time.Hour).Truncate(time.Second)
	earlier := time.Now().Add(-time.Hour).Truncate(time.Second)
	good, goodCA := tlsServer(t, later)
	expired, expiredCA := tlsServer(t, earlier)
	f := func(what, url string, h HTTP, want Code, notAfter time.Time) {
		t.Helper()
		r, got := probeOnce(t, Target{URL: URL(url), HTTP: h}, 5*time.Second)
		if r.code != want {
			t.Errorf("%s: code %s (%v), want %s", what, r.code, r.err, want)
		}
		if v := got[metricTLSNotAfterTimestamp]; v != float64(notAfter.Unix()) {
			t.Errorf("%s: expires at %v, want %d", what, v, notAfter.Unix())
		}
	}
	f("trusted", good, HTTP{TLS: TLS{CAFile: goodCA}}, OK, later)
	f("of an unknown authority", good, HTTP{}, TLSFailed, later)
	f("expired", expired, HTTP{TLS: TLS{CAFile: expiredCA}}, TLSFailed, earlier)
	f("expired, accepted", expired, HTTP{TLS: TLS{InsecureSkipVerify: true}}, OK, earlier)
	f("another name", good, HTTP{TLS: TLS{CAFile: goodCA, ServerName: "bank.example"}}, TLSFailed, later)
	f("the name that was asked for", good, HTTP{TLS: TLS{CAFile: goodCA, ServerName: "shop.example"}}, OK, later)
	redirect := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, good, http.StatusFound) })
	f("after a redirect", redirect, HTTP{TLS: TLS{CAFile: goodCA}}, OK, later)
}

func TestCredentialsOfAURL(t *testing.T) {
	var user, password string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		if r.URL.Query().Get("token") != "s3cr3t2" {
			w.WriteHeader(403)
		}
	})
	address := strings.TrimPrefix(server, "http://")
	u := URL("http://probe:s3cr3t1@" + address + "/path?token=s3cr3t2#s3cr3t3")
	if r, _ := probeOnce(t, Target{URL: u}, 5*time.Second); r.code != OK || user != "probe" || password != "s3cr3t1" {
		t.Errorf("code %s, user %q: credentials not sent", r.code, user)
	}
	refused := URL("http://probe:s3cr3t1@" + closedPort(t) + "/path?token=s3cr3t2")
	r, _ := probeOnce(t, Target{URL: refused}, 5*time.Second)
	bad := Config{Vantage: "v", Targets: []Target{{Name: "t", URL: "ftp://probe:s3cr3t1@host/"}}}
	json, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	yaml, err := u.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{
		u.String(), fmt.Sprint(u), fmt.Sprintf("%q %#v %+v %x", u, u, Target{URL: u}, u), string(json), fmt.Sprint(yaml),
		u.LogValue().String(), r.err.Error(), bad.Validate().Error(), URL("http://s3cr3t1:%zz@host").String(),
		fmt.Sprint(bad), fmt.Sprint(Target{Name: "t", URL: "http://s3cr3t1\x7f@h"}.validate()),
	} {
		if strings.Contains(printed, "s3cr3t") || strings.Contains(printed, fmt.Sprintf("%x", "s3cr3t")) {
			t.Errorf("secret printed: %s", printed)
		}
	}
	if want := "http://" + address + "/path"; u.String() != want {
		t.Errorf("printed as %q, want %q", u, want)
	}
}
