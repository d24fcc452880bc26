//go:build services

package middleware

import (
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/kafka"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/services/ports"
)

// A real JVM with the beans of a Kafka broker, read through Jolokia's real
// engine: Debian has no Kafka.
func TestKafkaBroker(t *testing.T) {
	t.Parallel()
	dir, port := folder(t), ports.Free(t)
	compile(t, dir, "testdata/Target.java", "testdata/Broker.java")
	url := "http://127.0.0.1:" + port + "/jolokia"
	cfg := kafka.Config{Settings: server.Settings{Name: "kafka-1"}, HTTP: server.HTTP{URL: url}}
	c := must(kafka.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
	d := startTarget(t, dir, "Broker", port)
	answers(t, d, c)

	ask := func(body string) string { return client(t, nil, "curl", "-sfm", "20", "-d", body, url) }
	read := func(bean, attribute string) float64 {
		out := ask(`{"type":"read","mbean":"` + bean + `","attribute":"` + attribute + `"}`)
		_, out, _ = strings.Cut(out, `"value":`)
		out, _, _ = strings.Cut(out, ",")
		return number(t, out)
	}
	write := func(bean, attribute, value string) {
		if out := ask(`{"type":"write","mbean":"` + bean + `","attribute":"` + attribute + `","value":` + value + `}`); !strings.Contains(out, `"status":200`) {
			t.Fatalf("write: %s", out)
		}
	}
	const (
		underReplicated = "kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions"
		requestQueue    = "kafka.network:type=RequestMetrics,name=RequestQueueTimeMs,request=Produce"
		responseQueue   = "kafka.network:type=RequestMetrics,name=ResponseQueueTimeMs,request=FetchConsumer"
	)
	j := newJudge(t)
	v := j.check(t, c)
	j.want(t, "healthy", "!kafka-under-replicated", "!kafka-queue-time", "!kafka-response-time")
	near(t, v, "kafka_messages_in_total", read("kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec", "Count"), 0)
	near(t, v, `kafka_request_queue_time_p99_seconds{request="Produce"}`, read(requestQueue, "99thPercentile")/1000, 0)
	near(t, v, "kafka_request_handler_idle_percent", 100*read("kafka.server:type=KafkaRequestHandlerPool,name=RequestHandlerAvgIdlePercent", "OneMinuteRate"), 0)

	write(underReplicated, "Value", "3")
	write(requestQueue, "99thPercentile", "3000.5")
	write(responseQueue, "99thPercentile", "3000.5")
	j.check(t, c)
	j.want(t, "replicas lag behind, queues are long", "kafka-under-replicated", "kafka-queue-time", "kafka-response-time")
	write(underReplicated, "Value", "0")
	write(requestQueue, "99thPercentile", "3000")
	write(responseQueue, "99thPercentile", "3000")
	j.check(t, c)
	j.want(t, "in step again, queues at the limit", "!kafka-under-replicated", "!kafka-queue-time", "!kafka-response-time")
	d.kill()
	fails(t, c, server.ReasonConnect)
}
