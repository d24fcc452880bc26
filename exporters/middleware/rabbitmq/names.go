package rabbitmq

// Of a node; all carry the label `node`.
const (
	metricDiskFreeBytes        = "rabbitmq_disk_free_bytes"
	metricDiskFreeLimitBytes   = "rabbitmq_disk_free_limit_bytes"
	metricMemoryUsedBytes      = "rabbitmq_memory_used_bytes"
	metricMemoryLimitBytes     = "rabbitmq_memory_limit_bytes"
	metricFileDescriptorsUsed  = "rabbitmq_file_descriptors_used"
	metricFileDescriptorsLimit = "rabbitmq_file_descriptors_limit"
	metricProcessesUsed        = "rabbitmq_erlang_processes_used"
	metricProcessesLimit       = "rabbitmq_erlang_processes_limit"
	metricSocketsUsed          = "rabbitmq_sockets_used"
	metricSocketsLimit         = "rabbitmq_sockets_limit"
	metricHealthCode           = "rabbitmq_health_code"
	metricNodeRunning          = "rabbitmq_node_running"
	metricUptimeSeconds        = "rabbitmq_uptime_seconds"
	metricAlarm                = "rabbitmq_alarm" // by alarm: memory, disk
	metricPartitions           = "rabbitmq_partitions"
	metricRunQueue             = "rabbitmq_run_queue"
)

// Of the cluster.
const (
	metricInfo              = "rabbitmq_info" // versions
	metricObjects           = "rabbitmq_objects"
	metricMessages          = "rabbitmq_messages" // by state: ready, unacknowledged
	metricMessageEventTotal = "rabbitmq_message_events_total"
	metricQueueMessages     = "rabbitmq_queue_messages" // of a queue, by state
	metricQueueConsumers    = "rabbitmq_queue_consumers"
	metricQueueMemoryBytes  = "rabbitmq_queue_memory_bytes"
)
