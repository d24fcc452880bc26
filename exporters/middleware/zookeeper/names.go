package zookeeper

// metricInfo carries the version and the server's part in its ensemble
// (standalone, leader, follower, observer).
const metricInfo = "zookeeper_info"

// figures maps the fields of mntr to metrics. Latencies are milliseconds there.
var figures = []struct {
	field, metric string
	divisor       float64
}{
	{"zk_approximate_data_size", "zookeeper_data_bytes", 1},
	{"zk_avg_latency", "zookeeper_latency_average_seconds", 1000},
	{"zk_max_latency", "zookeeper_latency_max_seconds", 1000},
	{"zk_min_latency", "zookeeper_latency_min_seconds", 1000},
	{"zk_ephemerals_count", "zookeeper_ephemerals", 1},
	{"zk_max_file_descriptor_count", "zookeeper_max_file_descriptors", 1},
	{"zk_open_file_descriptor_count", "zookeeper_open_file_descriptors", 1},
	{"zk_num_alive_connections", "zookeeper_connections", 1},
	{"zk_outstanding_requests", "zookeeper_outstanding_requests", 1},
	{"zk_packets_received", "zookeeper_packets_received_total", 1},
	{"zk_packets_sent", "zookeeper_packets_sent_total", 1},
	{"zk_watch_count", "zookeeper_watches", 1},
	{"zk_znode_count", "zookeeper_znodes", 1},
	{"zk_uptime", "zookeeper_uptime_seconds", 1000},
	// Of a leader only. zk_followers became zk_learners with 3.6.
	{"zk_followers", "zookeeper_followers", 1},
	{"zk_learners", "zookeeper_followers", 1},
	{"zk_synced_followers", "zookeeper_followers_synced", 1},
	{"zk_pending_syncs", "zookeeper_pending_syncs", 1},
	{"zk_quorum_size", "zookeeper_quorum_size", 1},
}
