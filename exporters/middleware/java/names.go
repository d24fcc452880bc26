package java

const (
	metricCPUUsedPercent                = "java_cpu_used_percent"
	metricSystemCPUUsedPercent          = "java_system_cpu_used_percent"
	metricHeapUsedBytes                 = "java_heap_used_bytes"
	metricHeapCommittedBytes            = "java_heap_committed_bytes"
	metricHeapMaxBytes                  = "java_heap_max_bytes"
	metricNonHeapUsedBytes              = "java_nonheap_used_bytes"
	metricNonHeapMaxBytes               = "java_nonheap_max_bytes"
	metricUptimeSeconds                 = "java_uptime_seconds"
	metricThreads                       = "java_threads"
	metricClassesLoaded                 = "java_classes_loaded"
	metricOpenFileDescriptors           = "java_open_file_descriptors"
	metricMaxFileDescriptors            = "java_max_file_descriptors"
	metricGarbageCollectionsTotal       = "java_garbage_collections_total" // by collector
	metricGarbageCollectionSecondsTotal = "java_garbage_collection_seconds_total"
	metricInfo                          = "java_info"
)
