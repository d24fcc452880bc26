package probe

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
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
