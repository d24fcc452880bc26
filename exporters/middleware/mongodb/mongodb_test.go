package mongodb

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.mongodb.org/mongo-driver/v2/bson"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

const (
	user     = "mon"
	password = "s3cr3t/pass+word"
)

func config(t testing.TB, s server.Settings, address string) Config {
	return Config{Settings: s, Address: address, Credentials: server.Credentials{Username: user, PasswordFile: servertest.PasswordFile(t, password)}}
}

func collector(t testing.TB, cfg Config) (*server.Collector, *metrics.Set) {
	t.Helper()
	set := metrics.NewSet()
	c, err := New("acme", cfg, set, servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c, set
}

func build(t testing.TB, s server.Settings, address string) exporters.Collector {
	c, _ := collector(t, config(t, s, address))
	return c
}

// answers are the recorded answers of one server by command.
type answers map[string]bson.D

func recorded(t testing.TB, name string) answers {
	t.Helper()
	var all answers
	if err := bson.UnmarshalExtJSON(servertest.Recorded(t, name), false, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// server is a stand-in with access control.
func (a answers) server(t testing.TB) *standIn {
	return &standIn{t: t, user: user, password: password, answer: func(name, _ string, _ bson.Raw) bson.D { return a[name] }}
}

var settings = server.Settings{Name: "db-1", Timeout: model.Duration(20 * time.Second)}

// Three sorts of server, read by the real driver over the real protocol.
func TestSeries(t *testing.T) {
	f := func(name string) {
		t.Run(name, func(t *testing.T) {
			c, set := collector(t, config(t, settings, recorded(t, name+".json").server(t).listen(t, nil)))
			servertest.Golden(t, name+".golden", servertest.Collect(t, c))
			if missed := missedParts(set); len(missed) != 0 {
				t.Errorf("missed %v", missed)
			}
		})
	}
	f("member")
	f("standalone")
	f("mongos")
}

func missedParts(set *metrics.Set) []string {
	return slices.DeleteFunc(set.ListMetricNames(), func(name string) bool { return !strings.Contains(name, "part_failures") })
}

func part(name string) string {
	return fmt.Sprintf(`watchkeeper_middleware_part_failures_total{kind="mongodb",part=%q}`, name)
}

// A router is asked for its own operations and never for a replica set.
func TestCommands(t *testing.T) {
	s := recorded(t, "mongos.json").server(t)
	var pipeline string
	answer := s.answer
	s.answer = func(name, database string, command bson.Raw) bson.D {
		if name == "aggregate" {
			pipeline = command.Lookup("pipeline").String()
		}
		if name == "dbStats" && database != "config" {
			t.Errorf("dbStats of %s", database)
		}
		return answer(name, database, command)
	}
	servertest.Collect(t, build(t, settings, s.listen(t, nil)))
	if diff := cmp.Diff([]string{"serverStatus", "aggregate", "listDatabases", "dbStats"}, s.commands()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if !strings.Contains(pipeline, `"localOps": true`) && !strings.Contains(pipeline, `"localOps":true`) {
		t.Errorf("pipeline %s", pipeline)
	}
}

// What the user may not see is missed; the rest is delivered, and nothing ends.
func TestDenied(t *testing.T) {
	a := recorded(t, "member.json")
	c, set := collector(t, config(t, settings, a.server(t).listen(t, nil)))
	before := servertest.CollectAt(t, c, servertest.At)
	denied := refusal(13, "Unauthorized", "not authorized on admin to execute command")
	a["replSetGetStatus"], a["aggregate"], a["dbStats"] = denied, denied, denied
	b := servertest.CollectAt(t, c, servertest.At)
	values := servertest.Values(b.Samples)
	if values["mongodb_uptime_seconds"] != 86400.25 || len(b.Ends) != 0 || len(b.Samples) >= len(before.Samples) {
		t.Errorf("%d samples, ends %v", len(b.Samples), b.Ends)
	}
	if diff := cmp.Diff([]string{part("databases"), part("operations"), part("replica set")}, slices.Sorted(slices.Values(missedParts(set)))); diff != "" {
		t.Errorf("missed (-want +got):\n%s", diff)
	}
	// Nothing was known to be gone; what is gone when it may be seen again ends.
	a["replSetGetStatus"] = recorded(t, "standalone.json")["replSetGetStatus"]
	ended := make(map[string]bool)
	for _, e := range servertest.CollectAt(t, c, servertest.At).Ends {
		ended[e.Labels.Get("__name__")+" "+e.Labels.Get("member")+" "+e.Reason] = true
	}
	if !ended["mongodb_rs_member_state mongo-4:27017 removed"] || !ended["mongodb_rs_state  removed"] || ended["mongodb_database_objects  deleted"] {
		t.Errorf("ended %v", ended)
	}
}

func TestThingsThatGo(t *testing.T) {
	a := recorded(t, "member.json")
	c, _ := collector(t, config(t, settings, a.server(t).listen(t, nil)))
	servertest.CollectAt(t, c, servertest.At)
	a["listDatabases"] = bson.D{{Key: "databases", Value: bson.A{bson.D{{Key: "name", Value: "admin"}}, bson.D{{Key: "name", Value: "local"}}}}, {Key: "ok", Value: 1.0}}
	members := lookup(t, a["replSetGetStatus"], "members").(bson.A)
	a["replSetGetStatus"] = replace(a["replSetGetStatus"], "members", members[:3])
	ended := make(map[string]int)
	for _, e := range servertest.CollectAt(t, c, servertest.At).Ends {
		ended[e.Labels.Get("database")+e.Labels.Get("member")+" "+e.Reason]++
	}
	if diff := cmp.Diff(map[string]int{"shop deleted": len(databaseFigures), "mongo-4:27017 removed": 2}, ended); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

func lookup(t testing.TB, d bson.D, key string) any {
	t.Helper()
	for _, e := range d {
		if e.Key == key {
			return e.Value
		}
	}
	t.Fatalf("no %s", key)
	return nil
}

func replace(d bson.D, key string, value any) bson.D {
	d = slices.Clone(d)
	for i := range d {
		if d[i].Key == key {
			d[i].Value = value
		}
	}
	return d
}

// Without a primary there is no lag, and the count says why.
func TestNoPrimary(t *testing.T) {
	a := recorded(t, "member.json")
	members := slices.Clone(lookup(t, a["replSetGetStatus"], "members").(bson.A))
	members[1] = replace(replace(members[1].(bson.D), "health", 0.0), "state", int32(8))
	a["replSetGetStatus"] = replace(a["replSetGetStatus"], "members", members)
	values := servertest.Values(servertest.Collect(t, build(t, settings, a.server(t).listen(t, nil))))
	got := map[string]float64{}
	for name, v := range values {
		if strings.Contains(name, "lag_seconds") || name == metricPrimaries || name == metricMembersHealthy || name == metricPrimarySince {
			got[name] = v
		}
	}
	if diff := cmp.Diff(map[string]float64{metricPrimaries: 0, metricMembersHealthy: 2}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// More databases than asked for: the first by name, and the part is missed.
func TestDatabasesLimit(t *testing.T) {
	f := func(limit int, want, missed int) {
		t.Helper()
		cfg := config(t, settings, recorded(t, "member.json").server(t).listen(t, nil))
		cfg.Databases = limit
		c, set := collector(t, cfg)
		values := servertest.Values(servertest.Collect(t, c))
		n := 0
		for name := range values {
			if strings.HasPrefix(name, "mongodb_database_objects{") {
				n++
			}
		}
		if n != want || len(missedParts(set)) != missed {
			t.Errorf("limit %d: %d databases, missed %v", limit, n, missedParts(set))
		}
	}
	f(0, 3, 0)
	f(2, 2, 1)
	f(-1, 0, 0)
}

func TestFailures(t *testing.T) {
	servertest.TCPFailures(t, build)
	answering := func(name, reason string, change func(*standIn, answers)) {
		t.Run(name, func(t *testing.T) {
			a := recorded(t, "member.json")
			s := a.server(t)
			change(s, a)
			servertest.WantReason(t, build(t, settings, s.listen(t, nil)), reason)
		})
	}
	answering("wrong password", server.ReasonAuth, func(s *standIn, _ answers) { s.password = "another" })
	answering("unknown user", server.ReasonAuth, func(s *standIn, _ answers) { s.user = "another" })
	answering("no role", server.ReasonDenied, func(_ *standIn, a answers) {
		a["serverStatus"] = refusal(13, "Unauthorized", "not authorized on admin to execute command { serverStatus: 1, pwd: \""+password+"\" }")
	})
	answering("no such command", server.ReasonStatus, func(_ *standIn, a answers) { delete(a, "serverStatus") })
	answering("shutting down", server.ReasonStatus, func(_ *standIn, a answers) {
		a["serverStatus"] = refusal(91, "ShutdownInProgress", "The server is in quiesce mode and will shut down")
	})
	answering("another document", server.ReasonFormat, func(_ *standIn, a answers) { a["serverStatus"] = bson.D{{Key: "ok", Value: 1.0}} })
	answering("members that are none", server.ReasonFormat, func(_ *standIn, a answers) {
		a["replSetGetStatus"] = bson.D{{Key: "members", Value: "none"}, {Key: "ok", Value: 1.0}}
	})
	answering("too large", server.ReasonTooLarge, func(_ *standIn, a answers) {
		a["serverStatus"] = bson.D{{Key: "ok", Value: 1.0}, {Key: "page", Value: strings.Repeat(password, 10<<20/len(password))}}
	})
	t.Run("too old", func(t *testing.T) {
		l := servertest.Listen(t, func(c net.Conn) {
			answerHello(t, c, bson.D{{Key: "ismaster", Value: true}, {Key: "maxWireVersion", Value: int32(5)}, {Key: "ok", Value: 1.0}})
		})
		servertest.WantReason(t, build(t, settings, l.Addr().String()), server.ReasonStatus)
	})
	t.Run("a hello that is refused", func(t *testing.T) {
		l := servertest.Listen(t, func(c net.Conn) {
			answerHello(t, c, refusal(323, "APIVersionError", "The apiVersion parameter is required"))
		})
		servertest.WantReason(t, build(t, settings, l.Addr().String()), server.ReasonStatus)
	})
	garbage := func(name, answer, reason string) {
		t.Run(name, func(t *testing.T) {
			l := servertest.Listen(t, func(c net.Conn) {
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, answer)
				_, _ = c.Read(make([]byte, 4096))
			})
			servertest.WantReason(t, build(t, settings, l.Addr().String()), reason)
		})
	}
	garbage("another protocol", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", server.ReasonFormat)
	garbage("a message without length", "\x00\x00\x00\x00"+password, server.ReasonFormat)
	garbage("a message that is none", "\x20\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00 garbage garbage", server.ReasonFormat)
}

// answerHello answers the first question and waits for the end.
func answerHello(t testing.TB, c net.Conn, hello bson.D) {
	request := make([]byte, 4096)
	if _, err := c.Read(request); err != nil {
		return
	}
	doc, err := bson.Marshal(hello)
	if err != nil {
		t.Error(err)
	}
	out := make([]byte, 36, 36+len(doc))
	out = append(out, doc...)
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	copy(out[8:12], request[4:8])
	binary.LittleEndian.PutUint32(out[12:], opReply)
	binary.LittleEndian.PutUint32(out[32:], 1)
	_, _ = c.Write(out)
	_, _ = c.Read(request)
}

// A server that answers the first commands and is silent from then on.
func TestHangsInTheMiddle(t *testing.T) {
	s := recorded(t, "member.json").server(t)
	done := make(chan struct{})
	answer := s.answer
	s.answer = func(name, database string, command bson.Raw) bson.D {
		if name == "aggregate" {
			<-done
		}
		return answer(name, database, command)
	}
	defer close(done)
	servertest.WantReason(t, build(t, server.Settings{Name: "db-1", Timeout: model.Duration(time.Second)}, s.listen(t, nil)), server.ReasonTimeout)
}

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	own := &tls.Config{Certificates: web.TLS.Certificates}
	encrypted := func(cfg Config, trust server.TLS) Config {
		cfg.UseTLS, cfg.TLS = true, trust
		return cfg
	}
	a := recorded(t, "member.json")
	trusted := server.TLS{CAFile: ca, ServerName: "example.com"}
	c, _ := collector(t, encrypted(config(t, settings, a.server(t).listen(t, own)), trusted))
	if values := servertest.Values(servertest.Collect(t, c)); values["mongodb_uptime_seconds"] != 86400.25 {
		t.Errorf("got %v", values)
	}
	f := func(name, reason string, cfg Config) {
		t.Run(name, func(t *testing.T) {
			c, _ := collector(t, cfg)
			servertest.WantReason(t, c, reason)
		})
	}
	f("certificate of a stranger", server.ReasonTLS, encrypted(config(t, settings, a.server(t).listen(t, own)), server.TLS{}))
	f("certificate of another name", server.ReasonTLS, encrypted(config(t, settings, a.server(t).listen(t, own)), server.TLS{CAFile: ca, ServerName: "another.example.org"}))
	f("TLS where there is none", server.ReasonTLS, encrypted(config(t, settings, a.server(t).listen(t, nil)), trusted))
	// A server that wants TLS says nothing to one that does not speak it.
	f("no TLS where it is wanted", server.ReasonClosed, config(t, settings, servertest.Listen(t, func(c net.Conn) {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, _ = c.Read(make([]byte, 4096))
	}).Addr().String()))
	silent := servertest.Listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }).Addr().String()
	f("a handshake that hangs", server.ReasonTimeout, encrypted(config(t, server.Settings{Name: "db-1", Timeout: model.Duration(150 * time.Millisecond)}, silent), trusted))
	f("nobody listens", server.ReasonConnect, encrypted(config(t, settings, closedPort(t)), trusted))
}

func closedPort(t testing.TB) string {
	l := servertest.Listen(t, func(net.Conn) {})
	l.Close()
	return l.Addr().String()
}

// A check leaves no connection behind: everything that the driver opened is closed.
func TestNothingStaysOpen(t *testing.T) {
	a := recorded(t, "member.json")
	opened, ended := make(chan struct{}, 16), make(chan struct{}, 16)
	s := a.server(t)
	l := servertest.Listen(t, func(c net.Conn) {
		opened <- struct{}{}
		(&session{standIn: s}).serve(c)
		ended <- struct{}{}
	})
	servertest.Collect(t, build(t, settings, l.Addr().String()))
	n := len(opened)
	if n == 0 || n > 2 {
		t.Errorf("%d connections, want one or two", n)
	}
	for range n {
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatal("a connection stays open")
		}
	}
}

// A database that is hidden from the user hides no other, and none ends.
func TestHiddenDatabase(t *testing.T) {
	s := recorded(t, "member.json").server(t)
	answer, hide := s.answer, false
	s.answer = func(name, database string, command bson.Raw) bson.D {
		if hide && name == "dbStats" && database == "admin" {
			return refusal(13, "Unauthorized", "not authorized on admin")
		}
		return answer(name, database, command)
	}
	c, set := collector(t, config(t, settings, s.listen(t, nil)))
	servertest.CollectAt(t, c, servertest.At)
	hide = true
	b := servertest.CollectAt(t, c, servertest.At)
	values := servertest.Values(b.Samples)
	if values[`mongodb_database_objects{database="shop"}`] != 340_000 || values[metricFilesystemSize] != 105e9 || len(b.Ends) != 0 {
		t.Errorf("got %v and ends %v", values, b.Ends)
	}
	if diff := cmp.Diff([]string{part("databases")}, missedParts(set)); diff != "" {
		t.Errorf("missed (-want +got):\n%s", diff)
	}
}

// A member before its set is initiated, and one that was removed from it.
func TestNoSetYet(t *testing.T) {
	f := func(code int32, name string) {
		a := recorded(t, "member.json")
		a["replSetGetStatus"] = refusal(code, name, "no config")
		c, set := collector(t, config(t, settings, a.server(t).listen(t, nil)))
		values := servertest.Values(servertest.Collect(t, c))
		if _, ok := values[metricIsMember]; ok || values[metricLongOperations] != 1 {
			t.Errorf("%s: got %v", name, values)
		}
		if diff := cmp.Diff([]string{part("replica set")}, missedParts(set)); diff != "" {
			t.Errorf("%s: missed (-want +got):\n%s", name, diff)
		}
	}
	f(93, "InvalidReplicaSetConfig")
	f(94, "NotYetInitialized")
}
