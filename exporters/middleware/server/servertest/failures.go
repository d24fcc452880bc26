package servertest

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
)

const password = "s3cr3t/pass+word"

const (
	patience   = 20 * time.Second       // of cases that answer
	impatience = 150 * time.Millisecond // of cases that never do
)

func settings(timeout time.Duration) server.Settings {
	return server.Settings{Name: "one", Interval: model.Duration(time.Minute), Timeout: model.Duration(timeout)}
}

// PasswordFile writes a password to a file.
func PasswordFile(t testing.TB, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// WantReason collects once, which must fail for the given reason, deliver
// nothing and not show the password.
func WantReason(t testing.TB, c exporters.Collector, reason string) {
	t.Helper()
	var s Sink
	err := c.Collect(t.Context(), At, &s)
	if err == nil {
		t.Fatalf("no error, want reason %q", reason)
	}
	var f *server.Failure
	if !errors.As(err, &f) || f.Reason != reason {
		t.Errorf("error %q, want reason %q", err, reason)
	}
	if len(s.Batches) != 0 {
		t.Errorf("%d batches delivered beside the error", len(s.Batches))
	}
	for _, secret := range []string{password, "s3cr3t%2Fpass%2Bword", "s3cr3t"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 400 {
		t.Errorf("the error is not one short line: %q", err)
	}
}

// HTTPFailures runs the failures of a collector that reads HTTP. build makes it
// for a server; formats says that 200 with a body that is not the product's is
// noticed, as it is by all that parse one.
func HTTPFailures(t *testing.T, build func(testing.TB, server.Settings, server.HTTP) exporters.Collector) {
	secret := server.Credentials{Username: "mon", PasswordFile: PasswordFile(t, password)}
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	f := func(name, reason string, h http.HandlerFunc) {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(h)
			defer web.Close()
			WantReason(t, build(t, settings(patience), server.HTTP{URL: web.URL, Credentials: secret}), reason)
		})
	}
	f("wrong password", server.ReasonAuth, answer(401, "no entry for mon:"+password))
	f("not permitted", server.ReasonDenied, answer(403, ""))
	f("not there", server.ReasonStatus, answer(404, "<html>\r\nnot found "+password))
	f("broken", server.ReasonStatus, answer(500, strings.Repeat(password, 100)))
	f("redirected", server.ReasonStatus, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/login?password="+password, http.StatusFound)
	})
	f("garbage", server.ReasonFormat, answer(200, "\x00\xff\x16\x03 "+password+" <html>"))
	f("empty", server.ReasonFormat, answer(200, ""))
	f("10 MB", server.ReasonTooLarge, func(w http.ResponseWriter, _ *http.Request) {
		page := []byte(strings.Repeat("Total Accesses: 1\r\n", 1000))
		for n := 0; n < 10<<20; n += len(page) {
			if _, err := w.Write(page); err != nil {
				return
			}
		}
	})
	f("closed in the middle", server.ReasonClosed, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "{")
	})
	t.Run("TLS where there is none", func(t *testing.T) {
		web := httptest.NewServer(answer(200, ""))
		defer web.Close()
		h := server.HTTP{URL: strings.Replace(web.URL, "http:", "https:", 1), Credentials: secret}
		WantReason(t, build(t, settings(patience), h), server.ReasonTLS)
	})
	t.Run("certificate of a stranger", func(t *testing.T) {
		web := httptest.NewUnstartedServer(answer(200, ""))
		web.Config.ErrorLog = nolog
		web.StartTLS()
		defer web.Close()
		WantReason(t, build(t, settings(patience), server.HTTP{URL: web.URL, Credentials: secret}), server.ReasonTLS)
	})
	t.Run("no password file", func(t *testing.T) {
		h := server.HTTP{URL: "http://127.0.0.1:1", Credentials: server.Credentials{PasswordFile: filepath.Join(t.TempDir(), "none")}}
		WantReason(t, build(t, settings(patience), h), server.ReasonConfig)
	})
	TCPFailures(t, func(t testing.TB, s server.Settings, address string) exporters.Collector {
		return build(t, s, server.HTTP{URL: "http://" + address, Credentials: secret})
	})
}

// TCPFailures runs the failures of the connection itself.
func TCPFailures(t *testing.T, build func(testing.TB, server.Settings, string) exporters.Collector) {
	t.Run("nobody listens", func(t *testing.T) {
		l := Listen(t, func(net.Conn) {})
		l.Close()
		WantReason(t, build(t, settings(patience), l.Addr().String()), server.ReasonConnect)
	})
	t.Run("half-open connection", func(t *testing.T) {
		done := make(chan struct{})
		l := Listen(t, func(net.Conn) { <-done })
		defer close(done)
		began := time.Now()
		WantReason(t, build(t, settings(impatience), l.Addr().String()), server.ReasonTimeout)
		if d := time.Since(began); d > patience/2 {
			t.Errorf("took %s with a time-out of %s", d, impatience)
		}
	})
	t.Run("closed at once", func(t *testing.T) {
		l := Listen(t, func(c net.Conn) {
			// Else the client's write might fail first; a client that lets the server speak first writes nothing.
			_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = c.Read(make([]byte, 1))
		})
		WantReason(t, build(t, settings(patience), l.Addr().String()), server.ReasonClosed)
	})
}

// Listen serves connections on a loopback port; serve's return closes one.
func Listen(t testing.TB, serve func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l
}
