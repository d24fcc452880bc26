package memcached

const metricInfo = "memcached_info" // with the label version

// figure is one statistic and the metric it becomes.
type figure struct {
	stat, metric string
	dims         []string
}

func command(c string) []string { return []string{"command", c} }

func result(c, status string) []string { return []string{"command", c, "status", status} }

// figures lists what is delivered.
var figures = []figure{
	{stat: "uptime", metric: "memcached_uptime_seconds"},
	{stat: "threads", metric: "memcached_threads"},
	{stat: "max_connections", metric: "memcached_connections_max"},
	{stat: "curr_connections", metric: "memcached_connections"},
	{stat: "total_connections", metric: "memcached_connections_total"},
	{stat: "rejected_connections", metric: "memcached_connections_rejected_total"},
	{stat: "listen_disabled_num", metric: "memcached_connections_listener_disabled_total"},
	{stat: "conn_yields", metric: "memcached_connections_yielded_total"},
	{stat: "limit_maxbytes", metric: "memcached_limit_bytes"},
	{stat: "bytes", metric: "memcached_items_bytes"},
	{stat: "curr_items", metric: "memcached_items"},
	{stat: "total_items", metric: "memcached_items_total"},
	{stat: "evictions", metric: "memcached_items_evicted_total"},
	{stat: "reclaimed", metric: "memcached_items_reclaimed_total"},
	{stat: "expired_unfetched", metric: "memcached_items_expired_unfetched_total"},
	{stat: "evicted_unfetched", metric: "memcached_items_evicted_unfetched_total"},
	{stat: "bytes_read", metric: "memcached_read_bytes_total"},
	{stat: "bytes_written", metric: "memcached_written_bytes_total"},
	{stat: "rusage_user", metric: "memcached_cpu_seconds_total", dims: []string{"mode", "user"}},
	{stat: "rusage_system", metric: "memcached_cpu_seconds_total", dims: []string{"mode", "system"}},
	{stat: "hash_bytes", metric: "memcached_hash_bytes"},
	{stat: "auth_errors", metric: "memcached_auth_errors_total"},
	{stat: "cmd_set", metric: "memcached_commands_total", dims: command("set")},
	{stat: "cmd_get", metric: "memcached_commands_total", dims: command("get")},
	{stat: "cmd_flush", metric: "memcached_commands_total", dims: command("flush")},
	{stat: "cmd_touch", metric: "memcached_commands_total", dims: command("touch")},
	{stat: "get_hits", metric: "memcached_results_total", dims: result("get", "hit")},
	{stat: "get_misses", metric: "memcached_results_total", dims: result("get", "miss")},
	{stat: "get_expired", metric: "memcached_results_total", dims: result("get", "expired")},
	{stat: "delete_hits", metric: "memcached_results_total", dims: result("delete", "hit")},
	{stat: "delete_misses", metric: "memcached_results_total", dims: result("delete", "miss")},
	{stat: "incr_hits", metric: "memcached_results_total", dims: result("incr", "hit")},
	{stat: "incr_misses", metric: "memcached_results_total", dims: result("incr", "miss")},
	{stat: "decr_hits", metric: "memcached_results_total", dims: result("decr", "hit")},
	{stat: "decr_misses", metric: "memcached_results_total", dims: result("decr", "miss")},
	{stat: "cas_hits", metric: "memcached_results_total", dims: result("cas", "hit")},
	{stat: "cas_misses", metric: "memcached_results_total", dims: result("cas", "miss")},
	{stat: "cas_badval", metric: "memcached_results_total", dims: result("cas", "bad_value")},
}
