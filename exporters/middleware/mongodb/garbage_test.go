package mongodb

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync/atomic"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/property"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Whatever a server answers to hello, the check ends with one failure.
func TestAnyHello(t *testing.T) {
	var garbage atomic.Pointer[[]byte]
	l := servertest.Listen(t, func(c net.Conn) {
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			_, _ = c.Write(*garbage.Load())
		}
	})
	cfg := config(t, settings, l.Addr().String())
	property.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "body")
		// The length may be right, and the operation one that there is.
		message := []byte{byte(len(body) + 16), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, rapid.SampledFrom([]byte{0, opReply}).Draw(t, "operation"), 0, 0, 0}
		message[rapid.IntRange(0, 3).Draw(t, "at")] ^= rapid.SampledFrom([]byte{0, 0, 1, 0x40}).Draw(t, "wrong")
		message = append(message, body...)
		garbage.Store(&message)
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

// Documents of another shape than the recorded ones make figures or a failure of
// one part, and no panic.
func TestAnyShape(t *testing.T) {
	whole := recorded(t, "member.json")
	values := rapid.SampledFrom([]any{int32(1), int64(-5), 2.5, "text", true, nil, bson.A{}, bson.A{bson.D{{Key: "name", Value: 1}}}, bson.D{},
		bson.D{{Key: "ts", Value: "x"}}, bson.DateTime(0), bson.Timestamp{T: 1}})
	property.Check(t, func(t *rapid.T) {
		all := maps.Clone(whole)
		name := rapid.SampledFrom([]string{"serverStatus", "replSetGetStatus", "aggregate", "listDatabases", "dbStats"}).Draw(t, "command")
		doc := all[name]
		doc = replace(doc, doc[rapid.IntRange(0, len(doc)-1).Draw(t, "key")].Key, values.Draw(t, "value"))
		all[name] = doc
		out := server.New("acme", product, server.Settings{Name: "db-1"}, direct{new(reader), all}, nil, metrics.NewSet(), servertest.Log)
		err := out.Collect(t.Context(), servertest.At, new(servertest.Sink))
		var f *server.Failure
		if err != nil && (!errors.As(err, &f) || f.Reason != server.ReasonFormat) {
			t.Fatalf("error %v", err)
		}
	})
}

// direct is a server.Reader over recorded answers.
type direct struct {
	*reader
	answers answers
}

func (d direct) Read(ctx context.Context, out *server.Reading) error {
	return (&line{check: ctx, ctx: ctx}).explain(d.read(ctx, d, out))
}

func (d direct) run(_ context.Context, _ string, command bson.D) (bson.Raw, error) {
	return bson.Marshal(d.answers[command[0].Key])
}
