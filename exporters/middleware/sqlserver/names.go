package sqlserver

// The names follow SQL Server's counters and views, in lower case and base
// units. Counters that SQL Server calls "per second" are totals since its start.
const (
	metricInfo             = "mssql_info" // version, edition
	metricSessions         = "mssql_sessions"
	metricDatabases        = "mssql_databases"
	metricDatabasesOffline = "mssql_databases_not_online"
)

const (
	kibibytes    = 1 << 10
	milliseconds = 1e-3
)

// counter is one of sys.dm_os_performance_counters and the series that it becomes.
type counter struct {
	object   string // without the instance's prefix: Locks of MSSQL$SALES:Locks
	name     string
	instance string // of the object; empty where there is one only
	metric   string
	factor   float64 // 0 means 1
	base     string  // the counter that this one is a share of; the series is in percent
	dims     []string
}

const total = "_Total"

// counters are those of the whole server.
var counters = []counter{
	{object: "General Statistics", name: "User Connections", metric: "mssql_user_connections"},
	{object: "General Statistics", name: "Logins/sec", metric: "mssql_logins_total"},
	{object: "General Statistics", name: "Logouts/sec", metric: "mssql_logouts_total"},
	{object: "General Statistics", name: "Processes blocked", metric: "mssql_processes_blocked"},
	{object: "General Statistics", name: "Temp Tables Creation Rate", metric: "mssql_temp_tables_created_total"},
	{object: "SQL Statistics", name: "Batch Requests/sec", metric: "mssql_batch_requests_total"},
	{object: "SQL Statistics", name: "SQL Compilations/sec", metric: "mssql_sql_compilations_total"},
	{object: "SQL Statistics", name: "SQL Re-Compilations/sec", metric: "mssql_sql_recompilations_total"},
	{object: "SQL Statistics", name: "SQL Attention rate", metric: "mssql_sql_attentions_total"},
	{object: "Buffer Manager", name: "Buffer cache hit ratio", base: "Buffer cache hit ratio base", metric: "mssql_buffer_cache_hit_percent"},
	{object: "Buffer Manager", name: "Page life expectancy", metric: "mssql_page_life_expectancy_seconds"},
	{object: "Buffer Manager", name: "Checkpoint pages/sec", metric: "mssql_checkpoint_pages_total"},
	{object: "Buffer Manager", name: "Lazy writes/sec", metric: "mssql_lazy_writes_total"},
	{object: "Buffer Manager", name: "Page reads/sec", metric: "mssql_page_reads_total"},
	{object: "Buffer Manager", name: "Page writes/sec", metric: "mssql_page_writes_total"},
	{object: "Buffer Manager", name: "Free list stalls/sec", metric: "mssql_free_list_stalls_total"},
	{object: "Access Methods", name: "Full Scans/sec", metric: "mssql_full_scans_total"},
	{object: "Access Methods", name: "Index Searches/sec", metric: "mssql_index_searches_total"},
	{object: "Access Methods", name: "Page Splits/sec", metric: "mssql_page_splits_total"},
	{object: "Access Methods", name: "Table Lock Escalations/sec", metric: "mssql_lock_escalations_total"},
	{object: "Access Methods", name: "Forwarded Records/sec", metric: "mssql_forwarded_records_total"},
	{object: "Access Methods", name: "Workfiles Created/sec", metric: "mssql_workfiles_created_total"},
	{object: "Access Methods", name: "Worktables Created/sec", metric: "mssql_worktables_created_total"},
	{object: "Locks", name: "Lock Requests/sec", instance: total, metric: "mssql_lock_requests_total"},
	{object: "Locks", name: "Lock Waits/sec", instance: total, metric: "mssql_lock_waits_total"},
	{object: "Locks", name: "Lock Wait Time (ms)", instance: total, metric: "mssql_lock_wait_seconds_total", factor: milliseconds},
	{object: "Locks", name: "Lock Timeouts/sec", instance: total, metric: "mssql_lock_timeouts_total"},
	{object: "Locks", name: "Number of Deadlocks/sec", instance: total, metric: "mssql_deadlocks_total"},
	{object: "Memory Manager", name: "Total Server Memory (KB)", metric: "mssql_memory_total_bytes", factor: kibibytes},
	{object: "Memory Manager", name: "Target Server Memory (KB)", metric: "mssql_memory_target_bytes", factor: kibibytes},
	{object: "Memory Manager", name: "Memory Grants Pending", metric: "mssql_memory_grants_pending"},
	{object: "Memory Manager", name: "Memory Grants Outstanding", metric: "mssql_memory_grants_outstanding"},
	{object: "Plan Cache", name: "Cache Hit Ratio", instance: total, base: "Cache Hit Ratio Base", metric: "mssql_plan_cache_hit_percent"},
	{object: "SQL Errors", name: "Errors/sec", instance: "User Errors", metric: "mssql_errors_total", dims: []string{"type", "user"}},
	{object: "SQL Errors", name: "Errors/sec", instance: "DB Offline Errors", metric: "mssql_errors_total", dims: []string{"type", "database_offline"}},
	{object: "SQL Errors", name: "Errors/sec", instance: "Kill Connection Errors", metric: "mssql_errors_total", dims: []string{"type", "kill_connection"}},
	{object: "Transactions", name: "Longest Transaction Running Time", metric: "mssql_longest_snapshot_transaction_seconds"},
	{object: "Transactions", name: "Free Space in tempdb (KB)", metric: "mssql_tempdb_free_bytes", factor: kibibytes},
	{object: "Transactions", name: "Version Store Size (KB)", metric: "mssql_version_store_bytes", factor: kibibytes},
	{object: "Databases", name: "Transactions/sec", instance: total, metric: "mssql_transactions_total"},
	{object: "Databases", name: "Write Transactions/sec", instance: total, metric: "mssql_write_transactions_total"},
	{object: "Databases", name: "Active Transactions", instance: total, metric: "mssql_active_transactions"},
	{object: "Databases", name: "Log Growths", instance: total, metric: "mssql_log_growths_total"},
}

// databaseObject is the object whose instances are databases.
const databaseObject = "Databases"

// databaseCounters are those of each database.
var databaseCounters = []counter{
	{name: "Data File(s) Size (KB)", metric: "mssql_database_data_size_bytes", factor: kibibytes},
	{name: "Log File(s) Size (KB)", metric: "mssql_database_log_size_bytes", factor: kibibytes},
	{name: "Log File(s) Used Size (KB)", metric: "mssql_database_log_used_bytes", factor: kibibytes},
	{name: "Percent Log Used", metric: "mssql_database_log_used_percent"},
	{name: "Transactions/sec", metric: "mssql_database_transactions_total"},
	{name: "Write Transactions/sec", metric: "mssql_database_write_transactions_total"},
	{name: "Active Transactions", metric: "mssql_database_active_transactions"},
	{name: "Log Growths", metric: "mssql_database_log_growths_total"},
	{name: "Log Bytes Flushed/sec", metric: "mssql_database_log_flushed_bytes_total"},
}

// states are those of sessions that every check delivers, 0 where no session has
// them; other takes what later versions may add.
var states = []string{"running", "sleeping", "dormant", "preconnect"}

const stateOther = "other"

// column is a query's column and the series that it becomes.
type column struct {
	name, metric string
	factor       float64 // 0 means 1
}

var hostColumns = []column{
	{"uptime_ms", "mssql_uptime_seconds", milliseconds},
	{"cpu_count", "mssql_cpus", 0},
	{"physical_memory_kb", "mssql_host_memory_bytes", kibibytes},
	{"max_workers_count", "mssql_workers_max", 0},
	{"workers", "mssql_workers", 0},
	{"runnable", "mssql_runnable_tasks", 0},
	{"memory_in_use_kb", "mssql_process_memory_bytes", kibibytes},
	{"memory_low", "mssql_process_memory_low", 0},
	{"packets_received", "mssql_packets_received_total", 0},
	{"packets_sent", "mssql_packets_sent_total", 0},
	{"connections_max", "mssql_connections_max", 0},
}

var cpuColumns = []column{{"process", "mssql_cpu_percent", 0}}

var requestColumns = []column{
	{"requests", "mssql_requests", 0},
	{"long", "mssql_long_requests", 0},
	{"oldest_ms", "mssql_oldest_request_seconds", milliseconds},
	{"blocked", "mssql_blocked_requests", 0},
	{"oldest_blocked_ms", "mssql_oldest_blocked_seconds", milliseconds},
}

var idleColumns = []column{
	{"idle", "mssql_idle_in_transaction", 0},
	{"long", "mssql_long_idle_in_transaction", 0},
	{"oldest", "mssql_oldest_idle_in_transaction_seconds", 0},
}

var databaseColumns = []column{
	{"state", "mssql_database_state", 0},
	{"read_only", "mssql_database_read_only", 0},
	{"recovery_model", "mssql_database_recovery_model", 0},
	{"log_reuse_wait", "mssql_database_log_reuse_wait", 0},
}

var fileColumns = []column{
	{"reads", "mssql_database_reads_total", 0},
	{"writes", "mssql_database_writes_total", 0},
	{"bytes_read", "mssql_database_read_bytes_total", 0},
	{"bytes_written", "mssql_database_written_bytes_total", 0},
	{"read_stall_ms", "mssql_database_read_stall_seconds_total", milliseconds},
	{"write_stall_ms", "mssql_database_write_stall_seconds_total", milliseconds},
}

var volumeColumns = []column{
	{"size", "mssql_volume_size_bytes", 0},
	{"free", "mssql_volume_free_bytes", 0},
}

var backupColumns = []column{
	{"backed_up", "mssql_database_backed_up", 0},
	{"full_age", "mssql_database_full_backup_age_seconds", 0},
	{"differential_age", "mssql_database_differential_backup_age_seconds", 0},
	{"log_age", "mssql_database_log_backup_age_seconds", 0},
}

var jobColumns = []column{
	{"enabled", "mssql_job_enabled", 0},
	{"failed", "mssql_job_failed", 0},
	{"last_run_age", "mssql_job_last_run_age_seconds", 0},
	{"last_duration", "mssql_job_last_duration_seconds", 0},
	{"running", "mssql_job_running_seconds", 0},
}

var replicaColumns = []column{
	{"connected", "mssql_ag_replica_connected", 0},
	{"is_primary", "mssql_ag_replica_is_primary", 0},
	{"synchronization_health", "mssql_ag_replica_synchronization_health", 0},
}

var replicaDatabaseColumns = []column{
	{"synchronization_state", "mssql_ag_database_synchronization_state", 0},
	{"is_suspended", "mssql_ag_database_suspended", 0},
	{"log_send_queue_kb", "mssql_ag_database_log_send_queue_bytes", kibibytes},
	{"redo_queue_kb", "mssql_ag_database_redo_queue_bytes", kibibytes},
	{"lag", "mssql_ag_database_lag_seconds", 0},
}
