package kafka

import (
	"context"
	"net/http"

	"watchkeeper/exporters/middleware/jolokia"
	"watchkeeper/exporters/middleware/server"
)

// gauge is one attribute of one bean of a broker and what becomes of it.
type gauge struct {
	mbean, attribute string
	metric           string
	factor           float64
	request          string // the dimension of a request's times
}

// identifying are the beans by which a broker and a controller are known: a
// broker has the first, a controller that is no broker the second.
var identifying = []gauge{
	{mbean: "kafka.server:type=ReplicaManager,name=UnderReplicatedPartitions", attribute: "Value", metric: metricUnderReplicatedPartitions, factor: 1},
	{mbean: "kafka.controller:type=KafkaController,name=ActiveControllerCount", attribute: "Value", metric: metricActiveController, factor: 1},
}

// others are beans that a version or role may lack.
var others = []gauge{
	{"kafka.server:type=ReplicaManager,name=UnderMinIsrPartitionCount", "Value", metricUnderMinISRPartitions, 1, ""},
	{"kafka.server:type=ReplicaManager,name=OfflineReplicaCount", "Value", metricOfflineReplicas, 1, ""},
	{"kafka.server:type=ReplicaManager,name=PartitionCount", "Value", metricBrokerPartitions, 1, ""},
	{"kafka.server:type=ReplicaManager,name=LeaderCount", "Value", metricBrokerLeaders, 1, ""},
	{"kafka.server:type=ReplicaManager,name=IsrShrinksPerSec", "Count", metricISRShrinksTotal, 1, ""},
	{"kafka.server:type=ReplicaManager,name=IsrExpandsPerSec", "Count", metricISRExpandsTotal, 1, ""},
	{"kafka.controller:type=KafkaController,name=OfflinePartitionsCount", "Value", metricOfflinePartitions, 1, ""},
	{"kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec", "Count", metricMessagesInTotal, 1, ""},
	{"kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec", "Count", metricBytesInTotal, 1, ""},
	{"kafka.server:type=BrokerTopicMetrics,name=BytesOutPerSec", "Count", metricBytesOutTotal, 1, ""},
	{"kafka.server:type=BrokerTopicMetrics,name=FailedProduceRequestsPerSec", "Count", metricFailedProduceTotal, 1, ""},
	{"kafka.server:type=BrokerTopicMetrics,name=FailedFetchRequestsPerSec", "Count", metricFailedFetchTotal, 1, ""},
	{"kafka.network:type=RequestChannel,name=RequestQueueSize", "Value", metricRequestQueueSize, 1, ""},
	{"kafka.server:type=KafkaRequestHandlerPool,name=RequestHandlerAvgIdlePercent", "OneMinuteRate", metricRequestHandlerIdlePercent, 100, ""},
	{"kafka.network:type=SocketServer,name=NetworkProcessorAvgIdlePercent", "Value", metricNetworkProcessorIdlePercent, 100, ""},
}

// requestTimes are the times of a request, in milliseconds.
var requestTimes = []struct{ name, metric string }{
	{"RequestQueueTimeMs", metricRequestQueueTimeP99Seconds},
	{"ResponseQueueTimeMs", metricResponseQueueTimeP99Seconds},
	{"TotalTimeMs", metricRequestTimeP99Seconds},
}

// gauges lists all that a broker is asked for, the identifying ones first.
func gauges() []gauge {
	all := append(append([]gauge{}, identifying...), others...)
	for _, t := range requestTimes {
		for _, request := range []string{"Produce", "FetchConsumer", "FetchFollower"} {
			mbean := "kafka.network:type=RequestMetrics,name=" + t.name + ",request=" + request
			all = append(all, gauge{mbean, "99thPercentile", t.metric, 0.001, request})
		}
	}
	return all
}

type broker struct {
	client *jolokia.Client
	gauges []gauge
}

func newBroker(cfg Config) (server.Reader, server.Secret, error) {
	web, err := server.NewClient(cfg.HTTP)
	if err != nil {
		return nil, server.Secret{}, err
	}
	b := broker{gauges: gauges()}
	var requests []jolokia.Request
	for _, g := range b.gauges {
		requests = append(requests, jolokia.Read(g.mbean, g.attribute, ""))
	}
	if b.client, err = jolokia.NewClient(web, requests); err != nil {
		return nil, server.Secret{}, err
	}
	return b, web.Secrets()[0], nil
}

// Read implements server.Reader.
func (b broker) Read(ctx context.Context, out *server.Reading) error {
	answers, err := b.client.Read(ctx)
	if err != nil {
		return err
	}
	known := false
	for i, a := range answers[:len(identifying)] {
		if a.Status == http.StatusNotFound {
			continue
		}
		if err := a.Failure(b.gauges[i].mbean); err != nil {
			return err
		}
		known = true
	}
	if !known {
		return server.Failed(server.ReasonFormat, "a JVM without the beans of a Kafka broker or controller")
	}
	for i, a := range answers {
		b.gauges[i].add(a, out)
	}
	return nil
}

// add adds the value; a bean that is not there has none.
func (g gauge) add(a jolokia.Answer, out *server.Reading) {
	if a.Status == http.StatusNotFound {
		return
	}
	if err := a.Failure(g.mbean); err != nil {
		out.Miss("beans", err)
		return
	}
	v, err := a.Number()
	if err != nil {
		out.Miss("beans", server.Failed(server.ReasonFormat, "%s: %s: %w", g.mbean, g.attribute, err))
		return
	}
	var dims []string
	if g.request != "" {
		dims = []string{"request", g.request}
	}
	out.Add(g.metric, v*g.factor, dims...)
}
