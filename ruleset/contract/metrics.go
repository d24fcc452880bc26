package contract

// Type is a metric's type in Prometheus's sense.
type Type string

// The two types that the collectors deliver.
const (
	Gauge   Type = "gauge"
	Counter Type = "counter"
)

// Metric declares one metric name: what a collector must deliver under it and
// what a rule may expect of it.
type Metric struct {
	Name   string
	Type   Type
	Unit   string // base unit of the value: "percent", "bytes", "seconds", "state", "1" …
	Source string // who delivers it: "aliyun/<CloudMonitor namespace>", "host", "probe", "middleware/<name>"
	// Labels are the dimensions that identify a series besides IdentityLabels.
	// A source may lack some of them; it never adds others.
	Labels []string
	// Info are labels that describe instead of identify. Only metrics that end
	// in _info have them; they are joined for display.
	Info []string
	Help string
}

// IdentityLabels are carried by the series of every metric. Region is absent
// where the resource has none.
var IdentityLabels = []string{"customer", "product", "region", "instance"}

// Values of the label product.
const (
	ProductECS           = "ecs"
	ProductRDS           = "rds"
	ProductSLB           = "slb"
	ProductKVStore       = "kvstore"
	ProductMongoDB       = "mongodb"
	ProductDRDS          = "drds"
	ProductCDN           = "cdn"
	ProductESCloud       = "es-cloud" // Elasticsearch as Alibaba Cloud's product
	ProductHost          = "host"
	ProductProcess       = "process"
	ProductPing          = "ping"
	ProductWebsite       = "website"
	ProductPort          = "port"
	ProductUDP           = "udp"     // a UDP port
	ProductDNS           = "dns"     // a question to a name server
	ProductVantage       = "vantage" // a place from which probes look
	ProductApache        = "apache"
	ProductNginx         = "nginx"
	ProductPHP           = "php"
	ProductJava          = "java"
	ProductTomcat        = "tomcat"
	ProductMySQL         = "mysql"
	ProductIIS           = "iis"
	ProductDocker        = "docker"
	ProductZooKeeper     = "zookeeper"
	ProductRabbitMQ      = "rabbitmq"
	ProductKafka         = "kafka"
	ProductElasticsearch = "elasticsearch" // Elasticsearch on the customer's own hosts
	ProductKubernetes    = "kubernetes"
)

// Alibaba Cloud, by CloudMonitor. The collector maps the names that different
// agents and architectures use for one quantity to one of these.
const (
	AliyunECSCPUUtilizationPercent    = "aliyun_ecs_cpu_utilization_percent"
	AliyunECSDiskUtilizationPercent   = "aliyun_ecs_disk_utilization_percent"
	AliyunECSMemoryUtilizationPercent = "aliyun_ecs_memory_utilization_percent"
	AliyunECSIOWaitPercent            = "aliyun_ecs_iowait_percent"
	AliyunECSInodeUtilizationPercent  = "aliyun_ecs_inode_utilization_percent"
	AliyunECSInfo                     = "aliyun_ecs_info"
	AliyunECSRunning                  = "aliyun_ecs_running"
	AliyunECSExpiryTimestampSeconds   = "aliyun_ecs_expiry_timestamp_seconds"

	AliyunRDSInfo           = "aliyun_rds_info"
	AliyunSLBInfo           = "aliyun_slb_info"
	AliyunALBInfo           = "aliyun_alb_info"
	AliyunKVStoreInfo       = "aliyun_kvstore_info"
	AliyunMemcacheInfo      = "aliyun_memcache_info"
	AliyunMongoDBInfo       = "aliyun_mongodb_info"
	AliyunDRDSInfo          = "aliyun_drds_info"
	AliyunCDNInfo           = "aliyun_cdn_info"
	AliyunElasticsearchInfo = "aliyun_elasticsearch_info"
	AliyunEIPInfo           = "aliyun_eip_info"
	AliyunOSSInfo           = "aliyun_oss_info"

	AliyunResources                         = "aliyun_resources"
	AliyunResourceRunning                   = "aliyun_resource_running"
	AliyunResourceExpiryTimestampSeconds    = "aliyun_resource_expiry_timestamp_seconds"
	AliyunResourceCreatedTimestampSeconds   = "aliyun_resource_created_timestamp_seconds"
	AliyunResourceFirstSeenTimestampSeconds = "aliyun_resource_first_seen_timestamp_seconds"

	AliyunRDSConnectionUtilizationPercent = "aliyun_rds_connection_utilization_percent"
	AliyunRDSReplicaLagSeconds            = "aliyun_rds_replica_lag_seconds"
	AliyunRDSIOPSUtilizationPercent       = "aliyun_rds_iops_utilization_percent"
	AliyunRDSCPUUtilizationPercent        = "aliyun_rds_cpu_utilization_percent"
	AliyunRDSDiskUtilizationPercent       = "aliyun_rds_disk_utilization_percent"
	AliyunRDSMemoryUtilizationPercent     = "aliyun_rds_memory_utilization_percent"

	AliyunSLBDroppedConnectionsPerSecond     = "aliyun_slb_dropped_connections_per_second"
	AliyunSLBMaxConnectionUtilizationPercent = "aliyun_slb_max_connection_utilization_percent"
	AliyunSLBQPSUtilizationPercent           = "aliyun_slb_qps_utilization_percent"
	AliyunSLBUnhealthyBackends               = "aliyun_slb_unhealthy_backends"

	AliyunKVStoreCPUUtilizationPercent        = "aliyun_kvstore_cpu_utilization_percent"
	AliyunKVStoreConnectionUtilizationPercent = "aliyun_kvstore_connection_utilization_percent"
	AliyunKVStoreMemoryUtilizationPercent     = "aliyun_kvstore_memory_utilization_percent"
	AliyunKVStoreQPSUtilizationPercent        = "aliyun_kvstore_qps_utilization_percent"

	AliyunMongoDBCPUUtilizationPercent        = "aliyun_mongodb_cpu_utilization_percent"
	AliyunMongoDBMemoryUtilizationPercent     = "aliyun_mongodb_memory_utilization_percent"
	AliyunMongoDBDiskUtilizationPercent       = "aliyun_mongodb_disk_utilization_percent"
	AliyunMongoDBIOPSUtilizationPercent       = "aliyun_mongodb_iops_utilization_percent"
	AliyunMongoDBConnectionUtilizationPercent = "aliyun_mongodb_connection_utilization_percent"

	AliyunDRDSCPUUtilizationPercent            = "aliyun_drds_cpu_utilization_percent"
	AliyunDRDSMemoryUtilizationPercent         = "aliyun_drds_memory_utilization_percent"
	AliyunDRDSLogicalResponseTimeMilliseconds  = "aliyun_drds_logical_response_time_milliseconds"
	AliyunDRDSPhysicalResponseTimeMilliseconds = "aliyun_drds_physical_response_time_milliseconds"

	AliyunCDNHitRatioPercent  = "aliyun_cdn_hit_ratio_percent"
	AliyunCDNQueriesPerSecond = "aliyun_cdn_queries_per_second"

	AliyunElasticsearchClusterStatus              = "aliyun_elasticsearch_cluster_status"
	AliyunElasticsearchNodeDiskUtilizationPercent = "aliyun_elasticsearch_node_disk_utilization_percent"
	AliyunElasticsearchNodeHeapUtilizationPercent = "aliyun_elasticsearch_node_heap_utilization_percent"
	AliyunElasticsearchNodeCPUUtilizationPercent  = "aliyun_elasticsearch_node_cpu_utilization_percent"
	AliyunElasticsearchNodeFullGCs                = "aliyun_elasticsearch_node_full_gcs"
	AliyunElasticsearchSnapshotStatus             = "aliyun_elasticsearch_snapshot_status"
)

// A host, read by the agent that runs on it.
const (
	HostInfo            = "host_info"
	HostECSInfo         = "host_ecs_info"
	HostUptimeSeconds   = "host_uptime_seconds"
	HostBootTimeSeconds = "host_boot_time_seconds"
	HostUsers           = "host_users"

	HostCPUUsedPercent   = "host_cpu_used_percent"
	HostCPUIOWaitPercent = "host_cpu_iowait_percent"
	HostCPUSecondsTotal  = "host_cpu_seconds_total"
	HostCPUCores         = "host_cpu_cores"
	HostLoad1            = "host_load1"
	HostLoad5            = "host_load5"
	HostLoad15           = "host_load15"
	HostLoad1PerCore     = "host_load1_per_core"
	HostProcesses        = "host_processes"
	HostProcessesRunning = "host_processes_running"
	HostProcessesBlocked = "host_processes_blocked"

	HostMemoryUsedPercent    = "host_memory_used_percent"
	HostMemoryAvailableBytes = "host_memory_available_bytes"
	HostMemoryTotalBytes     = "host_memory_total_bytes"
	HostMemoryUsedBytes      = "host_memory_used_bytes"
	HostMemoryFreeBytes      = "host_memory_free_bytes"
	HostMemoryCachedBytes    = "host_memory_cached_bytes"
	HostMemoryBuffersBytes   = "host_memory_buffers_bytes"
	HostSwapTotalBytes       = "host_swap_total_bytes"
	HostSwapUsedBytes        = "host_swap_used_bytes"

	HostFilesystemInfo              = "host_filesystem_info"
	HostFilesystemAvailablePercent  = "host_filesystem_available_percent"
	HostFilesystemAvailableBytes    = "host_filesystem_available_bytes"
	HostFilesystemSizeBytes         = "host_filesystem_size_bytes"
	HostFilesystemUsedBytes         = "host_filesystem_used_bytes"
	HostFilesystemInodesFreePercent = "host_filesystem_inodes_free_percent"
	HostFilesystemInodes            = "host_filesystem_inodes"
	HostFilesystemInodesFree        = "host_filesystem_inodes_free"

	HostDiskReadBytesTotal        = "host_disk_read_bytes_total"
	HostDiskWrittenBytesTotal     = "host_disk_written_bytes_total"
	HostDiskReadsTotal            = "host_disk_reads_total"
	HostDiskWritesTotal           = "host_disk_writes_total"
	HostDiskReadTimeSecondsTotal  = "host_disk_read_time_seconds_total"
	HostDiskWriteTimeSecondsTotal = "host_disk_write_time_seconds_total"
	HostDiskIOTimeSecondsTotal    = "host_disk_io_time_seconds_total"

	HostNetworkReceiveBytesTotal    = "host_network_receive_bytes_total"
	HostNetworkTransmitBytesTotal   = "host_network_transmit_bytes_total"
	HostNetworkReceivePacketsTotal  = "host_network_receive_packets_total"
	HostNetworkTransmitPacketsTotal = "host_network_transmit_packets_total"
	HostNetworkReceiveErrorsTotal   = "host_network_receive_errors_total"
	HostNetworkTransmitErrorsTotal  = "host_network_transmit_errors_total"
	HostNetworkReceiveDropsTotal    = "host_network_receive_drops_total"
	HostNetworkTransmitDropsTotal   = "host_network_transmit_drops_total"

	ProcessState = "process_state"
	ProcessCount = "process_count"
)

// Probes. A code of 0 is good; the others are the ProbeCode constants.
const (
	ProbeICMPCode                    = "probe_icmp_code"
	ProbeICMPRoundTripSeconds        = "probe_icmp_round_trip_seconds"
	ProbeTCPCode                     = "probe_tcp_code"
	ProbeTCPConnectDurationSeconds   = "probe_tcp_connect_duration_seconds"
	ProbeTCPExchangeDurationSeconds  = "probe_tcp_exchange_duration_seconds"
	ProbeUDPCode                     = "probe_udp_code"
	ProbeUDPExchangeDurationSeconds  = "probe_udp_exchange_duration_seconds"
	ProbeDNSCode                     = "probe_dns_code"
	ProbeDNSDurationSeconds          = "probe_dns_duration_seconds"
	ProbeDNSAnswers                  = "probe_dns_answers"
	ProbeHTTPCode                    = "probe_http_code"
	ProbeHTTPStatusCode              = "probe_http_status_code"
	ProbeHTTPDurationSeconds         = "probe_http_duration_seconds"
	ProbeHTTPPhaseDurationSeconds    = "probe_http_phase_duration_seconds"
	ProbeHTTPBodyBytes               = "probe_http_body_bytes"
	ProbeScriptFailedStep            = "probe_script_failed_step"
	ProbeScriptStepDurationSeconds   = "probe_script_step_duration_seconds"
	ProbeTLSNotAfterTimestampSeconds = "probe_tls_not_after_timestamp_seconds"

	ProbeTLSCertificateNotAfterTimestampSeconds = "probe_tls_certificate_not_after_timestamp_seconds"

	ProbeTLSVersion                 = "probe_tls_version"
	ProbeVantageOK                  = "probe_vantage_ok"
	ProbeVantageReferencesReached   = "probe_vantage_references_reached"
	ProbeVantageTargets             = "probe_vantage_targets"
	ProbeVantageTargetsGood         = "probe_vantage_targets_good"
	ProbeVantageMeanDurationSeconds = "probe_vantage_mean_duration_seconds"
)

// Middleware.
const (
	ApacheCPUUsedPercent = "apache_cpu_used_percent"
	ApacheUptimeSeconds  = "apache_uptime_seconds"

	NginxUptimeSeconds            = "nginx_uptime_seconds"
	NginxRestartSeenAgeSeconds    = "nginx_restart_seen_age_seconds"
	NginxConnectionsAcceptedTotal = "nginx_connections_accepted_total"

	PHPFPMListenQueue             = "phpfpm_listen_queue"
	PHPFPMMaxChildrenReachedTotal = "phpfpm_max_children_reached_total"

	JavaCPUUsedPercent     = "java_cpu_used_percent"
	JavaHeapUsedBytes      = "java_heap_used_bytes"
	JavaHeapMaxBytes       = "java_heap_max_bytes"
	JavaNonHeapUsedBytes   = "java_nonheap_used_bytes"
	JavaNonHeapMaxBytes    = "java_nonheap_max_bytes"
	JavaUptimeSeconds      = "java_uptime_seconds"
	TomcatCPUUsedPercent   = "tomcat_cpu_used_percent"
	TomcatHeapUsedBytes    = "tomcat_heap_used_bytes"
	TomcatHeapMaxBytes     = "tomcat_heap_max_bytes"
	TomcatNonHeapUsedBytes = "tomcat_nonheap_used_bytes"
	TomcatNonHeapMaxBytes  = "tomcat_nonheap_max_bytes"
	TomcatUptimeSeconds    = "tomcat_uptime_seconds"

	MySQLReplicaLagSeconds = "mysql_replica_lag_seconds"
	MySQLReplicaRunning    = "mysql_replica_running"

	IISUptimeSeconds    = "iis_uptime_seconds"
	IISServiceStartType = "iis_service_start_type"
	IISServiceState     = "iis_service_state"

	DockerContainerCPUUsedPercent   = "docker_container_cpu_used_percent"
	DockerContainerMemoryUsedBytes  = "docker_container_memory_used_bytes"
	DockerContainerMemoryLimitBytes = "docker_container_memory_limit_bytes"

	ZooKeeperLatencyAverageSeconds = "zookeeper_latency_average_seconds"
	ZooKeeperOutstandingRequests   = "zookeeper_outstanding_requests"
	ZooKeeperOpenFileDescriptors   = "zookeeper_open_file_descriptors"
	ZooKeeperMaxFileDescriptors    = "zookeeper_max_file_descriptors"

	RabbitMQDiskFreeBytes        = "rabbitmq_disk_free_bytes"
	RabbitMQDiskFreeLimitBytes   = "rabbitmq_disk_free_limit_bytes"
	RabbitMQMemoryUsedBytes      = "rabbitmq_memory_used_bytes"
	RabbitMQMemoryLimitBytes     = "rabbitmq_memory_limit_bytes"
	RabbitMQFileDescriptorsUsed  = "rabbitmq_file_descriptors_used"
	RabbitMQFileDescriptorsLimit = "rabbitmq_file_descriptors_limit"
	RabbitMQProcessesUsed        = "rabbitmq_erlang_processes_used"
	RabbitMQProcessesLimit       = "rabbitmq_erlang_processes_limit"
	RabbitMQSocketsUsed          = "rabbitmq_sockets_used"
	RabbitMQSocketsLimit         = "rabbitmq_sockets_limit"
	RabbitMQHealthCode           = "rabbitmq_health_code"

	// No row of the contract reads these; exporters differ about their names.
	RedisUptimeSeconds            = "redis_uptime_seconds"
	RedisClientsMax               = "redis_clients_max"
	RedisConnectedReplicas        = "redis_connected_replicas"
	RedisConnectionsRejectedTotal = "redis_connections_rejected_total"
	RedisKeysExpiredTotal         = "redis_keys_expired_total"
	RedisKeysEvictedTotal         = "redis_keys_evicted_total"
	RedisRDBLastBGSaveOK          = "redis_rdb_last_bgsave_ok"
	RedisAOFLastWriteOK           = "redis_aof_last_write_ok"
	RedisMasterLinkUp             = "redis_master_link_up"
	RedisMasterLastIOAgeSeconds   = "redis_master_last_io_age_seconds"

	KafkaUnderReplicatedPartitions   = "kafka_under_replicated_partitions"
	KafkaRequestQueueTimeP99Seconds  = "kafka_request_queue_time_p99_seconds"
	KafkaResponseQueueTimeP99Seconds = "kafka_response_queue_time_p99_seconds"

	ElasticsearchClusterStatus           = "elasticsearch_cluster_status"
	ElasticsearchNodeOpenFileDescriptors = "elasticsearch_node_open_file_descriptors"
	ElasticsearchNodeMaxFileDescriptors  = "elasticsearch_node_max_file_descriptors"
	ElasticsearchNodeCPUUsedPercent      = "elasticsearch_node_cpu_used_percent"
	ElasticsearchNodeHeapUsedPercent     = "elasticsearch_node_heap_used_percent"

	KubernetesDeploymentUnavailableReplicas = "kubernetes_deployment_unavailable_replicas"
	KubernetesNodeUnschedulable             = "kubernetes_node_unschedulable"
	KubernetesPodFailed                     = "kubernetes_pod_failed"
	KubernetesContainerTerminated           = "kubernetes_container_terminated"
	KubernetesContainerExitCode             = "kubernetes_container_exit_code"
	KubernetesWorkloadReadyPods             = "kubernetes_workload_ready_pods"
	KubernetesWorkloadDesiredPods           = "kubernetes_workload_desired_pods"
)

// On the host, besides its figures. No row of the contract reads these.
const (
	FileChangesTotal          = "file_changes_total"
	AccountChangesTotal       = "account_changes_total"
	HostNameChangesTotal      = "hostname_changes_total"
	FirewallChangesTotal      = "firewall_changes_total"
	ListeningPortChangesTotal = "listening_port_changes_total"

	FileChangedTimestampSeconds          = "file_changed_timestamp_seconds"
	AccountChangedTimestampSeconds       = "account_changed_timestamp_seconds"
	HostNameChangedTimestampSeconds      = "hostname_changed_timestamp_seconds"
	FirewallChangedTimestampSeconds      = "firewall_changed_timestamp_seconds"
	ListeningPortChangedTimestampSeconds = "listening_port_changed_timestamp_seconds"

	LogMatchesTotal = "log_matches_total"
	LogLinesTotal   = "log_lines_total"
	LogUnreadBytes  = "log_unread_bytes"
	LogFiles        = "log_files"
	LogGapsTotal    = "log_gaps_total"

	CustomState                = "custom_state"
	CustomExitCode             = "custom_exit_code"
	CustomDurationSeconds      = "custom_duration_seconds"
	CustomValue                = "custom_value"
	CustomTextFileError        = "custom_text_file_error"
	CustomTextFileMtimeSeconds = "custom_text_file_mtime_seconds"

	FileAgeFiles                  = "fileage_files"
	FileAgeNewestAgeSeconds       = "fileage_newest_age_seconds"
	FileAgeNewestTimestampSeconds = "fileage_newest_timestamp_seconds"
	FileAgeNewestSizeBytes        = "fileage_newest_size_bytes"

	HeartbeatLate                        = "heartbeat_late"
	HeartbeatFailed                      = "heartbeat_failed"
	HeartbeatAgeSeconds                  = "heartbeat_age_seconds"
	HeartbeatLastSuccessTimestampSeconds = "heartbeat_last_success_timestamp_seconds"
	HeartbeatBeatsTotal                  = "heartbeat_beats_total"
	HeartbeatExitCode                    = "heartbeat_exit_code"
	HeartbeatDurationSeconds             = "heartbeat_duration_seconds"
)

// Sources that deliver several metrics.
const (
	cmECS           = "aliyun/acs_ecs_dashboard"
	cmRDS           = "aliyun/acs_rds_dashboard"
	cmSLB           = "aliyun/acs_slb_dashboard"
	cmKVStore       = "aliyun/acs_kvstore"
	cmMongoDB       = "aliyun/acs_mongodb"
	cmDRDS          = "aliyun/acs_drds"
	cmCDN           = "aliyun/acs_cdn"
	cmElasticsearch = "aliyun/acs_elasticsearch"
	ecsInventory    = "aliyun/ecs-inventory"
	inventory       = "aliyun/inventory"
)

// assetRecord are labels that a customer's asset file adds to what the cloud tells.
var assetRecord = dims("purpose", "owner", "contact", "environment", "entered", "modules")

// resourceInfo describes a cloud resource; products lack some of them.
var resourceInfo = append(dims("name", "zone", "class", "os", "engine", "version", "storage_gb", "private_ip", "public_ip", "endpoint", "vpc"), assetRecord...)

// dims is the list of dimensions besides IdentityLabels.
func dims(names ...string) []string { return names }

var metrics = []Metric{
	{Name: AliyunECSCPUUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmECS, Help: "CPU utilization as the hypervisor sees it, average of the minute."},
	{Name: AliyunECSDiskUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmECS, Labels: dims("mountpoint", "device"), Help: "Used share of a file system; the old agent names the mount point, the new one the device."},
	{Name: AliyunECSMemoryUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmECS, Help: "Used memory, by the agent."},
	{Name: AliyunECSIOWaitPercent, Type: Gauge, Unit: "percent", Source: cmECS, Help: "Share of CPU time spent waiting for IO, by the agent."},
	{Name: AliyunECSInodeUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmECS, Labels: dims("mountpoint", "device"), Help: "Used share of a file system's inodes; mount point or device as for the disk."},
	{Name: AliyunECSInfo, Type: Gauge, Unit: "1", Source: ecsInventory, Info: append([]string{"name", "zone", "instance_type", "os", "private_ip", "public_ip", "vpc"}, assetRecord...), Help: "1; describes an instance of the inventory."},
	{Name: AliyunECSRunning, Type: Gauge, Unit: "state", Source: ecsInventory, Help: "1 while the instance's status is Running, else 0."},
	{Name: AliyunECSExpiryTimestampSeconds, Type: Gauge, Unit: "seconds", Source: ecsInventory, Help: "Unix time at which a prepaid instance expires."},

	{Name: AliyunRDSInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes an RDS instance."},
	{Name: AliyunSLBInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes a classic load balancer."},
	{Name: AliyunALBInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes an application load balancer."},
	{Name: AliyunKVStoreInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes a Redis instance."},
	{Name: AliyunMemcacheInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes a Memcache instance."},
	{Name: AliyunMongoDBInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes a MongoDB instance."},
	{Name: AliyunDRDSInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes a DRDS instance."},
	{Name: AliyunCDNInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes a CDN domain."},
	{Name: AliyunElasticsearchInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes an Elasticsearch cluster."},
	{Name: AliyunEIPInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes an elastic IP address."},
	{Name: AliyunOSSInfo, Type: Gauge, Unit: "1", Source: inventory, Info: resourceInfo, Help: "1; describes an OSS bucket."},

	{Name: AliyunResources, Type: Gauge, Unit: "resources", Source: inventory, Labels: dims("account"), Help: "Resources of a product in a region of an account."},
	{Name: AliyunResourceRunning, Type: Gauge, Unit: "state", Source: inventory, Help: "1 while the resource's status is one in which it works, else 0."},
	{Name: AliyunResourceExpiryTimestampSeconds, Type: Gauge, Unit: "seconds", Source: inventory, Help: "Unix time at which a prepaid resource expires; no series when it never does."},
	{Name: AliyunResourceCreatedTimestampSeconds, Type: Gauge, Unit: "seconds", Source: inventory, Help: "Unix time at which the resource was created."},
	{Name: AliyunResourceFirstSeenTimestampSeconds, Type: Gauge, Unit: "seconds", Source: inventory, Help: "Unix time of the first list that had the resource."},

	{Name: AliyunRDSConnectionUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmRDS, Help: "Connections in use, of the instance's limit."},
	{Name: AliyunRDSReplicaLagSeconds, Type: Gauge, Unit: "seconds", Source: cmRDS, Help: "Delay of a read-only instance behind its primary."},
	{Name: AliyunRDSIOPSUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmRDS, Help: "IOPS in use, of the instance's limit."},
	{Name: AliyunRDSCPUUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmRDS, Help: "CPU utilization."},
	{Name: AliyunRDSDiskUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmRDS, Help: "Used share of the instance's storage."},
	{Name: AliyunRDSMemoryUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmRDS, Help: "Memory utilization."},

	{Name: AliyunSLBDroppedConnectionsPerSecond, Type: Gauge, Unit: "connections per second", Source: cmSLB, Labels: dims("port", "protocol", "vip"), Help: "Connections that a listener dropped, maximum of the minute."},
	{Name: AliyunSLBMaxConnectionUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmSLB, Help: "Concurrent connections, of the instance's maximum."},
	{Name: AliyunSLBQPSUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmSLB, Help: "Requests per second, of the instance's maximum."},
	{Name: AliyunSLBUnhealthyBackends, Type: Gauge, Unit: "servers", Source: cmSLB, Labels: dims("port", "protocol", "vip"), Help: "Backend servers of a listener that fail its health check."},

	{Name: AliyunKVStoreCPUUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmKVStore, Labels: dims("node"), Help: "CPU utilization; per node for cluster and read/write splitting."},
	{Name: AliyunKVStoreConnectionUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmKVStore, Labels: dims("node"), Help: "Connections in use, of the limit."},
	{Name: AliyunKVStoreMemoryUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmKVStore, Labels: dims("node"), Help: "Used memory, of the limit."},
	{Name: AliyunKVStoreQPSUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmKVStore, Labels: dims("node"), Help: "Commands per second, of the specification."},

	{Name: AliyunMongoDBCPUUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmMongoDB, Labels: dims("node", "role"), Help: "CPU utilization; node is the mongos or shard of a sharded cluster, role Primary or Secondary."},
	{Name: AliyunMongoDBMemoryUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmMongoDB, Labels: dims("node", "role"), Help: "Memory utilization."},
	{Name: AliyunMongoDBDiskUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmMongoDB, Labels: dims("node", "role"), Help: "Used share of the storage."},
	{Name: AliyunMongoDBIOPSUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmMongoDB, Labels: dims("node", "role"), Help: "IOPS in use, of the limit."},
	{Name: AliyunMongoDBConnectionUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmMongoDB, Labels: dims("node", "role"), Help: "Connections in use, of the limit."},

	{Name: AliyunDRDSCPUUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmDRDS, Help: "CPU utilization."},
	{Name: AliyunDRDSMemoryUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmDRDS, Help: "Memory utilization."},
	{Name: AliyunDRDSLogicalResponseTimeMilliseconds, Type: Gauge, Unit: "milliseconds", Source: cmDRDS, Help: "Mean response time of a statement that an application sent (milliseconds, as CloudMonitor and the contract count it)."},
	{Name: AliyunDRDSPhysicalResponseTimeMilliseconds, Type: Gauge, Unit: "milliseconds", Source: cmDRDS, Help: "Mean response time of a statement that DRDS sent to an RDS instance."},

	{Name: AliyunCDNHitRatioPercent, Type: Gauge, Unit: "percent", Source: cmCDN, Help: "Byte hit ratio of a domain; 0 for a domain without traffic."},
	{Name: AliyunCDNQueriesPerSecond, Type: Gauge, Unit: "requests per second", Source: cmCDN, Help: "Requests to a domain."},

	{Name: AliyunElasticsearchClusterStatus, Type: Gauge, Unit: "state", Source: cmElasticsearch, Help: "0 green, 1 yellow, 2 red."},
	{Name: AliyunElasticsearchNodeDiskUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmElasticsearch, Labels: dims("node"), Help: "Used share of a node's disk."},
	{Name: AliyunElasticsearchNodeHeapUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmElasticsearch, Labels: dims("node"), Help: "Used share of a node's JVM heap."},
	{Name: AliyunElasticsearchNodeCPUUtilizationPercent, Type: Gauge, Unit: "percent", Source: cmElasticsearch, Labels: dims("node"), Help: "CPU utilization of a node."},
	{Name: AliyunElasticsearchNodeFullGCs, Type: Gauge, Unit: "collections", Source: cmElasticsearch, Labels: dims("node"), Help: "Full garbage collections of a node in the minute."},
	{Name: AliyunElasticsearchSnapshotStatus, Type: Gauge, Unit: "state", Source: cmElasticsearch, Help: "Latest automatic snapshot: -1 none, 0 ok, 1 running, 2 failed."},

	{Name: HostInfo, Type: Gauge, Unit: "1", Source: "host", Info: []string{"hostname", "os", "platform", "platform_version", "kernel", "arch"}, Help: "1; describes the host, every check."},
	{Name: HostECSInfo, Type: Gauge, Unit: "1", Source: "host", Info: []string{"instance_id", "region_id"}, Help: "1, every check, on hosts that are ECS instances; no series on the others. Rows that do not apply to ECS are joined with it."},
	{Name: HostUptimeSeconds, Type: Gauge, Unit: "seconds", Source: "host", Help: "Time since the operating system started."},
	{Name: HostBootTimeSeconds, Type: Gauge, Unit: "seconds", Source: "host", Help: "Unix time at which the operating system started."},
	{Name: HostUsers, Type: Gauge, Unit: "sessions", Source: "host", Help: "Sessions of logged-in users."},
	{Name: HostCPUUsedPercent, Type: Gauge, Unit: "percent", Source: "host", Help: "CPU time since the previous check that was neither idle nor waiting for IO, over all cores."},
	{Name: HostCPUIOWaitPercent, Type: Gauge, Unit: "percent", Source: "host", Help: "CPU time since the previous check that was idle with IO outstanding, over all cores."},
	{Name: HostCPUSecondsTotal, Type: Counter, Unit: "seconds", Source: "host", Labels: dims("mode"), Help: "CPU time by mode, summed over the cores."},
	{Name: HostCPUCores, Type: Gauge, Unit: "cores", Source: "host", Help: "Logical CPU cores."},
	{Name: HostLoad1, Type: Gauge, Unit: "1", Source: "host", Help: "Load average over 1 minute."},
	{Name: HostLoad5, Type: Gauge, Unit: "1", Source: "host", Help: "Load average over 5 minutes."},
	{Name: HostLoad15, Type: Gauge, Unit: "1", Source: "host", Help: "Load average over 15 minutes."},
	{Name: HostLoad1PerCore, Type: Gauge, Unit: "load per core", Source: "host", Help: "Load average over 1 minute, divided by the cores."},
	{Name: HostProcesses, Type: Gauge, Unit: "processes", Source: "host", Help: "Processes that exist."},
	{Name: HostProcessesRunning, Type: Gauge, Unit: "processes", Source: "host", Help: "Processes that run or are runnable."},
	{Name: HostProcessesBlocked, Type: Gauge, Unit: "processes", Source: "host", Help: "Processes in uninterruptible sleep."},
	{Name: HostMemoryUsedPercent, Type: Gauge, Unit: "percent", Source: "host", Help: "Memory that is not available, of the total."},
	{Name: HostMemoryAvailableBytes, Type: Gauge, Unit: "bytes", Source: "host", Help: "Memory that programs can still take without swapping."},
	{Name: HostMemoryTotalBytes, Type: Gauge, Unit: "bytes", Source: "host", Help: "Physical memory."},
	{Name: HostMemoryUsedBytes, Type: Gauge, Unit: "bytes", Source: "host", Help: "Total minus available memory."},
	{Name: HostMemoryFreeBytes, Type: Gauge, Unit: "bytes", Source: "host", Help: "Memory that nothing uses, not even a cache."},
	{Name: HostMemoryCachedBytes, Type: Gauge, Unit: "bytes", Source: "host", Help: "Page cache."},
	{Name: HostMemoryBuffersBytes, Type: Gauge, Unit: "bytes", Source: "host", Help: "Block device buffers."},
	{Name: HostSwapTotalBytes, Type: Gauge, Unit: "bytes", Source: "host", Help: "Swap space."},
	{Name: HostSwapUsedBytes, Type: Gauge, Unit: "bytes", Source: "host", Help: "Swap space in use."},
	{Name: HostFilesystemInfo, Type: Gauge, Unit: "1", Source: "host", Labels: dims("mountpoint"), Info: []string{"device", "fstype"}, Help: "1; describes a file system."},
	{Name: HostFilesystemAvailablePercent, Type: Gauge, Unit: "percent", Source: "host", Labels: dims("mountpoint"), Help: "Space that unprivileged users can still fill: available / (used + available), as df has it."},
	{Name: HostFilesystemAvailableBytes, Type: Gauge, Unit: "bytes", Source: "host", Labels: dims("mountpoint"), Help: "Space that unprivileged users can still fill."},
	{Name: HostFilesystemSizeBytes, Type: Gauge, Unit: "bytes", Source: "host", Labels: dims("mountpoint"), Help: "Size of the file system."},
	{Name: HostFilesystemUsedBytes, Type: Gauge, Unit: "bytes", Source: "host", Labels: dims("mountpoint"), Help: "Used space."},
	{Name: HostFilesystemInodesFreePercent, Type: Gauge, Unit: "percent", Source: "host", Labels: dims("mountpoint"), Help: "Free inodes, of the total; no sample where the file system has none to count."},
	{Name: HostFilesystemInodes, Type: Gauge, Unit: "inodes", Source: "host", Labels: dims("mountpoint"), Help: "Inodes."},
	{Name: HostFilesystemInodesFree, Type: Gauge, Unit: "inodes", Source: "host", Labels: dims("mountpoint"), Help: "Free inodes."},
	{Name: HostDiskReadBytesTotal, Type: Counter, Unit: "bytes", Source: "host", Labels: dims("device"), Help: "Bytes read from a block device."},
	{Name: HostDiskWrittenBytesTotal, Type: Counter, Unit: "bytes", Source: "host", Labels: dims("device"), Help: "Bytes written to a block device."},
	{Name: HostDiskReadsTotal, Type: Counter, Unit: "operations", Source: "host", Labels: dims("device"), Help: "Completed reads."},
	{Name: HostDiskWritesTotal, Type: Counter, Unit: "operations", Source: "host", Labels: dims("device"), Help: "Completed writes."},
	{Name: HostDiskReadTimeSecondsTotal, Type: Counter, Unit: "seconds", Source: "host", Labels: dims("device"), Help: "Time that reads took, summed over the reads."},
	{Name: HostDiskWriteTimeSecondsTotal, Type: Counter, Unit: "seconds", Source: "host", Labels: dims("device"), Help: "Time that writes took, summed over the writes."},
	{Name: HostDiskIOTimeSecondsTotal, Type: Counter, Unit: "seconds", Source: "host", Labels: dims("device"), Help: "Time with at least one operation in flight."},
	{Name: HostNetworkReceiveBytesTotal, Type: Counter, Unit: "bytes", Source: "host", Labels: dims("device"), Help: "Bytes received by an interface."},
	{Name: HostNetworkTransmitBytesTotal, Type: Counter, Unit: "bytes", Source: "host", Labels: dims("device"), Help: "Bytes sent by an interface."},
	{Name: HostNetworkReceivePacketsTotal, Type: Counter, Unit: "packets", Source: "host", Labels: dims("device"), Help: "Packets received."},
	{Name: HostNetworkTransmitPacketsTotal, Type: Counter, Unit: "packets", Source: "host", Labels: dims("device"), Help: "Packets sent."},
	{Name: HostNetworkReceiveErrorsTotal, Type: Counter, Unit: "packets", Source: "host", Labels: dims("device"), Help: "Receive errors."},
	{Name: HostNetworkTransmitErrorsTotal, Type: Counter, Unit: "packets", Source: "host", Labels: dims("device"), Help: "Transmit errors."},
	{Name: HostNetworkReceiveDropsTotal, Type: Counter, Unit: "packets", Source: "host", Labels: dims("device"), Help: "Received packets that were dropped."},
	{Name: HostNetworkTransmitDropsTotal, Type: Counter, Unit: "packets", Source: "host", Labels: dims("device"), Help: "Packets to send that were dropped."},
	{Name: ProcessState, Type: Gauge, Unit: "state", Source: "host/process", Labels: dims("process"), Help: "1 while a declared process runs as declared (number, user, command line), else 0."},
	{Name: ProcessCount, Type: Gauge, Unit: "processes", Source: "host/process", Labels: dims("process"), Help: "Processes that match a declaration."},

	{Name: ProbeICMPCode, Type: Gauge, Unit: "code", Source: "probe", Labels: dims("target", "vantage"), Help: "0 when the address answered the echo request, else a failure code."},
	{Name: ProbeICMPRoundTripSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("target", "vantage"), Help: "Round trip of the echo request; only when it was answered."},
	{Name: ProbeTCPCode, Type: Gauge, Unit: "code", Source: "probe", Labels: dims("target", "vantage"), Help: "0 when the port accepted the connection and, where asked, answered as expected; else a failure code."},
	{Name: ProbeTCPConnectDurationSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("target", "vantage"), Help: "Time to the established connection; only when it was."},
	{Name: ProbeHTTPCode, Type: Gauge, Unit: "code", Source: "probe", Labels: dims("target", "vantage"), Help: "0 when the site answered as expected, else a failure code."},
	{Name: ProbeHTTPStatusCode, Type: Gauge, Unit: "HTTP status", Source: "probe", Labels: dims("target", "vantage"), Help: "Status of the last answer; no sample without an answer."},
	{Name: ProbeHTTPDurationSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("target", "vantage"), Help: "Time from the look-up of the name to the end of the body."},
	{Name: ProbeHTTPPhaseDurationSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("target", "vantage", "phase"), Help: "Time of a phase: resolve, connect, tls, processing, transfer."},
	{Name: ProbeHTTPBodyBytes, Type: Gauge, Unit: "bytes", Source: "probe", Labels: dims("target", "vantage"), Help: "Size of the body read."},
	{Name: ProbeTCPExchangeDurationSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("target", "vantage"), Help: "Time of the declared conversation over TCP, TLS included; only when it went as expected."},
	{Name: ProbeUDPCode, Type: Gauge, Unit: "code", Source: "probe", Labels: dims("target", "vantage"), Help: "0 when the UDP port answered as expected, else a failure code."},
	{Name: ProbeUDPExchangeDurationSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("target", "vantage"), Help: "Time of the declared conversation over UDP; only when it went as expected."},
	{Name: ProbeDNSCode, Type: Gauge, Unit: "code", Source: "probe", Labels: dims("target", "vantage"), Help: "0 when the name server answered as expected, else a failure code."},
	{Name: ProbeDNSDurationSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("target", "vantage"), Help: "Time from the question to the answer; no sample without an answer."},
	{Name: ProbeDNSAnswers, Type: Gauge, Unit: "1", Source: "probe", Labels: dims("target", "vantage"), Help: "Records in the answer."},
	{Name: ProbeScriptFailedStep, Type: Gauge, Unit: "1", Source: "probe", Labels: dims("target", "vantage"), Help: "Number of the script's step that failed, from 1; 0 when none did."},
	{Name: ProbeScriptStepDurationSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("target", "vantage", "step"), Help: "Time of a script's step; no sample of steps after the one that failed."},
	{Name: ProbeTLSCertificateNotAfterTimestampSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("target", "vantage"), Help: "Unix time at which the server's own certificate expires."},
	{Name: ProbeTLSVersion, Type: Gauge, Unit: "1", Source: "probe", Labels: dims("target", "vantage"), Help: "Version of TLS that was spoken, 1.3 for TLS 1.3."},
	{Name: ProbeVantageOK, Type: Gauge, Unit: "1", Source: "probe", Labels: dims("vantage", "interval"), Help: "1 when the vantage point reached more than half of its reference targets, 0 when it was counted out."},
	{Name: ProbeVantageReferencesReached, Type: Gauge, Unit: "1", Source: "probe", Labels: dims("vantage", "interval"), Help: "Reference targets that the vantage point reached."},
	{Name: ProbeVantageTargets, Type: Gauge, Unit: "1", Source: "probe", Labels: dims("vantage", "interval", "of"), Help: "Targets of a product (label of) that the vantage point judged."},
	{Name: ProbeVantageTargetsGood, Type: Gauge, Unit: "1", Source: "probe", Labels: dims("vantage", "interval", "of"), Help: "Those of them that answered as expected; divided by all of them it is the availability seen from there."},
	{Name: ProbeVantageMeanDurationSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("vantage", "interval", "of"), Help: "Mean time of the probes that went as expected: the latency seen from there."},
	{Name: ProbeTLSNotAfterTimestampSeconds, Type: Gauge, Unit: "seconds", Source: "probe", Labels: dims("target", "vantage"), Help: "Unix time at which the first certificate of the chain expires."},

	{Name: ApacheCPUUsedPercent, Type: Gauge, Unit: "percent", Source: "middleware/apache", Help: "Growth of the httpd processes' CPU seconds since the previous check, over the host's cores."},
	{Name: ApacheUptimeSeconds, Type: Gauge, Unit: "seconds", Source: "middleware/apache", Help: "Time since the server started, by mod_status."},
	{Name: NginxUptimeSeconds, Type: Gauge, Unit: "seconds", Source: "middleware/nginx", Help: "Now minus the master process's start time; only where the host is watched."},
	{Name: NginxRestartSeenAgeSeconds, Type: Gauge, Unit: "seconds", Source: "middleware/nginx", Help: "Time since the counter of accepted connections was seen to have fallen; only after such a fall, and where the uptime is not known."},
	{Name: NginxConnectionsAcceptedTotal, Type: Counter, Unit: "connections", Source: "middleware/nginx", Help: "Accepted connections, by stub_status."},
	{Name: PHPFPMListenQueue, Type: Gauge, Unit: "requests", Source: "middleware/phpfpm", Labels: dims("pool"), Help: "Requests that wait for a free process."},
	{Name: PHPFPMMaxChildrenReachedTotal, Type: Counter, Unit: "times", Source: "middleware/phpfpm", Labels: dims("pool"), Help: "How often the pool wanted more processes than pm.max_children allows."},
	{Name: JavaCPUUsedPercent, Type: Gauge, Unit: "percent", Source: "middleware/java", Help: "ProcessCpuLoad of the JVM, of all cores."},
	{Name: JavaHeapUsedBytes, Type: Gauge, Unit: "bytes", Source: "middleware/java", Help: "Used heap."},
	{Name: JavaHeapMaxBytes, Type: Gauge, Unit: "bytes", Source: "middleware/java", Help: "Maximum heap; no sample where the JVM reports none (-1)."},
	{Name: JavaNonHeapUsedBytes, Type: Gauge, Unit: "bytes", Source: "middleware/java", Help: "Used non-heap memory."},
	{Name: JavaNonHeapMaxBytes, Type: Gauge, Unit: "bytes", Source: "middleware/java", Help: "Maximum non-heap memory; no sample where the JVM reports none (-1)."},
	{Name: JavaUptimeSeconds, Type: Gauge, Unit: "seconds", Source: "middleware/java", Help: "Time since the JVM started."},
	{Name: TomcatCPUUsedPercent, Type: Gauge, Unit: "percent", Source: "middleware/tomcat", Help: "ProcessCpuLoad of Tomcat's JVM, of all cores."},
	{Name: TomcatHeapUsedBytes, Type: Gauge, Unit: "bytes", Source: "middleware/tomcat", Help: "Used heap."},
	{Name: TomcatHeapMaxBytes, Type: Gauge, Unit: "bytes", Source: "middleware/tomcat", Help: "Maximum heap; no sample where the JVM reports none (-1)."},
	{Name: TomcatNonHeapUsedBytes, Type: Gauge, Unit: "bytes", Source: "middleware/tomcat", Help: "Used non-heap memory."},
	{Name: TomcatNonHeapMaxBytes, Type: Gauge, Unit: "bytes", Source: "middleware/tomcat", Help: "Maximum non-heap memory; no sample where the JVM reports none (-1)."},
	{Name: TomcatUptimeSeconds, Type: Gauge, Unit: "seconds", Source: "middleware/tomcat", Help: "Time since the JVM started."},
	{Name: MySQLReplicaLagSeconds, Type: Gauge, Unit: "seconds", Source: "middleware/mysql", Labels: dims("channel"), Help: "Seconds_Behind_Master; no sample while it is NULL."},
	{Name: MySQLReplicaRunning, Type: Gauge, Unit: "state", Source: "middleware/mysql", Labels: dims("channel"), Help: "1 while the IO and the SQL thread both run, else 0; only on replicas."},
	{Name: IISUptimeSeconds, Type: Gauge, Unit: "seconds", Source: "middleware/iis", Help: "Time since the W3SVC service started."},
	{Name: IISServiceStartType, Type: Gauge, Unit: "start type", Source: "middleware/iis", Labels: dims("service"), Help: "Windows service start type: 2 automatic, 3 manual, 4 disabled."},
	{Name: IISServiceState, Type: Gauge, Unit: "state", Source: "middleware/iis", Labels: dims("service"), Help: "Windows service state: 1 stopped, 2 starting, 3 stopping, 4 running, 7 paused."},
	{Name: DockerContainerCPUUsedPercent, Type: Gauge, Unit: "percent", Source: "middleware/docker", Labels: dims("container"), Help: "CPU time since the previous check, of the container's quota, else of all cores."},
	{Name: DockerContainerMemoryUsedBytes, Type: Gauge, Unit: "bytes", Source: "middleware/docker", Labels: dims("container"), Help: "Memory in use without the page cache that can be dropped, as docker stats has it."},
	{Name: DockerContainerMemoryLimitBytes, Type: Gauge, Unit: "bytes", Source: "middleware/docker", Labels: dims("container"), Help: "Memory limit; the host's memory where none is set."},
	{Name: ZooKeeperLatencyAverageSeconds, Type: Gauge, Unit: "seconds", Source: "middleware/zookeeper", Help: "avg_latency of mntr (milliseconds there)."},
	{Name: ZooKeeperOutstandingRequests, Type: Gauge, Unit: "requests", Source: "middleware/zookeeper", Help: "Queued requests."},
	{Name: ZooKeeperOpenFileDescriptors, Type: Gauge, Unit: "descriptors", Source: "middleware/zookeeper", Help: "Open file descriptors."},
	{Name: ZooKeeperMaxFileDescriptors, Type: Gauge, Unit: "descriptors", Source: "middleware/zookeeper", Help: "Limit of open file descriptors."},
	{Name: RabbitMQDiskFreeBytes, Type: Gauge, Unit: "bytes", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "Free disk space at the node's data folder."},
	{Name: RabbitMQDiskFreeLimitBytes, Type: Gauge, Unit: "bytes", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "Free space below which the node blocks publishers."},
	{Name: RabbitMQMemoryUsedBytes, Type: Gauge, Unit: "bytes", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "Memory the node uses."},
	{Name: RabbitMQMemoryLimitBytes, Type: Gauge, Unit: "bytes", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "Memory above which the node blocks publishers."},
	{Name: RabbitMQFileDescriptorsUsed, Type: Gauge, Unit: "descriptors", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "Open file descriptors."},
	{Name: RabbitMQFileDescriptorsLimit, Type: Gauge, Unit: "descriptors", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "Limit of open file descriptors."},
	{Name: RabbitMQProcessesUsed, Type: Gauge, Unit: "processes", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "Erlang processes."},
	{Name: RabbitMQProcessesLimit, Type: Gauge, Unit: "processes", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "Limit of Erlang processes."},
	{Name: RabbitMQSocketsUsed, Type: Gauge, Unit: "sockets", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "Sockets in use."},
	{Name: RabbitMQSocketsLimit, Type: Gauge, Unit: "sockets", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "Limit of sockets."},
	{Name: RabbitMQHealthCode, Type: Gauge, Unit: "code", Source: "middleware/rabbitmq", Labels: dims("node"), Help: "0 when the node's health checks pass, else 1."},
	{Name: RedisUptimeSeconds, Type: Gauge, Unit: "seconds", Source: "middleware/redis", Help: "Time since the server started."},
	{Name: RedisClientsMax, Type: Gauge, Unit: "clients", Source: "middleware/redis", Help: "Clients that the server takes at most."},
	{Name: RedisConnectedReplicas, Type: Gauge, Unit: "replicas", Source: "middleware/redis", Help: "Replicas that are connected."},
	{Name: RedisConnectionsRejectedTotal, Type: Counter, Unit: "connections", Source: "middleware/redis", Help: "Connections refused since there were too many."},
	{Name: RedisKeysExpiredTotal, Type: Counter, Unit: "keys", Source: "middleware/redis", Help: "Keys that expired."},
	{Name: RedisKeysEvictedTotal, Type: Counter, Unit: "keys", Source: "middleware/redis", Help: "Keys dropped for want of memory."},
	{Name: RedisRDBLastBGSaveOK, Type: Gauge, Unit: "state", Source: "middleware/redis", Help: "1 when the last snapshot was written, else 0."},
	{Name: RedisAOFLastWriteOK, Type: Gauge, Unit: "state", Source: "middleware/redis", Help: "1 when the last write to the append-only file went well, else 0."},
	{Name: RedisMasterLinkUp, Type: Gauge, Unit: "state", Source: "middleware/redis", Help: "On a replica: 1 while it is connected to its master, else 0."},
	{Name: RedisMasterLastIOAgeSeconds, Type: Gauge, Unit: "seconds", Source: "middleware/redis", Help: "On a replica: time since its master last said something."},

	{Name: KafkaUnderReplicatedPartitions, Type: Gauge, Unit: "partitions", Source: "middleware/kafka", Labels: dims("node"), Help: "Partitions led by a broker that lack in-sync replicas."},
	{Name: KafkaRequestQueueTimeP99Seconds, Type: Gauge, Unit: "seconds", Source: "middleware/kafka", Labels: dims("node", "request"), Help: "RequestQueueTimeMs of Produce and Fetch, 99th percentile."},
	{Name: KafkaResponseQueueTimeP99Seconds, Type: Gauge, Unit: "seconds", Source: "middleware/kafka", Labels: dims("node", "request"), Help: "ResponseQueueTimeMs of Produce and Fetch, 99th percentile."},
	{Name: ElasticsearchClusterStatus, Type: Gauge, Unit: "state", Source: "middleware/elasticsearch", Help: "1 green, 2 yellow, 3 red (the cloud product codes it differently)."},
	{Name: ElasticsearchNodeOpenFileDescriptors, Type: Gauge, Unit: "descriptors", Source: "middleware/elasticsearch", Labels: dims("node"), Help: "Open file descriptors of a node."},
	{Name: ElasticsearchNodeMaxFileDescriptors, Type: Gauge, Unit: "descriptors", Source: "middleware/elasticsearch", Labels: dims("node"), Help: "Limit of open file descriptors of a node."},
	{Name: ElasticsearchNodeCPUUsedPercent, Type: Gauge, Unit: "percent", Source: "middleware/elasticsearch", Labels: dims("node"), Help: "CPU utilization of a node's host, as the node reports it."},
	{Name: ElasticsearchNodeHeapUsedPercent, Type: Gauge, Unit: "percent", Source: "middleware/elasticsearch", Labels: dims("node"), Help: "Used share of a node's JVM heap."},
	{Name: KubernetesDeploymentUnavailableReplicas, Type: Gauge, Unit: "replicas", Source: "middleware/kubernetes", Labels: dims("namespace", "deployment"), Help: "Replicas that a deployment wants and lacks."},
	{Name: KubernetesNodeUnschedulable, Type: Gauge, Unit: "state", Source: "middleware/kubernetes", Labels: dims("node"), Help: "1 while a node is cordoned, else 0."},
	{Name: KubernetesPodFailed, Type: Gauge, Unit: "state", Source: "middleware/kubernetes", Labels: dims("namespace", "pod"), Help: "1 while a pod is in phase Failed, else 0."},
	{Name: KubernetesContainerTerminated, Type: Gauge, Unit: "state", Source: "middleware/kubernetes", Labels: dims("namespace", "pod", "container"), Help: "1 while a container is terminated, else 0."},
	{Name: KubernetesContainerExitCode, Type: Gauge, Unit: "code", Source: "middleware/kubernetes", Labels: dims("namespace", "pod", "container"), Help: "Exit code of a container while it is terminated; no sample while it runs."},
	{Name: KubernetesWorkloadReadyPods, Type: Gauge, Unit: "pods", Source: "middleware/kubernetes", Labels: dims("namespace", "kind", "workload"), Help: "Ready pods of a workload."},
	{Name: KubernetesWorkloadDesiredPods, Type: Gauge, Unit: "pods", Source: "middleware/kubernetes", Labels: dims("namespace", "kind", "workload"), Help: "Pods that a workload wants; no sample while it wants none."},

	{Name: FileChangesTotal, Type: Counter, Unit: "changes", Source: "watch", Labels: dims("files", "reason"), Help: "Changes of watched files, by what changed."},
	{Name: AccountChangesTotal, Type: Counter, Unit: "changes", Source: "watch", Labels: dims("reason"), Help: "Changes of accounts and their passwords, by what changed."},
	{Name: HostNameChangesTotal, Type: Counter, Unit: "changes", Source: "watch", Labels: dims("reason"), Help: "Changes of the host's name."},
	{Name: FirewallChangesTotal, Type: Counter, Unit: "changes", Source: "watch", Labels: dims("reason"), Help: "Changes of the firewall's rules."},
	{Name: ListeningPortChangesTotal, Type: Counter, Unit: "changes", Source: "watch", Labels: dims("reason"), Help: "Ports that began or ceased to listen."},
	{Name: FileChangedTimestampSeconds, Type: Gauge, Unit: "seconds", Source: "watch", Labels: dims("files", "path", "reason"), Help: "Unix time at which a file's last change was seen, for as long as it is remembered."},
	{Name: AccountChangedTimestampSeconds, Type: Gauge, Unit: "seconds", Source: "watch", Labels: dims("user", "reason"), Help: "Unix time at which an account's last change was seen."},
	{Name: HostNameChangedTimestampSeconds, Type: Gauge, Unit: "seconds", Source: "watch", Labels: dims("reason"), Help: "Unix time at which the host's name was seen to have changed."},
	{Name: FirewallChangedTimestampSeconds, Type: Gauge, Unit: "seconds", Source: "watch", Labels: dims("firewall", "reason"), Help: "Unix time at which a firewall's last change was seen."},
	{Name: ListeningPortChangedTimestampSeconds, Type: Gauge, Unit: "seconds", Source: "watch", Labels: dims("protocol", "address", "port", "reason"), Help: "Unix time at which a port was seen to have begun or ceased to listen."},

	{Name: LogMatchesTotal, Type: Counter, Unit: "lines", Source: "logfile", Labels: dims("log", "pattern"), Help: "Lines of a log that a pattern matches; the pattern's named groups are labels too."},
	{Name: LogLinesTotal, Type: Counter, Unit: "lines", Source: "logfile", Labels: dims("log"), Help: "Lines of a log."},
	{Name: LogUnreadBytes, Type: Gauge, Unit: "bytes", Source: "logfile", Labels: dims("log"), Help: "What is written to a log and not read yet."},
	{Name: LogFiles, Type: Gauge, Unit: "files", Source: "logfile", Labels: dims("log"), Help: "Files of a log that are there."},
	{Name: LogGapsTotal, Type: Counter, Unit: "gaps", Source: "logfile", Labels: dims("log", "reason"), Help: "Times that lines of a log may have been lost."},

	{Name: CustomState, Type: Gauge, Unit: "state", Source: "custom", Labels: dims("command"), Help: "0 when a declared command gave its values, else why not."},
	{Name: CustomExitCode, Type: Gauge, Unit: "state", Source: "custom", Labels: dims("command"), Help: "Exit code of a declared command."},
	{Name: CustomDurationSeconds, Type: Gauge, Unit: "seconds", Source: "custom", Labels: dims("command"), Help: "How long a declared command ran."},
	{Name: CustomValue, Type: Gauge, Unit: "state", Source: "custom", Labels: dims("command", "item", "zabbix_host"), Help: "What a declared command printed; any number."},
	{Name: CustomTextFileError, Type: Gauge, Unit: "state", Source: "custom", Labels: dims("file"), Help: "1 when nothing of a text file is delivered, else 0."},
	{Name: CustomTextFileMtimeSeconds, Type: Gauge, Unit: "seconds", Source: "custom", Labels: dims("file"), Help: "Unix time at which a text file was written."},

	{Name: FileAgeFiles, Type: Gauge, Unit: "files", Source: "fileage", Labels: dims("files"), Help: "Expected files that are there and count."},
	{Name: FileAgeNewestAgeSeconds, Type: Gauge, Unit: "seconds", Source: "fileage", Labels: dims("files"), Help: "Age of the newest expected file, such as a backup."},
	{Name: FileAgeNewestTimestampSeconds, Type: Gauge, Unit: "seconds", Source: "fileage", Labels: dims("files"), Help: "Unix time at which it was written."},
	{Name: FileAgeNewestSizeBytes, Type: Gauge, Unit: "bytes", Source: "fileage", Labels: dims("files"), Help: "Its size."},

	{Name: HeartbeatLate, Type: Gauge, Unit: "state", Source: "heartbeat", Labels: dims("heartbeat"), Help: "1 when a job's last success is older than its interval and grace, else 0."},
	{Name: HeartbeatFailed, Type: Gauge, Unit: "state", Source: "heartbeat", Labels: dims("heartbeat"), Help: "1 when a job's last report told of a failure, else 0."},
	{Name: HeartbeatAgeSeconds, Type: Gauge, Unit: "seconds", Source: "heartbeat", Labels: dims("heartbeat"), Help: "Time since a job's last success, or since it was declared."},
	{Name: HeartbeatLastSuccessTimestampSeconds, Type: Gauge, Unit: "seconds", Source: "heartbeat", Labels: dims("heartbeat"), Help: "Unix time of a job's last success."},
	{Name: HeartbeatBeatsTotal, Type: Counter, Unit: "reports", Source: "heartbeat", Labels: dims("heartbeat", "status"), Help: "Reports of a job by what they told."},
	{Name: HeartbeatExitCode, Type: Gauge, Unit: "state", Source: "heartbeat", Labels: dims("heartbeat"), Help: "Exit code that a job reported last."},
	{Name: HeartbeatDurationSeconds, Type: Gauge, Unit: "seconds", Source: "heartbeat", Labels: dims("heartbeat"), Help: "Duration that a job reported last."},
}

// Metrics lists every declared metric in the order of the contract's products.
func Metrics() []Metric { return append([]Metric(nil), metrics...) }

var metricByName = func() map[string]Metric {
	m := make(map[string]Metric, len(metrics))
	for _, x := range metrics {
		m[x.Name] = x
	}
	return m
}()

// LookupMetric returns the declaration of a metric name.
func LookupMetric(name string) (Metric, bool) {
	m, ok := metricByName[name]
	return m, ok
}
