package tomcat

// Of the JVM.
const (
	metricCPUUsedPercent       = "tomcat_cpu_used_percent"
	metricSystemCPUUsedPercent = "tomcat_system_cpu_used_percent"
	metricSystemLoad1          = "tomcat_system_load1"
	metricHeapUsedBytes        = "tomcat_heap_used_bytes"
	metricHeapCommittedBytes   = "tomcat_heap_committed_bytes"
	metricHeapMaxBytes         = "tomcat_heap_max_bytes"
	metricNonHeapUsedBytes     = "tomcat_nonheap_used_bytes"
	metricNonHeapMaxBytes      = "tomcat_nonheap_max_bytes"
	metricUptimeSeconds        = "tomcat_uptime_seconds"
	metricInfo                 = "tomcat_info" // server_info, spec_version
)

// Of the server's connectors (label `connector`) and of the resource caches of
// its applications (labels `host`, `context`).
const (
	metricRequestsTotal                 = "tomcat_requests_total"
	metricErrorsTotal                   = "tomcat_errors_total"
	metricProcessingSecondsTotal        = "tomcat_processing_seconds_total"
	metricSentBytesTotal                = "tomcat_sent_bytes_total"
	metricReceivedBytesTotal            = "tomcat_received_bytes_total"
	metricThreadsMax                    = "tomcat_threads_max"
	metricThreads                       = "tomcat_threads"
	metricThreadsBusy                   = "tomcat_threads_busy"
	metricResourceCacheHitsTotal        = "tomcat_resource_cache_hits_total"
	metricResourceCacheLookupsTotal     = "tomcat_resource_cache_lookups_total"
	metricSessionsActive                = "tomcat_sessions_active"
	metricSessionsRejectedTotal         = "tomcat_sessions_rejected_total"
	metricGarbageCollectionsTotal       = "tomcat_garbage_collections_total" // by collector
	metricGarbageCollectionSecondsTotal = "tomcat_garbage_collection_seconds_total"
)
