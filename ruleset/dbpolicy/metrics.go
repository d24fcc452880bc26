package dbpolicy

// Metric is a database counter of the policy.
type Metric struct {
	Name    string // of the series that a collector delivers
	Counter string // as the contract and the database name it
	Unit    string
	Below   bool // low values are bad: hit ratios
}

// Metrics lists the counters in the contract's order. Those that the alarm
// table judges (CPU, memory, IOPS and disk as percentages, connections used,
// replica lag) are not among them.
func Metrics() []Metric { return append([]Metric(nil), metrics...) }

// Lookup returns the counter with a metric name.
func Lookup(name string) (Metric, bool) {
	for _, m := range metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

const perSecond = "per second"

var metrics = []Metric{
	// RDS for MySQL
	{Name: "aliyun_rds_mysql_com_delete_per_second", Counter: "com_delete", Unit: perSecond},
	{Name: "aliyun_rds_mysql_com_insert_per_second", Counter: "com_insert", Unit: perSecond},
	{Name: "aliyun_rds_mysql_com_insert_select_per_second", Counter: "com_insert_select", Unit: perSecond},
	{Name: "aliyun_rds_mysql_com_replace_per_second", Counter: "com_replace", Unit: perSecond},
	{Name: "aliyun_rds_mysql_com_replace_select_per_second", Counter: "com_replace_select", Unit: perSecond},
	{Name: "aliyun_rds_mysql_com_select_per_second", Counter: "com_select", Unit: perSecond},
	{Name: "aliyun_rds_mysql_com_update_per_second", Counter: "com_update", Unit: perSecond},
	{Name: "aliyun_rds_mysql_innodb_buffer_dirty_percent", Counter: "ibuf_dirty_ratio", Unit: "%"},
	{Name: "aliyun_rds_mysql_innodb_buffer_read_hit_percent", Counter: "ibuf_read_hit", Unit: "%", Below: true},
	{Name: "aliyun_rds_mysql_innodb_buffer_used_percent", Counter: "ibuf_use_ratio", Unit: "%"},
	{Name: "aliyun_rds_mysql_innodb_data_read_bytes_per_second", Counter: "inno_data_read", Unit: "bytes per second"},
	{Name: "aliyun_rds_mysql_innodb_data_written_bytes_per_second", Counter: "inno_data_written", Unit: "bytes per second"},
	{Name: "aliyun_rds_mysql_innodb_log_writes_per_second", Counter: "Innodb_log_writes", Unit: perSecond},
	{Name: "aliyun_rds_mysql_innodb_log_write_requests_per_second", Counter: "Innodb_log_write_requests", Unit: perSecond},
	{Name: "aliyun_rds_mysql_innodb_os_log_fsyncs_per_second", Counter: "Innodb_os_log_fsyncs", Unit: perSecond},
	{Name: "aliyun_rds_mysql_iops", Counter: "IOPS", Unit: perSecond},
	{Name: "aliyun_rds_mysql_myisam_key_read_hit_percent", Counter: "Key_read_hit_ratio", Unit: "%", Below: true},
	{Name: "aliyun_rds_mysql_myisam_key_usage_percent", Counter: "Key_usage_ratio", Unit: "%"},
	{Name: "aliyun_rds_mysql_myisam_key_write_hit_percent", Counter: "Key_write_hit_ratio", Unit: "%", Below: true},
	{Name: "aliyun_rds_mysql_myisam_key_buffer_reads_per_second", Counter: "myisam_keyr", Unit: perSecond},
	{Name: "aliyun_rds_mysql_myisam_key_disk_reads_per_second", Counter: "myisam_keyr_r", Unit: perSecond},
	{Name: "aliyun_rds_mysql_myisam_key_disk_writes_per_second", Counter: "myisam_keyr_w", Unit: perSecond},
	{Name: "aliyun_rds_mysql_myisam_key_buffer_writes_per_second", Counter: "myisam_keyw", Unit: perSecond},
	{Name: "aliyun_rds_mysql_queries_per_second", Counter: "QPS", Unit: perSecond},
	{Name: "aliyun_rds_mysql_transactions_per_second", Counter: "TPS", Unit: perSecond},
	{Name: "aliyun_rds_mysql_innodb_rows_deleted_per_second", Counter: "inno_row_delete", Unit: perSecond},
	{Name: "aliyun_rds_mysql_innodb_rows_inserted_per_second", Counter: "inno_row_insert", Unit: perSecond},
	{Name: "aliyun_rds_mysql_innodb_rows_read_per_second", Counter: "inno_row_readed", Unit: perSecond},
	{Name: "aliyun_rds_mysql_innodb_rows_updated_per_second", Counter: "inno_row_update", Unit: perSecond},
	{Name: "aliyun_rds_mysql_innodb_row_log_writes_per_second", Counter: "Inno_log_writes", Unit: perSecond},
	{Name: "aliyun_rds_mysql_active_sessions", Counter: "active_session", Unit: "sessions"},
	{Name: "aliyun_rds_mysql_sessions", Counter: "total_session", Unit: "sessions"},
	{Name: "aliyun_rds_mysql_network_receive_bytes_per_second", Counter: "recv_k", Unit: "bytes per second"},
	{Name: "aliyun_rds_mysql_network_transmit_bytes_per_second", Counter: "sent_k", Unit: "bytes per second"},
	{Name: "aliyun_rds_mysql_temporary_disk_tables_per_second", Counter: "tb_tmp_disk", Unit: perSecond},
	{Name: "aliyun_rds_mysql_space_used_bytes", Counter: "ins_size", Unit: "bytes"},

	// RDS for SQL Server
	{Name: "aliyun_rds_sqlserver_sessions", Counter: "connections", Unit: "sessions"},
	{Name: "aliyun_rds_sqlserver_buffer_hit_percent", Counter: "cache hit ratio", Unit: "%", Below: true},
	{Name: "aliyun_rds_sqlserver_full_scans_per_second", Counter: "full table scans", Unit: perSecond},
	{Name: "aliyun_rds_sqlserver_sql_compilations_per_second", Counter: "SQL compilations", Unit: perSecond},
	{Name: "aliyun_rds_sqlserver_checkpoint_pages_per_second", Counter: "checkpoint page writes", Unit: perSecond},
	{Name: "aliyun_rds_sqlserver_logins_per_second", Counter: "log-ins", Unit: perSecond},
	{Name: "aliyun_rds_sqlserver_lock_timeouts_per_second", Counter: "lock time-outs", Unit: perSecond},
	{Name: "aliyun_rds_sqlserver_deadlocks_per_second", Counter: "deadlocks", Unit: perSecond},
	{Name: "aliyun_rds_sqlserver_lock_waits_per_second", Counter: "lock waits", Unit: perSecond},
	{Name: "aliyun_rds_sqlserver_network_receive_bytes_per_second", Counter: "network traffic in", Unit: "bytes per second"},
	{Name: "aliyun_rds_sqlserver_network_transmit_bytes_per_second", Counter: "network traffic out", Unit: "bytes per second"},
	{Name: "aliyun_rds_sqlserver_queries_per_second", Counter: "QPS", Unit: perSecond},
	{Name: "aliyun_rds_sqlserver_transactions_per_second", Counter: "TPS", Unit: perSecond},
	{Name: "aliyun_rds_sqlserver_iops", Counter: "IOPS", Unit: perSecond},
	{Name: "aliyun_rds_sqlserver_space_used_bytes", Counter: "disk space", Unit: "bytes"},

	// RDS for PostgreSQL and PPAS
	{Name: "aliyun_rds_postgresql_iops", Counter: "IOPS", Unit: perSecond},
	{Name: "aliyun_rds_postgresql_space_used_bytes", Counter: "disk space", Unit: "bytes"},
}
