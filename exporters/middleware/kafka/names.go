package kafka

// Of a broker, by JMX.
const (
	metricUnderReplicatedPartitions   = "kafka_under_replicated_partitions" // also of every broker of a cluster
	metricUnderMinISRPartitions       = "kafka_under_min_isr_partitions"
	metricOfflineReplicas             = "kafka_offline_replicas"
	metricBrokerPartitions            = "kafka_broker_partitions"
	metricBrokerLeaders               = "kafka_broker_leaders"
	metricISRShrinksTotal             = "kafka_isr_shrinks_total"
	metricISRExpandsTotal             = "kafka_isr_expands_total"
	metricActiveController            = "kafka_active_controller"
	metricOfflinePartitions           = "kafka_offline_partitions" // of a controller; also of a cluster
	metricMessagesInTotal             = "kafka_messages_in_total"
	metricBytesInTotal                = "kafka_bytes_in_total"
	metricBytesOutTotal               = "kafka_bytes_out_total"
	metricFailedProduceTotal          = "kafka_failed_produce_requests_total"
	metricFailedFetchTotal            = "kafka_failed_fetch_requests_total"
	metricRequestQueueSize            = "kafka_request_queue_size"
	metricRequestHandlerIdlePercent   = "kafka_request_handler_idle_percent"
	metricNetworkProcessorIdlePercent = "kafka_network_processor_idle_percent"
)

// Of a broker's requests, by request: Produce, FetchConsumer, FetchFollower.
const (
	metricRequestQueueTimeP99Seconds  = "kafka_request_queue_time_p99_seconds"
	metricResponseQueueTimeP99Seconds = "kafka_response_queue_time_p99_seconds"
	metricRequestTimeP99Seconds       = "kafka_request_time_p99_seconds"
)

// Of a cluster and its consumer groups, by the Kafka protocol.
const (
	metricInfo               = "kafka_info"
	metricBrokers            = "kafka_brokers"
	metricTopics             = "kafka_topics"
	metricPartitions         = "kafka_partitions"
	metricGroups             = "kafka_consumer_groups"
	metricGroupEmpty         = "kafka_consumer_group_empty"              // by group
	metricGroupLagMessages   = "kafka_consumer_group_lag_messages"       // by group
	metricTopicLagMessages   = "kafka_consumer_group_topic_lag_messages" // by group, topic
	metricPartitionLag       = "kafka_consumer_group_partition_lag_messages"
	metricPartitionCommitted = "kafka_consumer_group_partition_offset" // by group, topic, partition
)
