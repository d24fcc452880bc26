package zookeeper

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

// serve answers mntr and closes the connection, as ZooKeeper does.
func serve(t testing.TB, answer string) exporters.Collector {
	t.Helper()
	l := servertest.Listen(t, func(c net.Conn) {
		buf := make([]byte, 100)
		if n, _ := c.Read(buf); string(buf[:n]) == "mntr" {
			_, _ = c.Write([]byte(answer))
		}
	})
	return build(t, server.Settings{Name: "zk-1"}, l.Addr().String())
}

func TestSeries(t *testing.T) {
	answer := string(servertest.Recorded(t, "mntr.txt"))
	servertest.Golden(t, "series.golden", servertest.Collect(t, serve(t, answer)))
	servertest.Golden(t, "series.golden", servertest.Collect(t, serve(t, strings.ReplaceAll(answer, "\n", "\r\n"))))
	before36 := strings.Replace(answer, "zk_learners", "zk_followers", 1)
	servertest.Golden(t, "series.golden", servertest.Collect(t, serve(t, before36)))
}

func TestFailures(t *testing.T) {
	servertest.TCPFailures(t, build)
	f := func(what, answer, reason string) {
		t.Run(what, func(t *testing.T) { servertest.WantReason(t, serve(t, answer), reason) })
	}
	f("not allowed", "mntr is not executed because it is not in the whitelist.\n", server.ReasonDenied)
	f("without quorum", "This ZooKeeper instance is not currently serving requests\n", server.ReasonStatus)
	f("another server", "HTTP/1.1 400 Bad Request\r\n\r\n", server.ReasonFormat)
	f("endless", strings.Repeat("zk_a\t1\n", 800_000), server.ReasonTooLarge)
}
