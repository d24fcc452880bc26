package sqlserver

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/property"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Whatever a server sends at whatever time, the check ends with one failure, or
// with the figures where the garbage was none.
func TestAnyAnswer(t *testing.T) {
	var garbage atomic.Pointer[[]byte]
	var at atomic.Int32
	l := servertest.Listen(t, func(c net.Conn) {
		for i := int32(0); ; i++ {
			if _, _, err := readMessage(c); err != nil {
				return
			}
			message := *garbage.Load()
			if i < at.Load() {
				message = prelogin(encryptNotSup)
			}
			if writeMessage(c, packetReply, message) != nil || i == at.Load() {
				return
			}
		}
	})
	cfg := config(t, settings, l.Addr().String())
	property.Check(t, func(t *rapid.T) {
		tokens := rapid.SampledFrom([]byte{tokenColumns, tokenError, tokenLoginAck, tokenRow, tokenEnvChg, tokenDone, 0xAB, 0xAE, 0xD2, 0x79, 0xFF})
		message := append([]byte{tokens.Draw(t, "token")}, rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "rest")...)
		garbage.Store(&message)
		at.Store(rapid.Int32Range(0, 1).Draw(t, "message"))
		c, err := New("acme", cfg, metrics.NewSet(), servertest.Log)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Collect(t.Context(), servertest.At, new(servertest.Sink))
		var f *server.Failure
		if err == nil || !errors.As(err, &f) || f.Reason == server.ReasonTimeout || f.Reason == server.ReasonOther {
			t.Fatalf("error %v", err)
		}
	})
}
