package redis

// Metrics that are not made of one field of INFO.
const (
	metricInfo             = "redis_info" // version, mode, role, os
	metricSlowLogLength    = "redis_slowlog_length"
	metricBigKeys          = "redis_big_keys"
	metricBiggestKeyBytes  = "redis_biggest_key_bytes"
	metricKeysLookedAt     = "redis_big_keys_looked_at_total"
	metricBigKeyRoundsDone = "redis_big_keys_rounds_total"
)

// figure is a value and the metric it becomes; its unit is brought to the base unit.
type figure struct {
	field, metric string
	per           float64 // 0 means 1
	dims          []string
}

func (f figure) divisor() float64 {
	if f.per == 0 {
		return 1
	}
	return f.per
}

// figures names the fields of INFO that have a unit or count something. What is
// not among them keeps its own name behind "redis_": the names that people know
// from INFO, and what a new version brings.
var figures = func() map[string]figure {
	m := make(map[string]figure)
	for _, f := range []figure{
		{field: "uptime_in_seconds", metric: "redis_uptime_seconds"},
		{field: "used_memory", metric: "redis_memory_used_bytes"},
		{field: "used_memory_rss", metric: "redis_memory_used_rss_bytes"},
		{field: "used_memory_peak", metric: "redis_memory_used_peak_bytes"},
		{field: "used_memory_lua", metric: "redis_memory_used_lua_bytes"},
		{field: "used_memory_dataset", metric: "redis_memory_used_dataset_bytes"},
		{field: "used_memory_overhead", metric: "redis_memory_used_overhead_bytes"},
		{field: "maxmemory", metric: "redis_memory_max_bytes"},
		{field: "total_system_memory", metric: "redis_system_memory_bytes"},
		{field: "mem_fragmentation_ratio", metric: "redis_memory_fragmentation_ratio"},
		{field: "mem_fragmentation_bytes", metric: "redis_memory_fragmentation_bytes"},
		{field: "maxclients", metric: "redis_clients_max"},
		{field: "total_connections_received", metric: "redis_connections_received_total"},
		{field: "total_commands_processed", metric: "redis_commands_processed_total"},
		{field: "rejected_connections", metric: "redis_connections_rejected_total"},
		{field: "total_net_input_bytes", metric: "redis_net_input_bytes_total"},
		{field: "total_net_output_bytes", metric: "redis_net_output_bytes_total"},
		{field: "instantaneous_input_kbps", metric: "redis_net_input_kilobytes_per_second"},
		{field: "instantaneous_output_kbps", metric: "redis_net_output_kilobytes_per_second"},
		{field: "expired_keys", metric: "redis_keys_expired_total"},
		{field: "evicted_keys", metric: "redis_keys_evicted_total"},
		{field: "evicted_clients", metric: "redis_clients_evicted_total"},
		{field: "keyspace_hits", metric: "redis_keyspace_hits_total"},
		{field: "keyspace_misses", metric: "redis_keyspace_misses_total"},
		{field: "sync_full", metric: "redis_replica_resyncs_full_total"},
		{field: "sync_partial_ok", metric: "redis_replica_partial_resyncs_accepted_total"},
		{field: "sync_partial_err", metric: "redis_replica_partial_resyncs_denied_total"},
		{field: "latest_fork_usec", metric: "redis_latest_fork_seconds", per: 1e6},
		{field: "total_forks", metric: "redis_forks_total"},
		{field: "total_error_replies", metric: "redis_error_replies_total"},
		{field: "active_defrag_hits", metric: "redis_active_defrag_hits_total"},
		{field: "active_defrag_misses", metric: "redis_active_defrag_misses_total"},
		{field: "active_defrag_key_hits", metric: "redis_active_defrag_key_hits_total"},
		{field: "active_defrag_key_misses", metric: "redis_active_defrag_key_misses_total"},
		{field: "used_cpu_sys", metric: "redis_cpu_sys_seconds_total"},
		{field: "used_cpu_user", metric: "redis_cpu_user_seconds_total"},
		{field: "used_cpu_sys_children", metric: "redis_cpu_sys_children_seconds_total"},
		{field: "used_cpu_user_children", metric: "redis_cpu_user_children_seconds_total"},
		{field: "used_cpu_sys_main_thread", metric: "redis_cpu_sys_main_thread_seconds_total"},
		{field: "used_cpu_user_main_thread", metric: "redis_cpu_user_main_thread_seconds_total"},
		{field: "rdb_last_save_time", metric: "redis_rdb_last_save_timestamp_seconds"},
		{field: "rdb_last_bgsave_time_sec", metric: "redis_rdb_last_bgsave_duration_seconds"},
		{field: "aof_last_rewrite_time_sec", metric: "redis_aof_last_rewrite_duration_seconds"},
		{field: "aof_current_size", metric: "redis_aof_current_size_bytes"},
		{field: "aof_base_size", metric: "redis_aof_base_size_bytes"},
		{field: "rdb_last_bgsave_status", metric: "redis_rdb_last_bgsave_ok"},
		{field: "aof_last_bgrewrite_status", metric: "redis_aof_last_bgrewrite_ok"},
		{field: "aof_last_write_status", metric: "redis_aof_last_write_ok"},
		{field: "master_link_status", metric: "redis_master_link_up"},
		{field: "master_last_io_seconds_ago", metric: "redis_master_last_io_age_seconds"},
		{field: "master_link_down_since_seconds", metric: "redis_master_link_down_seconds"},
		{field: "repl_backlog_size", metric: "redis_replication_backlog_bytes"},
		{field: "connected_slaves", metric: "redis_connected_replicas"},
	} {
		m[f.field] = f
	}
	return m
}()

// notFigures are fields that look like numbers and measure nothing, or repeat
// another one.
var notFigures = map[string]bool{
	"redis_git_sha1": true, "redis_git_dirty": true, "redis_build_id": true, "arch_bits": true, "process_id": true, "run_id": true,
	"tcp_port": true, "server_time_usec": true, "uptime_in_days": true, "lru_clock": true, "master_replid": true, "master_replid2": true,
	"master_port": true, "gcc_version": true, "hz": true, "configured_hz": true, "redis_version": true,
}

// group is a kind of field that holds several values.
type group struct {
	prefix  string
	dims    func(label string, values map[string]string) []string
	figures []figure
}

func labelled(name string) func(string, map[string]string) []string {
	return func(label string, _ map[string]string) []string { return []string{name, label} }
}

func quantile(q string) []string { return []string{"quantile", q} }

var groups = []group{
	{"cmdstat_", labelled("command"), []figure{
		{field: "calls", metric: "redis_commands_total"},
		{field: "usec", metric: "redis_commands_duration_seconds_total", per: 1e6},
		{field: "rejected_calls", metric: "redis_commands_rejected_total"},
		{field: "failed_calls", metric: "redis_commands_failed_total"},
	}},
	{"latency_percentiles_usec_", labelled("command"), []figure{
		{field: "p50", metric: "redis_command_latency_seconds", per: 1e6, dims: quantile("0.5")},
		{field: "p99", metric: "redis_command_latency_seconds", per: 1e6, dims: quantile("0.99")},
		{field: "p99.9", metric: "redis_command_latency_seconds", per: 1e6, dims: quantile("0.999")},
	}},
	{"errorstat_", labelled("error"), []figure{{field: "count", metric: "redis_errors_total"}}},
	{"db", labelled("db"), []figure{
		{field: "keys", metric: "redis_db_keys"},
		{field: "expires", metric: "redis_db_keys_expiring"},
		{field: "avg_ttl", metric: "redis_db_ttl_average_seconds", per: 1e3},
	}},
	{"slave", replicaDims, []figure{
		{field: "offset", metric: "redis_replica_offset_bytes"},
		{field: "lag", metric: "redis_replica_lag_seconds"},
	}},
	{"master", sentinelDims, []figure{
		{field: "status", metric: "redis_sentinel_master_ok"},
		{field: "slaves", metric: "redis_sentinel_master_replicas"},
		{field: "sentinels", metric: "redis_sentinel_master_sentinels"},
	}},
}

// replicaDims names a replica by its address: its number changes.
func replicaDims(_ string, v map[string]string) []string {
	return []string{"replica", v["ip"] + ":" + v["port"]}
}

func sentinelDims(_ string, v map[string]string) []string { return []string{"master", v["name"]} }
