package kafka

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"fmt"
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
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

var orders = server.Settings{Name: "orders"}

// patient are settings whose checks are not cut short by a busy machine.
func patient() server.Settings {
	return server.Settings{Name: "orders", Timeout: model.Duration(30 * time.Second)}
}

func fake(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	opts = append([]kfake.Opt{kfake.NumBrokers(1), kfake.ClusterID("orders-cluster"), kfake.SeedTopics(2, "orders"), kfake.SeedTopics(1, "returns")}, opts...)
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// user is a client of a fake cluster as its applications have it.
func user(t testing.TB, c *kfake.Cluster) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func produce(t testing.TB, client *kgo.Client, topic string, partition int32, n int) {
	t.Helper()
	for range n {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte("message")}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func commit(t testing.TB, client *kgo.Client, group, topic string, partition int32, offset int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, offset, -1)
	if err := kadm.NewClient(client).CommitAllOffsets(t.Context(), group, offsets); err != nil {
		t.Fatal(err)
	}
}

// filled is a cluster with three groups: one behind, one at the end, one of a topic alone.
func filled(t testing.TB, opts ...kfake.Opt) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	c := fake(t, opts...)
	client := user(t, c)
	produce(t, client, "orders", 0, 10)
	produce(t, client, "orders", 1, 5)
	produce(t, client, "returns", 0, 3)
	commit(t, client, "billing", "orders", 0, 4)
	commit(t, client, "billing", "orders", 1, 5)
	commit(t, client, "billing", "returns", 0, 0)
	commit(t, client, "shipping", "orders", 0, 10)
	commit(t, client, "console-consumer-1", "orders", 0, 1)
	return c, client
}

func TestCluster(t *testing.T) {
	c, _ := filled(t)
	servertest.Golden(t, "cluster.golden", servertest.Collect(t, build(t, Config{Settings: patient(), Brokers: c.ListenAddrs()})))
}

func lagSeries(values map[string]float64) map[string]float64 {
	lags := make(map[string]float64)
	for series, v := range values {
		if strings.HasPrefix(series, "kafka_consumer_group") {
			lags[series] = v
		}
	}
	return lags
}

// The totals count every partition, whatever is delivered one by one.
func TestGroupsAndPartitions(t *testing.T) {
	c, _ := filled(t)
	cfg := Config{Settings: patient(), Brokers: c.ListenAddrs(), Groups: "billing|ship.*", Partitions: 1}
	want := map[string]float64{
		`kafka_consumer_groups`:                                                                     2,
		`kafka_consumer_group_empty{group="billing"}`:                                               1,
		`kafka_consumer_group_empty{group="shipping"}`:                                              1,
		`kafka_consumer_group_lag_messages{group="billing"}`:                                        9,
		`kafka_consumer_group_lag_messages{group="shipping"}`:                                       0,
		`kafka_consumer_group_topic_lag_messages{group="billing",topic="orders"}`:                   6,
		`kafka_consumer_group_topic_lag_messages{group="billing",topic="returns"}`:                  3,
		`kafka_consumer_group_topic_lag_messages{group="shipping",topic="orders"}`:                  0,
		`kafka_consumer_group_partition_lag_messages{group="billing",partition="0",topic="orders"}`: 6,
		`kafka_consumer_group_partition_offset{group="billing",partition="0",topic="orders"}`:       4,
	}
	if diff := cmp.Diff(want, lagSeries(servertest.Values(servertest.Collect(t, build(t, cfg))))); diff != "" {
		t.Errorf("one partition (-want +got):\n%s", diff)
	}
	cfg.Partitions = -1
	got := lagSeries(servertest.Values(servertest.Collect(t, build(t, cfg))))
	for series := range want {
		if _, ok := got[series]; ok == strings.HasPrefix(series, "kafka_consumer_group_partition_") {
			t.Errorf("no partitions: %s delivered is %t", series, ok)
		}
	}
}

// A consumer that runs is not an empty group; its lag follows what it commits.
func TestConsumer(t *testing.T) {
	c, client := filled(t)
	consumer, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumerGroup("billing"), kgo.ConsumeTopics("orders"),
		kgo.DisableAutoCommit())
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := 0; n < 6; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		n += fetches.NumRecords()
	}
	if err := consumer.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	produce(t, client, "orders", 1, 2)
	values := servertest.Values(servertest.Collect(t, build(t, Config{Settings: patient(), Brokers: c.ListenAddrs()})))
	for series, want := range map[string]float64{
		`kafka_consumer_group_empty{group="billing"}`:                             0,
		`kafka_consumer_group_empty{group="shipping"}`:                            1,
		`kafka_consumer_group_topic_lag_messages{group="billing",topic="orders"}`: 2,
	} {
		if got, ok := values[series]; !ok || got != want {
			t.Errorf("%s is %v (%t), want %v", series, got, ok, want)
		}
	}
}

// A group that is deleted ends its series.
func TestGroupDeleted(t *testing.T) {
	fc, client := filled(t)
	c := build(t, Config{Settings: patient(), Brokers: fc.ListenAddrs()})
	if ends := servertest.CollectAt(t, c, servertest.At).Ends; len(ends) != 0 {
		t.Fatalf("%d series ended at first", len(ends))
	}
	if _, err := kadm.NewClient(client).DeleteGroups(t.Context(), "shipping"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range servertest.CollectAt(t, c, servertest.At.Add(time.Minute)).Ends {
		got = append(got, e.Labels.Get("__name__")+" "+e.Labels.Get("group")+" "+e.Reason)
	}
	slices.Sort(got)
	want := []string{"kafka_consumer_group_empty shipping deleted", "kafka_consumer_group_lag_messages shipping deleted",
		"kafka_consumer_group_partition_lag_messages shipping deleted", "kafka_consumer_group_partition_offset shipping deleted",
		"kafka_consumer_group_topic_lag_messages shipping deleted"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

// Every broker has its count of led partitions that lack replicas; one that left the
// cluster ends its series.
func TestUnderReplicated(t *testing.T) {
	brokers := []int32{1, 2}
	fc := fake(t)
	host, port := addressOf(t, fc)
	fc.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fc.KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		resp.ControllerID = 1
		for _, id := range brokers {
			resp.Brokers = append(resp.Brokers, kmsg.MetadataResponseBroker{NodeID: id, Host: host, Port: port})
		}
		name := "orders"
		resp.Topics = []kmsg.MetadataResponseTopic{{Topic: &name, Partitions: []kmsg.MetadataResponseTopicPartition{
			{Partition: 0, Leader: 1, Replicas: []int32{1, 2}, ISR: []int32{1, 2}},
			{Partition: 1, Leader: 1, Replicas: []int32{1, 2}, ISR: []int32{1}},
			{Partition: 2, Leader: -1, Replicas: []int32{2}, ISR: nil},
		}}}
		return resp, nil, true
	})
	c := build(t, Config{Settings: patient(), Brokers: fc.ListenAddrs()})
	values := servertest.Values(servertest.Collect(t, c))
	for series, want := range map[string]float64{
		`kafka_under_replicated_partitions{node="1"}`: 1, `kafka_under_replicated_partitions{node="2"}`: 0,
		"kafka_offline_partitions": 1, "kafka_partitions": 3, "kafka_topics": 1, "kafka_brokers": 2,
	} {
		if got, ok := values[series]; !ok || got != want {
			t.Errorf("%s is %v (%t), want %v", series, got, ok, want)
		}
	}
	brokers = []int32{1}
	ends := servertest.CollectAt(t, c, servertest.At.Add(time.Minute)).Ends
	if len(ends) != 1 || ends[0].Labels.Get("node") != "2" || ends[0].Reason != "left the cluster" {
		t.Errorf("ended: %v", ends)
	}
}

func addressOf(t testing.TB, c *kfake.Cluster) (string, int32) {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", c.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	return addr.IP.String(), int32(addr.Port)
}

// What a user may not see is missed; the rest is delivered, and nothing ends.
func TestGroupsRefused(t *testing.T) {
	fc, _ := filled(t)
	set := metrics.NewSet()
	c, err := New("acme", Config{Settings: patient(), Brokers: fc.ListenAddrs()}, set, servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	servertest.Collect(t, c)
	fc.ControlKey(int16(kmsg.ListGroups), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fc.KeepControl()
		resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp, nil, true
	})
	b := servertest.CollectAt(t, c, servertest.At)
	values := servertest.Values(b.Samples)
	if len(lagSeries(values)) != 0 || values["kafka_topics"] != 2 || len(b.Ends) != 0 {
		t.Errorf("delivered %v, ended %v", values, b.Ends)
	}
	if n := set.GetOrCreateCounter(`watchkeeper_middleware_part_failures_total{kind="kafka",part="groups"}`).Get(); n != 1 {
		t.Errorf("missed %d times, want 1", n)
	}
}

// A broker that does not list its groups hides no other's, and none of its own
// has ended.
func TestGroupsOfOneBroker(t *testing.T) {
	fc, client := filled(t, kfake.NumBrokers(2))
	groups := []string{"billing", "shipping", "console-consumer-1"}
	for i := 0; fc.CoordinatorFor(groups[len(groups)-1]) == fc.CoordinatorFor("billing"); i++ {
		groups = append(groups, fmt.Sprint("more-", i))
		commit(t, client, groups[len(groups)-1], "orders", 0, 1)
	}
	silent := fc.CoordinatorFor("billing")
	c := build(t, Config{Settings: patient(), Brokers: fc.ListenAddrs()})
	servertest.Collect(t, c)
	fc.ControlKey(int16(kmsg.ListGroups), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fc.KeepControl()
		if fc.CurrentNode() != silent {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	b := servertest.CollectAt(t, c, servertest.At)
	values := servertest.Values(b.Samples)
	for _, g := range groups {
		if _, ok := values[fmt.Sprintf("kafka_consumer_group_lag_messages{group=%q}", g)]; ok != (fc.CoordinatorFor(g) != silent) {
			t.Errorf("group %s, of broker %d, delivered is %t", g, fc.CoordinatorFor(g), ok)
		}
	}
	if len(b.Ends) != 0 {
		t.Errorf("%d series ended", len(b.Ends))
	}
}

// password is the one that servertest looks for in errors.
const password = "s3cr3t/pass+word"

func TestSASL(t *testing.T) {
	for _, m := range []struct{ ours, theirs string }{{"plain", "PLAIN"}, {"scram-sha-256", "SCRAM-SHA-256"}, {"scram-sha-512", "SCRAM-SHA-512"}} {
		t.Run(m.ours, func(t *testing.T) {
			fc := fake(t, kfake.EnableSASL(), kfake.Superuser(m.theirs, "mon", password))
			cfg := Config{Settings: patient(), Brokers: fc.ListenAddrs(), SASL: m.ours}
			cfg.Credentials = server.Credentials{Username: "mon", PasswordFile: servertest.PasswordFile(t, password)}
			if v := servertest.Values(servertest.Collect(t, build(t, cfg))); v["kafka_topics"] != 2 {
				t.Errorf("delivered %v", v)
			}
			cfg.Username = "other"
			servertest.WantReason(t, build(t, cfg), server.ReasonAuth)
			cfg.Username, cfg.PasswordFile = "mon", servertest.PasswordFile(t, "s3cr3t")
			servertest.WantReason(t, build(t, cfg), server.ReasonAuth)
			cfg.PasswordFile = filepath.Join(t.TempDir(), "none")
			servertest.WantReason(t, build(t, cfg), server.ReasonConfig)
		})
	}
}

// Brokers since 1.0 say that they refuse a user; the fake hangs up, as older ones do.
func TestSASLRefusedInWords(t *testing.T) {
	fc := fake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "mon", password))
	fc.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
		fc.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		resp.ErrorMessage = kmsg.StringPtr("Authentication failed: Invalid username or password")
		return resp, nil, true
	})
	cfg := Config{Settings: patient(), Brokers: fc.ListenAddrs(), SASL: "plain"}
	cfg.Credentials = server.Credentials{Username: "mon", PasswordFile: servertest.PasswordFile(t, password)}
	servertest.WantReason(t, build(t, cfg), server.ReasonAuth)
}

// A mechanism that the cluster does not take, and none where it wants one.
func TestSASLMismatch(t *testing.T) {
	fc := fake(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "mon", password))
	cfg := Config{Settings: patient(), Brokers: fc.ListenAddrs()}
	servertest.WantReason(t, build(t, cfg), server.ReasonAuth)
	cfg.SASL, cfg.Credentials = "plain", server.Credentials{Username: "mon", PasswordFile: servertest.PasswordFile(t, password)}
	servertest.WantReason(t, build(t, cfg), server.ReasonAuth)
}

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	fc := fake(t, kfake.TLS(&tls.Config{Certificates: web.TLS.Certificates}))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Settings: patient(), Brokers: fc.ListenAddrs(), UseTLS: true}
	cfg.CAFile = ca
	if v := servertest.Values(servertest.Collect(t, build(t, cfg))); v["kafka_topics"] != 2 {
		t.Errorf("delivered %v", v)
	}
	cfg.CAFile = ""
	servertest.WantReason(t, build(t, cfg), server.ReasonTLS) // a stranger's certificate
	cfg.CAFile, cfg.ServerName = ca, "kafka.example.net"
	servertest.WantReason(t, build(t, cfg), server.ReasonTLS)                                                       // another server's
	servertest.WantReason(t, build(t, Config{Settings: patient(), Brokers: fc.ListenAddrs()}), server.ReasonClosed) // which a Java broker would call TLS
	// The fake waits for the end of what it takes for a request.
	plain := fake(t)
	hasty := server.Settings{Name: "orders", Timeout: model.Duration(2 * time.Second)}
	servertest.WantReason(t, build(t, Config{Settings: hasty, Brokers: plain.ListenAddrs(), UseTLS: true}), server.ReasonTLS)
}

// answering is a server that answers the first request with bytes.
func answering(t testing.TB, answer func(request []byte) []byte) []string {
	t.Helper()
	l := servertest.Listen(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		_, _ = c.Write(answer(buf[:n]))
		_, _ = c.Read(buf) // until the client has had enough
	})
	return []string{l.Addr().String()}
}

func TestClusterFailures(t *testing.T) {
	f := func(name, reason string, answer func([]byte) []byte) {
		t.Run(name, func(t *testing.T) {
			servertest.WantReason(t, build(t, Config{Settings: patient(), Brokers: answering(t, answer)}), reason)
		})
	}
	f("garbage", server.ReasonFormat, func([]byte) []byte { return []byte("\xfe\xff\x16garbage") })
	f("another protocol", server.ReasonFormat, func([]byte) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") })
	f("TLS alert", server.ReasonTLS, func([]byte) []byte { return []byte{21, 3, 3, 0, 2, 2, 70} })
	f("10 MB", server.ReasonTooLarge, func(request []byte) []byte {
		b := binary.BigEndian.AppendUint32(nil, 10<<20)
		b = append(b, request[8:12]...) // correlation id
		return append(b, make([]byte, 10<<20)...)
	})
	servertest.TCPFailures(t, func(t testing.TB, s server.Settings, address string) exporters.Collector {
		return build(t, Config{Settings: s, Brokers: []string{address}})
	})
}

// A broker that does not tell the groups' states and takes one group a request.
func TestOldBroker(t *testing.T) {
	fc, _ := filled(t, kfake.MaxVersions(kversion.V1_0_0()))
	got := lagSeries(servertest.Values(servertest.Collect(t, build(t, Config{Settings: patient(), Brokers: fc.ListenAddrs(), Partitions: -1}))))
	want := map[string]float64{
		`kafka_consumer_groups`:                                                              3,
		`kafka_consumer_group_lag_messages{group="billing"}`:                                 9,
		`kafka_consumer_group_lag_messages{group="console-consumer-1"}`:                      9,
		`kafka_consumer_group_lag_messages{group="shipping"}`:                                0,
		`kafka_consumer_group_topic_lag_messages{group="billing",topic="orders"}`:            6,
		`kafka_consumer_group_topic_lag_messages{group="billing",topic="returns"}`:           3,
		`kafka_consumer_group_topic_lag_messages{group="console-consumer-1",topic="orders"}`: 9,
		`kafka_consumer_group_topic_lag_messages{group="shipping",topic="orders"}`:           0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// One broker of the list is enough.
func TestSeedDown(t *testing.T) {
	l := servertest.Listen(t, func(net.Conn) {})
	l.Close()
	fc := fake(t)
	c := build(t, Config{Settings: patient(), Brokers: append([]string{l.Addr().String()}, fc.ListenAddrs()...)})
	if v := servertest.Values(servertest.Collect(t, c)); v["kafka_topics"] != 2 {
		t.Errorf("delivered %v", v)
	}
}

func TestValidate(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		c.Settings = orders
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
	brokers := []string{"h:9092"}
	file := server.Credentials{Username: "mon", PasswordFile: "p"}
	f(Config{}, "url: exactly one of url and brokers must be set")
	f(Config{HTTP: server.HTTP{URL: "http://h/"}, Brokers: brokers}, "url: exactly one of url and brokers must be set")
	f(Config{HTTP: server.HTTP{URL: "http://h/"}, SASL: "plain"}, "sasl: goes with brokers, not with url")
	f(Config{HTTP: server.HTTP{URL: "http://h/"}, Groups: "a"}, "groups: goes with brokers, not with url")
	f(Config{Brokers: []string{"h:9092", "h"}}, `brokers[1]: "h": want host:port or unix:/path`)
	f(Config{Brokers: []string{"unix:/x"}}, `brokers[0]: "unix:/x": want host:port`)
	f(Config{Brokers: make([]string, 21)}, "brokers: more than 20")
	f(Config{Brokers: brokers, SASL: "gssapi", HTTP: server.HTTP{Credentials: file}}, `sasl: "gssapi" is not one of plain, scram-sha-256, scram-sha-512`)
	f(Config{Brokers: brokers, SASL: "plain"}, "sasl: plain needs username, and password_file or password_env")
	f(Config{Brokers: brokers, HTTP: server.HTTP{Credentials: file}}, "sasl: must not be empty where a user or password is given")
	f(Config{Brokers: brokers, Partitions: 2001}, "partitions: 2001 is not between -1 and 2000")
	f(Config{Brokers: brokers, Groups: "("}, fmt.Sprintf("groups: error parsing regexp: missing closing ): `%s`", "^(?:()$"))
	f(Config{Brokers: brokers, SASL: "plain", HTTP: server.HTTP{Credentials: file}}, "")
}
