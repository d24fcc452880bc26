package mysql

// Status variables are delivered as mysql_global_status_<name> and settings as
// mysql_global_variables_<name>, in lower case, the names that everybody uses.
const (
	prefixStatus    = "mysql_global_status_"
	prefixVariables = "mysql_global_variables_"

	metricInfo                   = "mysql_info" // version
	metricReplicaLagSeconds      = "mysql_replica_lag_seconds"
	metricReplicaRunning         = "mysql_replica_running"
	metricReplicaIORunning       = "mysql_replica_io_running"
	metricReplicaSQLRunning      = "mysql_replica_sql_running"
	metricReplicaSQLDelaySeconds = "mysql_replica_sql_delay_seconds"
	metricReplicaLastErrorNumber = "mysql_replica_last_error_number" // by thread: io, sql
)

// variables are the settings that are delivered: limits that usage is compared
// with, and what a person asks for first.
var variables = []string{
	"max_connections", "max_user_connections", "max_connect_errors", "max_allowed_packet", "open_files_limit", "table_open_cache",
	"table_definition_cache", "thread_cache_size", "tmp_table_size", "max_heap_table_size", "innodb_buffer_pool_size",
	"innodb_buffer_pool_instances", "innodb_log_file_size", "innodb_log_buffer_size", "innodb_redo_log_capacity", "innodb_io_capacity",
	"innodb_flush_log_at_trx_commit", "innodb_file_per_table", "innodb_lock_wait_timeout", "key_buffer_size", "query_cache_size",
	"query_cache_type", "sort_buffer_size", "join_buffer_size", "read_buffer_size", "read_rnd_buffer_size", "binlog_cache_size",
	"sync_binlog", "log_bin", "expire_logs_days", "binlog_expire_logs_seconds", "slow_query_log", "long_query_time", "read_only",
	"super_read_only", "server_id", "wait_timeout", "interactive_timeout", "connect_timeout", "lock_wait_timeout", "event_scheduler",
	"performance_schema", "slave_parallel_threads", "slave_parallel_workers", "replica_parallel_workers", "gtid_strict_mode",
}
