package phpfpm

import (
	"errors"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

func build(t testing.TB, s server.Settings, h server.HTTP) exporters.Collector {
	t.Helper()
	return buildWith(t, Config{Settings: s, HTTP: h})
}

func buildWith(t testing.TB, cfg Config) exporters.Collector {
	t.Helper()
	c, err := New("acme", cfg, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func buildFastCGI(t testing.TB, s server.Settings, address string) exporters.Collector {
	t.Helper()
	return buildWith(t, Config{Settings: s, FastCGI: address, Path: "/fpm-status"})
}

// pool is a status page as PHP-FPM serves it, in plain text unless json is asked for.
func pool(t testing.TB) http.Handler {
	page := servertest.Recorded(t, "status.json")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/fpm-status":
			http.Error(w, "File not found.", http.StatusNotFound)
		case !r.URL.Query().Has("json"):
			_, _ = w.Write([]byte("pool: www\n"))
		default:
			_, _ = w.Write(page)
		}
	})
}

func serveFastCGI(t testing.TB, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { _ = fcgi.Serve(l, pool(t)) }()
	return l.Addr().String()
}

func TestSeries(t *testing.T) {
	web := httptest.NewServer(pool(t))
	defer web.Close()
	settings := server.Settings{Name: "www"}
	servertest.Golden(t, "series.golden", servertest.Collect(t, build(t, settings, server.HTTP{URL: web.URL + "/fpm-status"})))
	servertest.Golden(t, "series.golden", servertest.Collect(t, buildFastCGI(t, settings, serveFastCGI(t, "tcp", "127.0.0.1:0"))))
	socket := filepath.Join(t.TempDir(), "fpm.sock")
	serveFastCGI(t, "unix", socket)
	servertest.Golden(t, "series.golden", servertest.Collect(t, buildFastCGI(t, settings, "unix:"+socket)))
}

func TestFailures(t *testing.T) { servertest.HTTPFailures(t, build) }

func TestFailuresOfFastCGI(t *testing.T) {
	servertest.TCPFailures(t, buildFastCGI)
	answer := func(text string) string {
		return servertest.Listen(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte(text))
		}).Addr().String()
	}
	f := func(what, text, reason string) {
		t.Run(what, func(t *testing.T) {
			servertest.WantReason(t, buildFastCGI(t, server.Settings{Name: "www"}, answer(text)), reason)
		})
	}
	end := string(appendRecord(nil, fcgiEndRequest, make([]byte, 8)))
	stdout := func(s string) string { return string(appendRecord(nil, fcgiStdout, []byte(s))) }
	f("a web server", "HTTP/1.1 400 Bad Request\r\n\r\n", server.ReasonFormat)
	f("no end", stdout("Content-type: text/plain\r\n\r\n{"), server.ReasonClosed)
	f("no headers", stdout("garbage\x00")+end, server.ReasonFormat)
	f("no JSON", stdout("Content-type: text/plain\r\n\r\npool: www")+end, server.ReasonFormat)
	f("without figures", stdout("Content-type: text/plain\r\n\r\n{}")+end, server.ReasonFormat)
	f("no such page", stdout("Status: 404 Not Found\r\nContent-type: text/html\r\n\r\nFile not found.\n")+end, server.ReasonStatus)
	f("access denied", stdout("Status: 403 Forbidden\r\nContent-type: text/html\r\n\r\nAccess denied.\n")+end, server.ReasonDenied)
	f("endless", strings.Repeat(stdout(strings.Repeat("x", 60_000)), 100), server.ReasonTooLarge)
}

func TestAnotherPath(t *testing.T) {
	c := buildWith(t, Config{Settings: server.Settings{Name: "www"}, FastCGI: serveFastCGI(t, "tcp", "127.0.0.1:0")})
	var f *server.Failure
	if err := c.Collect(t.Context(), servertest.At, new(servertest.Sink)); !errors.As(err, &f) || f.Reason != server.ReasonStatus {
		t.Errorf("error %v, want one that tells the status", err)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte(string(appendRecord(nil, fcgiStdout, []byte("Status: 200\r\n\r\n{}"))) + string(appendRecord(nil, fcgiEndRequest, make([]byte, 8)))))
	f.Add([]byte("HTTP/1.1 400\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		stdout, stderr, err := readRecords(strings.NewReader(string(data)))
		if err == nil {
			_, _ = answerBody(stdout, stderr)
		}
		_, _ = parse(data)
	})
}
