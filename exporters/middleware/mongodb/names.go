package mongodb

// The names follow the sections of serverStatus, in lower case and base units.
const (
	metricInfo          = "mongodb_info" // version, process, engine
	metricUptimeSeconds = "mongodb_uptime_seconds"

	metricLongOperations     = "mongodb_long_operations"
	metricOldestOperation    = "mongodb_oldest_operation_seconds"
	metricOperationsWaiting  = "mongodb_operations_waiting_for_lock"
	metricOplogWindowSeconds = "mongodb_oplog_window_seconds"

	metricIsMember           = "mongodb_rs_is_member"
	metricState              = "mongodb_rs_state"
	metricTerm               = "mongodb_rs_term"
	metricMembers            = "mongodb_rs_members"
	metricMembersHealthy     = "mongodb_rs_members_healthy"
	metricPrimaries          = "mongodb_rs_primaries"
	metricMajority           = "mongodb_rs_majority_votes"
	metricPrimarySince       = "mongodb_rs_primary_since_timestamp_seconds"
	metricLagSeconds         = "mongodb_rs_lag_seconds"
	metricMemberState        = "mongodb_rs_member_state"  // by member
	metricMemberHealth       = "mongodb_rs_member_health" // by member
	metricMemberLagSeconds   = "mongodb_rs_member_lag_seconds"
	metricMemberPingSeconds  = "mongodb_rs_member_ping_seconds"
	metricMemberHeartbeatAge = "mongodb_rs_member_heartbeat_age_seconds"

	metricDatabases      = "mongodb_databases"
	metricFilesystemUsed = "mongodb_filesystem_used_bytes"
	metricFilesystemSize = "mongodb_filesystem_size_bytes"
)

// lockResources and lockModes bound what is delivered of the locks: those that
// operations of users wait for.
var (
	lockResources = []string{"Global", "Database", "Collection"}
	lockModes     = []string{"r", "w", "R", "W"}
	lockFigures   = []figure{
		{path: "acquireWaitCount", metric: "mongodb_lock_waits_total", factor: 1},
		{path: "timeAcquiringMicros", metric: "mongodb_lock_wait_seconds_total", factor: microseconds},
		{path: "deadlockCount", metric: "mongodb_lock_deadlocks_total", factor: 1},
	}
)

const (
	mebibytes    = 1 << 20
	microseconds = 1e-6
	milliseconds = 1e-3
)

// figure is one value of an answer: where it stands, keys parted by a slash,
// and the series that it becomes.
type figure struct {
	path   string
	metric string
	factor float64 // 0 means 1
	dims   []string
}

// databaseFigures are those of dbStats.
var databaseFigures = []figure{
	{path: "collections", metric: "mongodb_database_collections"},
	{path: "objects", metric: "mongodb_database_objects"},
	{path: "dataSize", metric: "mongodb_database_data_bytes"},
	{path: "storageSize", metric: "mongodb_database_storage_bytes"},
	{path: "indexes", metric: "mongodb_database_indexes"},
	{path: "indexSize", metric: "mongodb_database_index_bytes"},
}

// statusFigures are those of serverStatus. Of places that a version moved, both
// stand here.
var statusFigures = concat(
	[]figure{
		{path: "connections/totalCreated", metric: "mongodb_connections_created_total"},
		{path: "connections/rejected", metric: "mongodb_connections_rejected_total"}, // 6.3
		{path: "mem/resident", metric: "mongodb_memory_resident_bytes", factor: mebibytes},
		{path: "mem/virtual", metric: "mongodb_memory_virtual_bytes", factor: mebibytes},
		{path: "extra_info/page_faults", metric: "mongodb_page_faults_total"},
		{path: "extra_info/user_time_us", metric: "mongodb_cpu_seconds_total", factor: microseconds, dims: []string{"mode", "user"}},
		{path: "extra_info/system_time_us", metric: "mongodb_cpu_seconds_total", factor: microseconds, dims: []string{"mode", "system"}},
		{path: "network/bytesIn", metric: "mongodb_network_receive_bytes_total"},
		{path: "network/bytesOut", metric: "mongodb_network_transmit_bytes_total"},
		{path: "network/numRequests", metric: "mongodb_network_requests_total"},
		{path: "logicalSessionRecordCache/activeSessionsCount", metric: "mongodb_logical_sessions"},
		{path: "metrics/cursor/timedOut", metric: "mongodb_cursors_timed_out_total"},
		{path: "metrics/cursor/totalOpened", metric: "mongodb_cursors_opened_total"},
		{path: "metrics/queryExecutor/scanned", metric: "mongodb_scanned_keys_total"},
		{path: "metrics/queryExecutor/scannedObjects", metric: "mongodb_scanned_documents_total"},
		{path: "metrics/queryExecutor/collectionScans/total", metric: "mongodb_collection_scans_total"},
		{path: "metrics/operation/scanAndOrder", metric: "mongodb_scan_and_order_total"},
		{path: "metrics/operation/writeConflicts", metric: "mongodb_write_conflicts_total"},
		{path: "metrics/getLastError/wtimeouts", metric: "mongodb_write_concern_timeouts_total"},
		{path: "metrics/ttl/deletedDocuments", metric: "mongodb_ttl_deleted_documents_total"},
		{path: "metrics/repl/buffer/sizeBytes", metric: "mongodb_repl_buffer_bytes"},
		{path: "metrics/repl/buffer/apply/sizeBytes", metric: "mongodb_repl_buffer_bytes"}, // 8.0
		{path: "transactions/totalStarted", metric: "mongodb_transactions_started_total"},
		{path: "transactions/totalCommitted", metric: "mongodb_transactions_committed_total"},
		{path: "transactions/totalAborted", metric: "mongodb_transactions_aborted_total"},
		{path: "flowControl/isLagged", metric: "mongodb_flow_control_lagged"},
		{path: "flowControl/timeAcquiringMicros", metric: "mongodb_flow_control_wait_seconds_total", factor: microseconds},
		{path: "electionMetrics/numStepDownsCausedByHigherTerm", metric: "mongodb_step_downs_by_higher_term_total"},
		{path: "wiredTiger/cache/bytes currently in the cache", metric: "mongodb_wiredtiger_cache_bytes"},
		{path: "wiredTiger/cache/maximum bytes configured", metric: "mongodb_wiredtiger_cache_max_bytes"},
		{path: "wiredTiger/cache/tracked dirty bytes in the cache", metric: "mongodb_wiredtiger_cache_dirty_bytes"},
		{path: "wiredTiger/cache/bytes read into cache", metric: "mongodb_wiredtiger_cache_read_bytes_total"},
		{path: "wiredTiger/cache/bytes written from cache", metric: "mongodb_wiredtiger_cache_written_bytes_total"},
		{path: "wiredTiger/cache/unmodified pages evicted", metric: "mongodb_wiredtiger_cache_evicted_pages_total", dims: []string{"type", "unmodified"}},
		{path: "wiredTiger/cache/modified pages evicted", metric: "mongodb_wiredtiger_cache_evicted_pages_total", dims: []string{"type", "modified"}},
		{path: "wiredTiger/cache/pages evicted by application threads", metric: "mongodb_wiredtiger_cache_evicted_by_application_total"},
		{path: "wiredTiger/log/log bytes written", metric: "mongodb_wiredtiger_log_written_bytes_total"},
		{path: "wiredTiger/transaction/transaction checkpoint most recent time (msecs)", metric: "mongodb_wiredtiger_checkpoint_seconds", factor: milliseconds},
		{path: "wiredTiger/checkpoint/most recent time (msecs)", metric: "mongodb_wiredtiger_checkpoint_seconds", factor: milliseconds}, // 7.1
	},
	each("mongodb_connections", "state", "connections", "current", "available", "active"),
	each("mongodb_asserts_total", "type", "asserts", "regular", "warning", "msg", "user", "tripwire"),
	each("mongodb_opcounters_total", "type", "opcounters", "insert", "query", "update", "delete", "getmore", "command"),
	each("mongodb_opcounters_repl_total", "type", "opcountersRepl", "insert", "query", "update", "delete", "getmore", "command"),
	each("mongodb_queued_operations", "type", "globalLock/currentQueue", "readers", "writers"),
	each("mongodb_active_clients", "type", "globalLock/activeClients", "readers", "writers"),
	each("mongodb_documents_total", "type", "metrics/document", "deleted", "inserted", "returned", "updated"),
	each("mongodb_cursors_open", "state", "metrics/cursor/open", "total", "pinned", "noTimeout"),
	each("mongodb_transactions", "state", "transactions", "currentOpen", "currentActive", "currentInactive"),
	inside(1, "mongodb_operations_total", "type", "opLatencies", "ops", "reads", "writes", "commands", "transactions"),
	inside(microseconds, "mongodb_operation_seconds_total", "type", "opLatencies", "latency", "reads", "writes", "commands", "transactions"),
	inside(1, "mongodb_elections_called_total", "cause", "electionMetrics", "called", causes...),
	inside(1, "mongodb_elections_won_total", "cause", "electionMetrics", "successful", causes...),
	tickets("wiredTiger/concurrentTransactions"),
	tickets("queues/execution"), // 8.0
)

// causes are those that a member stands for election for.
var causes = []string{"stepUpCmd", "priorityTakeover", "catchUpTakeover", "electionTimeout", "freezeTimeout"}

// each makes a series of every key under a path, told apart by a label.
func each(metric, label, path string, keys ...string) []figure {
	var all []figure
	for _, k := range keys {
		all = append(all, figure{path: path + "/" + k, metric: metric, dims: []string{label, k}})
	}
	return all
}

// inside makes a series of the same leaf under every key.
func inside(factor float64, metric, label, path, leaf string, keys ...string) []figure {
	var all []figure
	for _, k := range keys {
		all = append(all, figure{path: path + "/" + k + "/" + leaf, metric: metric, factor: factor, dims: []string{label, k}})
	}
	return all
}

// tickets are the operations that the storage engine lets in at once.
func tickets(path string) []figure {
	var all []figure
	for _, kind := range []string{"read", "write"} {
		for _, state := range []string{"out", "available"} {
			all = append(all, figure{path: path + "/" + kind + "/" + state, metric: "mongodb_wiredtiger_tickets", dims: []string{"type", kind, "state", state}})
		}
	}
	return all
}

func concat(lists ...[]figure) []figure {
	var all []figure
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
