package rabbitmq

import (
	"strconv"

	"watchkeeper/exporters/middleware/server"
)

// number is a figure that may be absent, null, or a word: disk_free is
// "disk_free_monitoring_disabled" where the node cannot tell.
type number struct {
	value float64
	known bool
}

// UnmarshalJSON never fails.
func (n *number) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(string(b), 64)
	*n = number{v, err == nil}
	return nil
}

func isTrue(b *bool) bool { return b != nil && *b }

// node is one element of /api/nodes. For some seconds after a node's start, and
// for a node that is down, the figures are null or absent.
type node struct {
	Name          string   `json:"name"`
	Running       bool     `json:"running"`
	MemAlarm      *bool    `json:"mem_alarm"`
	DiskFreeAlarm *bool    `json:"disk_free_alarm"`
	Partitions    []string `json:"partitions"`

	DiskFree      number `json:"disk_free"`
	DiskFreeLimit number `json:"disk_free_limit"`
	MemUsed       number `json:"mem_used"`
	MemLimit      number `json:"mem_limit"`
	FDUsed        number `json:"fd_used"`
	FDTotal       number `json:"fd_total"`
	ProcUsed      number `json:"proc_used"`
	ProcTotal     number `json:"proc_total"`
	SocketsUsed   number `json:"sockets_used"`
	SocketsTotal  number `json:"sockets_total"`
	UptimeMS      number `json:"uptime"`
	RunQueue      number `json:"run_queue"`
}

// add adds a node's figures; checked tells what the node's own health checks say.
func (n node) add(out *server.Reading, checked bool) {
	add := func(metric string, n number, divisor float64, node string) {
		if n.known {
			out.Add(metric, n.value/divisor, "node", node)
		}
	}
	add(metricDiskFreeBytes, n.DiskFree, 1, n.Name)
	add(metricDiskFreeLimitBytes, n.DiskFreeLimit, 1, n.Name)
	add(metricMemoryUsedBytes, n.MemUsed, 1, n.Name)
	add(metricMemoryLimitBytes, n.MemLimit, 1, n.Name)
	add(metricFileDescriptorsUsed, n.FDUsed, 1, n.Name)
	add(metricFileDescriptorsLimit, n.FDTotal, 1, n.Name)
	add(metricProcessesUsed, n.ProcUsed, 1, n.Name)
	add(metricProcessesLimit, n.ProcTotal, 1, n.Name)
	add(metricSocketsUsed, n.SocketsUsed, 1, n.Name)
	add(metricSocketsLimit, n.SocketsTotal, 1, n.Name)
	add(metricUptimeSeconds, n.UptimeMS, 1000, n.Name)
	add(metricRunQueue, n.RunQueue, 1, n.Name)
	healthy := checked && n.Running && !isTrue(n.MemAlarm) && !isTrue(n.DiskFreeAlarm) && len(n.Partitions) == 0
	out.Add(metricHealthCode, flag(!healthy), "node", n.Name)
	out.Add(metricNodeRunning, flag(n.Running), "node", n.Name)
	if n.Running {
		for alarm, raised := range map[string]*bool{"memory": n.MemAlarm, "disk": n.DiskFreeAlarm} {
			if raised != nil {
				out.Add(metricAlarm, flag(*raised), "node", n.Name, "alarm", alarm)
			}
		}
		out.Add(metricPartitions, float64(len(n.Partitions)), "node", n.Name)
	}
}

// overview is /api/overview.
type overview struct {
	Node          string             `json:"node"`
	ClusterName   string             `json:"cluster_name"`
	Version       string             `json:"rabbitmq_version"`
	ErlangVersion string             `json:"erlang_version"`
	ObjectTotals  map[string]float64 `json:"object_totals"`
	QueueTotals   struct {
		Ready          number `json:"messages_ready"`
		Unacknowledged number `json:"messages_unacknowledged"`
	} `json:"queue_totals"`
	// MessageStats has only the events that happened, and objects with rates
	// beside the counts.
	MessageStats map[string]any `json:"message_stats"`
}

// messageEvents are the counts that are delivered.
var messageEvents = []string{"publish", "confirm", "return_unroutable", "drop_unroutable", "deliver_get", "redeliver", "ack"}

func (o overview) add(out *server.Reading) {
	out.Add(metricInfo, 1, "version", o.Version, "erlang_version", o.ErlangVersion, "cluster_name", o.ClusterName)
	for _, kind := range []string{"connections", "channels", "exchanges", "queues", "consumers"} {
		if v, ok := o.ObjectTotals[kind]; ok {
			out.Add(metricObjects, v, "kind", kind)
		}
	}
	addMessages(out, metricMessages, o.QueueTotals.Ready, o.QueueTotals.Unacknowledged)
	for _, event := range messageEvents {
		if v, ok := o.MessageStats[event].(float64); ok {
			out.Add(metricMessageEventTotal, v, "event", event)
		}
	}
}

// queue is one element of /api/queues; a queue without a live leader has no figures.
type queue struct {
	Name           string `json:"name"`
	VHost          string `json:"vhost"`
	Ready          number `json:"messages_ready"`
	Unacknowledged number `json:"messages_unacknowledged"`
	Consumers      number `json:"consumers"`
	Memory         number `json:"memory"`
}

func (q queue) add(out *server.Reading) {
	labels := []string{"vhost", q.VHost, "queue", q.Name}
	addMessages(out, metricQueueMessages, q.Ready, q.Unacknowledged, labels...)
	if q.Consumers.known {
		out.Add(metricQueueConsumers, q.Consumers.value, labels...)
	}
	if q.Memory.known {
		out.Add(metricQueueMemoryBytes, q.Memory.value, labels...)
	}
}

func addMessages(out *server.Reading, metric string, ready, unacknowledged number, labels ...string) {
	labels = labels[:len(labels):len(labels)]
	if ready.known {
		out.Add(metric, ready.value, append(labels, "state", "ready")...)
	}
	if unacknowledged.known {
		out.Add(metric, unacknowledged.value, append(labels, "state", "unacknowledged")...)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
