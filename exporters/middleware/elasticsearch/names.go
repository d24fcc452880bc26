package elasticsearch

// Of the cluster.
const (
	metricClusterStatus = "elasticsearch_cluster_status" // 1 green, 2 yellow, 3 red
	metricNodes         = "elasticsearch_nodes"          // by kind: all, data
	metricShards        = "elasticsearch_shards"         // by state
	metricPendingTasks  = "elasticsearch_pending_tasks"
)

// Of a node; all carry the label `node`.
const (
	metricOpenFileDescriptors = "elasticsearch_node_open_file_descriptors"
	metricMaxFileDescriptors  = "elasticsearch_node_max_file_descriptors"
	metricCPUUsedPercent      = "elasticsearch_node_cpu_used_percent"
	metricHeapUsedPercent     = "elasticsearch_node_heap_used_percent"
	metricHeapUsedBytes       = "elasticsearch_node_heap_used_bytes"
	metricHeapMaxBytes        = "elasticsearch_node_heap_max_bytes"
	metricUptimeSeconds       = "elasticsearch_node_uptime_seconds"
	metricDiskTotalBytes      = "elasticsearch_node_disk_total_bytes"
	metricDiskAvailableBytes  = "elasticsearch_node_disk_available_bytes"
	metricGCTotal             = "elasticsearch_node_garbage_collections_total" // by collector
	metricGCSecondsTotal      = "elasticsearch_node_garbage_collection_seconds_total"
)
