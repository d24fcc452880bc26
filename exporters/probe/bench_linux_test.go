package probe

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// BenchmarkMinute runs whole collections of 5,000 targets each, the largest load
// that one process is meant for in a minute, against servers on loopback.
// "load" is the share of one core that a minute of it costs, the servers of the
// same process included. Run: go test ./exporters/probe -run - -bench Minute
func BenchmarkMinute(b *testing.B) {
	plain := httptest.NewServer(respond(200, "hello, world"))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(respond(200, "hello, world"))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(b, time.Now().Add(time.Hour))}}
	secure.StartTLS()
	defer secure.Close()
	port := strings.TrimPrefix(plain.URL, "http://")
	tcp, http := Target{TCP: port}, Target{URL: URL(plain.URL), HTTP: HTTP{ExpectBody: "hello"}}
	https := Target{URL: URL(secure.URL), HTTP: HTTP{TLS: TLS{InsecureSkipVerify: true}}}
	for name, kinds := range map[string][]Target{
		"tcp": {tcp}, "http": {http}, "mixed": {tcp, http, https, http, https},
	} {
		b.Run(name, func(b *testing.B) {
			const targets = 5000
			cfg := DefaultConfig()
			for i := range targets {
				target := kinds[i%len(kinds)]
				target.Name = fmt.Sprint(i)
				cfg.Targets = append(cfg.Targets, target)
			}
			collectors, err := New("acme", cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			failed, unmade, before := 0, 0, processCPU(b)
			for b.Loop() {
				got := &recorder{began: time.Now()}
				if err := collectors[0].Collect(b.Context(), checkTime, got); err != nil {
					b.Fatal(err)
				}
				good, bad := count(got.arrivals)
				failed, unmade = failed+bad, unmade+targets-good-bad
			}
			spent := processCPU(b) - before
			b.ReportMetric(float64(failed)/float64(b.N), "failed/load")
			// On a machine that is too busy for the load, time-outs are our own fault.
			b.ReportMetric(float64(unmade)/float64(b.N), "unmade/load")
			b.ReportMetric(100*spent.Seconds()/float64(b.N)/60, "%core/load")
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N)/targets, "cpu-µs/probe")
		})
	}
}

// serverEnv makes a child process of the benchmarks a server.
const serverEnv = "WATCHKEEPER_PROBE_BENCHMARK_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) == "" {
		os.Exit(m.Run())
	}
	s := httptest.NewUnstartedServer(respond(200, "hello, world"))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	fmt.Println(s.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent has ended
}

// BenchmarkHTTPS tells what a probe costs on this side alone, the server being
// another process, and what of it the least that there is costs: a connection and
// a TLS handshake of Go, without resumption and without verification.
// Run: go test ./exporters/probe -run - -bench HTTPS
func BenchmarkHTTPS(b *testing.B) {
	child := exec.CommandContext(b.Context(), os.Args[0])
	child.Env = append(os.Environ(), serverEnv+"=1")
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { in.Close(); _ = child.Wait() }()
	var url string
	if _, err := fmt.Fscan(out, &url); err != nil {
		b.Fatal(err)
	}
	pair := httptest.NewTLSServer(nil) // whose certificate the child's is
	pair.Close()
	roots := writeCertificate(b, pair.Certificate())
	probe := func(t TLS) func(*testing.B) {
		p, err := newHTTPProber(Target{URL: URL(url), HTTP: HTTP{TLS: t}})
		if err != nil {
			b.Fatal(err)
		}
		return func(b *testing.B) {
			if r := p.probe(b.Context()); r.code != OK {
				b.Fatal(r.code, r.err)
			}
		}
	}
	handshake := func(b *testing.B) {
		c, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
	for _, x := range []struct {
		name string
		f    func(*testing.B)
	}{{"handshake", handshake}, {"unverified", probe(TLS{InsecureSkipVerify: true})}, {"verified", probe(TLS{CAFile: roots})}} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			before := processCPU(b)
			for b.Loop() {
				x.f(b)
			}
			spent := processCPU(b) - before
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

func writeCertificate(b *testing.B, c *x509.Certificate) (file string) {
	b.Helper()
	file = filepath.Join(b.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
		b.Fatal(err)
	}
	return file
}

// count counts the delivered codes.
func count(arrivals []arrival) (good, bad int) {
	for _, a := range arrivals {
		for _, s := range a.batch.Samples {
			name := s.Labels.Get("__name__")
			switch {
			case !strings.HasSuffix(name, "_code") || name == metricHTTPStatusCode:
			case s.V == 0:
				good++
			default:
				bad++
			}
		}
	}
	return good, bad
}

// processCPU is the CPU time that this process has used.
func processCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
