package memcached

import (
	"net"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

func build(t testing.TB, s server.Settings, address string) exporters.Collector {
	t.Helper()
	c, err := New("acme", Config{Settings: s, Address: address}, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve answers the command stats and keeps the connection, as memcached does.
func serve(t testing.TB, answer string) exporters.Collector {
	t.Helper()
	l := servertest.Listen(t, func(c net.Conn) {
		buf := make([]byte, 100)
		n, _ := c.Read(buf)
		if string(buf[:n]) == "stats\r\n" {
			_, _ = c.Write([]byte(answer))
		}
		_, _ = c.Read(buf)
	})
	return build(t, server.Settings{Name: "cache-1"}, l.Addr().String())
}

func TestSeries(t *testing.T) {
	servertest.Golden(t, "series.golden", servertest.Collect(t, serve(t, string(servertest.Recorded(t, "stats.txt")))))
}

func TestFailures(t *testing.T) {
	servertest.TCPFailures(t, build)
	f := func(what, answer, reason string) {
		t.Run(what, func(t *testing.T) { servertest.WantReason(t, serve(t, answer), reason) })
	}
	f("wants a log-in", "CLIENT_ERROR unauthenticated\r\n", server.ReasonAuth)
	f("another server", "-ERR unknown command\r\nERROR\r\n", server.ReasonFormat)
	f("nothing in it", "END\r\n", server.ReasonFormat)
	f("endless", strings.Repeat("STAT a 1\r\n", 800_000), server.ReasonTooLarge)
}
