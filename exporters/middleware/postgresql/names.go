package postgresql

// The names are those of PostgreSQL's views and columns, as everybody writes
// them: pg_stat_database_<column>, pg_settings_<name>. Where later versions
// renamed a column, the name of PostgreSQL 16 stays.
const (
	prefixSettings = "pg_settings_"
	prefixDatabase = "pg_stat_database_"
	prefixBgwriter = "pg_stat_bgwriter_"
	prefixArchiver = "pg_stat_archiver_"
	prefixStandby  = "pg_stat_replication_"
	prefixSlot     = "pg_replication_slot_"
	prefixReceiver = "pg_stat_wal_receiver_"

	metricInfo             = "pg_info" // version
	metricStartTimeSeconds = "pg_postmaster_start_time_seconds"
	metricUptimeSeconds    = "pg_uptime_seconds"
	metricIsReplica        = "pg_replication_is_replica"
	metricWALPosition      = "pg_wal_position_bytes"

	metricSessions            = "pg_stat_activity_count" // by state
	metricLongQueries         = "pg_long_queries"
	metricLongIdle            = "pg_long_idle_in_transaction"
	metricOldestQuerySeconds  = "pg_oldest_query_seconds"
	metricOldestIdleSeconds   = "pg_oldest_idle_in_transaction_seconds"
	metricOldestTransaction   = "pg_oldest_transaction_seconds"
	metricOldestLockWait      = "pg_oldest_lock_wait_seconds"
	metricLocks               = "pg_locks_count"
	metricLocksWaiting        = "pg_locks_waiting"
	metricDatabases           = "pg_databases"
	metricDatabaseSizeBytes   = "pg_database_size_bytes"
	metricXIDAge              = "pg_database_xid_age"
	metricMultiXIDAge         = "pg_database_mxid_age"
	metricXIDAgeMax           = "pg_xid_age_max"
	metricMultiXIDAgeMax      = "pg_mxid_age_max"
	metricStandbys            = "pg_replication_standbys"
	metricReplicaLagSeconds   = "pg_replication_lag_seconds"
	metricReplicaLagBytes     = "pg_replication_lag_bytes"
	metricReplicaReplayPaused = "pg_replication_replay_paused"
)

// states are those that every check delivers, 0 where no session has them.
var states = []string{"active", "idle", "idle in transaction", "idle in transaction (aborted)", "fastpath function call", "disabled"}

// stateOther takes what later versions may add, and sessions without one.
const stateOther = "other"

// settings are limits that usage is compared with, and what a person asks for
// first.
var settings = []string{
	"max_connections", "superuser_reserved_connections", "reserved_connections", "max_wal_senders", "max_replication_slots",
	"max_prepared_transactions", "max_locks_per_transaction", "max_worker_processes", "autovacuum", "autovacuum_freeze_max_age",
	"autovacuum_multixact_freeze_max_age", "autovacuum_max_workers", "archive_mode", "fsync", "full_page_writes", "hot_standby",
	"shared_buffers", "work_mem", "maintenance_work_mem", "effective_cache_size", "max_wal_size", "wal_buffers",
}

// unitBytes are the units of settings that are sizes.
var unitBytes = map[string]float64{"B": 1, "kB": 1 << 10, "8kB": 8 << 10, "MB": 1 << 20}

var databaseColumns = []string{
	"numbackends", "xact_commit", "xact_rollback", "blks_read", "blks_hit", "tup_returned", "tup_fetched", "tup_inserted",
	"tup_updated", "tup_deleted", "conflicts", "temp_files", "temp_bytes", "deadlocks", "checksum_failures",
	"sessions", "sessions_abandoned", "sessions_fatal", "sessions_killed",
}

// column is a view's column and the name that it is delivered by.
type column struct {
	name, metric string
	factor       float64 // 0 means 1
}

const milliseconds = 1e-3

var bgwriterColumns = []column{
	{"buffers_clean", "buffers_clean", 0}, {"maxwritten_clean", "maxwritten_clean", 0}, {"buffers_alloc", "buffers_alloc", 0},
	{"buffers_backend", "buffers_backend", 0}, {"buffers_backend_fsync", "buffers_backend_fsync", 0}, // until 16
	{"checkpoints_timed", "checkpoints_timed", 0}, {"checkpoints_req", "checkpoints_req", 0}, {"buffers_checkpoint", "buffers_checkpoint", 0},
	{"checkpoint_write_time", "checkpoint_write_time_seconds", milliseconds}, {"checkpoint_sync_time", "checkpoint_sync_time_seconds", milliseconds},
}

// checkpointerColumns are those that PostgreSQL 17 moved to a view of their own.
var checkpointerColumns = []column{
	{"num_timed", "checkpoints_timed", 0}, {"num_requested", "checkpoints_req", 0}, {"buffers_written", "buffers_checkpoint", 0},
	{"write_time", "checkpoint_write_time_seconds", milliseconds}, {"sync_time", "checkpoint_sync_time_seconds", milliseconds},
}
