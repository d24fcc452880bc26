package kafka

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

func build(t testing.TB, cfg Config) *server.Collector {
	t.Helper()
	c, err := New("acme", cfg, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bean is an attribute that the JVM of the stand-in has; status is 200 where it is not set.
type bean struct {
	MBean     string `json:"mbean"`
	Attribute string `json:"attribute"`
	Value     any    `json:"value"`
	status    int
	error     string
}

// beans are those recorded from a JVM behind Jolokia's engine.
func beans(t testing.TB) []bean {
	t.Helper()
	var all []bean
	if err := json.Unmarshal(servertest.Recorded(t, "beans.json"), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// canonical is an object name with its keys in order, as Jolokia prints it.
func canonical(name string) string {
	domain, keys, _ := strings.Cut(name, ":")
	pairs := strings.Split(keys, ",")
	slices.Sort(pairs)
	return domain + ":" + strings.Join(pairs, ",")
}

// jvm stands in for Jolokia: it answers bulk reads of the given beans, 404
// within the answer for others.
func jvm(t testing.TB, have []bean) server.HTTP {
	t.Helper()
	type answer struct {
		Request bean   `json:"request"`
		Value   any    `json:"value,omitempty"`
		Type    string `json:"error_type,omitempty"`
		Error   string `json:"error,omitempty"`
		Status  int    `json:"status"`
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked []bean
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/jolokia" || json.Unmarshal(body, &asked) != nil {
			http.NotFound(w, r)
			return
		}
		var answers []answer
		for _, q := range asked {
			i := slices.IndexFunc(have, func(b bean) bool { return b.MBean == canonical(q.MBean) && b.Attribute == q.Attribute })
			switch {
			case i < 0:
				const missing = "javax.management.InstanceNotFoundException"
				answers = append(answers, answer{Request: q, Type: missing, Error: missing + " : " + q.MBean, Status: 404})
			case have[i].status != 0:
				answers = append(answers, answer{Request: q, Error: have[i].error, Status: have[i].status})
			default:
				answers = append(answers, answer{Request: q, Value: have[i].Value, Status: 200})
			}
		}
		_ = json.NewEncoder(w).Encode(answers)
	}))
	t.Cleanup(web.Close)
	return server.HTTP{URL: web.URL + "/jolokia"}
}

func broken(have []bean, name string, status int, text string) []bean {
	have = slices.Clone(have)
	for i := range have {
		if strings.Contains(have[i].MBean, name) {
			have[i].status, have[i].error = status, text
		}
	}
	return have
}

var broker1 = server.Settings{Name: "kafka-1"}

func TestBroker(t *testing.T) {
	servertest.Golden(t, "broker.golden", servertest.Collect(t, build(t, Config{Settings: broker1, HTTP: jvm(t, beans(t))})))
}

// A controller that is no broker has none of a broker's beans; that is no failure.
func TestController(t *testing.T) {
	have := slices.DeleteFunc(beans(t), func(b bean) bool { return !strings.HasPrefix(b.MBean, "kafka.controller:") })
	got := servertest.Values(servertest.Collect(t, build(t, Config{Settings: broker1, HTTP: jvm(t, have)})))
	want := map[string]float64{"kafka_active_controller": 1, "kafka_offline_partitions": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestBrokerRefused(t *testing.T) {
	f := func(have []bean, reason string) {
		t.Helper()
		servertest.WantReason(t, build(t, Config{Settings: broker1, HTTP: jvm(t, have)}), reason)
	}
	f(nil, server.ReasonFormat) // another JVM
	f(broken(beans(t), "name=UnderReplicatedPartitions", 403, "not allowed"), server.ReasonDenied)
	f(broken(beans(t), "name=UnderReplicatedPartitions", 500, "broken"), server.ReasonStatus)
}

// What only one bean lacks is missed alone.
func TestBrokerMisses(t *testing.T) {
	set := metrics.NewSet()
	have := broken(beans(t), "name=PartitionCount", 403, "not allowed")
	for i := range have {
		if strings.Contains(have[i].MBean, "name=LeaderCount") {
			have[i].Value = "many"
		}
	}
	c, err := New("acme", Config{Settings: broker1, HTTP: jvm(t, have)}, set, servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	values := servertest.Values(servertest.Collect(t, c))
	for _, series := range []string{metricBrokerPartitions, metricBrokerLeaders} {
		if v, ok := values[series]; ok {
			t.Errorf("%s is %v, want no sample", series, v)
		}
	}
	if _, ok := values[metricUnderReplicatedPartitions]; !ok {
		t.Error("the others are missed too")
	}
	if n := set.GetOrCreateCounter(`watchkeeper_middleware_part_failures_total{kind="kafka",part="beans"}`).Get(); n != 2 {
		t.Errorf("missed %d times, want 2", n)
	}
}

func TestBrokerFailures(t *testing.T) {
	servertest.HTTPFailures(t, func(t testing.TB, s server.Settings, h server.HTTP) exporters.Collector {
		return build(t, Config{Settings: s, HTTP: h})
	})
}
