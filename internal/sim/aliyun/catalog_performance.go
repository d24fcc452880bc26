package aliyun

import "strings"

// performanceKey is a key of RDS' DescribeDBInstancePerformance. Its value is made of
// parts, joined with & in the order of format; an empty format is one value.
type performanceKey struct {
	engine, name, unit, format string
	shape                      shape // of every part
}

// parts are the names of the values, "" for the only one of an empty format.
func (k *performanceKey) parts() []string { return strings.Split(k.format, "&") }

// performanceKeys: the orders of parts of SQL Server and PostgreSQL, and the keys of
// PPAS, are not confirmed.
var performanceKeys = []performanceKey{
	{"MySQL", "MySQL_NetworkTraffic", "KB/s", "recv_k&sent_k", rate(3000)},
	{"MySQL", "MySQL_QPSTPS", "1/s", "QPS&TPS", rate(2000)},
	{"MySQL", "MySQL_Sessions", "count", "active_session&total_session", rate(120)},
	{"MySQL", "MySQL_InnoDBBufferRatio", "%", "ibuf_read_hit&ibuf_use_ratio&ibuf_dirty_ratio", around(60, 99)},
	{"MySQL", "MySQL_InnoDBDataReadWriten", "KB", "inno_data_read&inno_data_written", rate(5000)},
	{"MySQL", "MySQL_InnoDBLogRequests", "1/s", "ibuf_request_r&ibuf_request_w", rate(9000)},
	{"MySQL", "MySQL_InnoDBLogWrites", "1/s", "Innodb_log_write_requests&Innodb_log_writes&Innodb_os_log_fsyncs", rate(800)},
	{"MySQL", "MySQL_TempDiskTableCreates", "count", "tb_tmp_disk", rate(20)},
	{"MySQL", "MySQL_MyISAMKeyBufferRatio", "%", "Key_usage_ratio&Key_read_hit_ratio&Key_write_hit_ratio", around(50, 99)},
	{"MySQL", "MySQL_MyISAMKeyReadWrites", "1/s", "myisam_keyr_r&myisam_keyr_w&myisam_keyr&myisam_keyw", rate(10)},
	{"MySQL", "MySQL_COMDML", "1/s", "com_delete&com_insert&com_insert_select&com_replace&com_replace_select&com_select&com_update", rate(900)},
	{"MySQL", "MySQL_RowDML", "1/s", "inno_row_readed&inno_row_update&inno_row_delete&inno_row_insert&Inno_log_writes", rate(9000)},
	{"MySQL", "MySQL_MemCpuUsage", "%", "cpuusage&memusage", percent(5, 60)},
	{"MySQL", "MySQL_IOPS", "1/s", "io", rate(1500)},
	{"MySQL", "MySQL_MBPS", "MB/s", "", rate(40)},
	{"MySQL", "MySQL_ReplicationDelay", "s", "", around(0, 1)},
	{"MySQL", "MySQL_SelectScan", "1/s", "", rate(5)},
	{"MySQL", "MySQL_SpaceUsage", "MB", "", around(20000, 60000)},
	{"MySQL", "MySQL_DetailedSpaceUsage", "MB", "ins_size&data_size&log_size&tmp_size&other_size", around(1000, 60000)},

	{"SQLServer", "SQLServer_InstanceCPUUsage", "%", "", percent(5, 50)},
	{"SQLServer", "SQLServer_InstanceMemUsage", "%", "", percent(40, 70)},
	{"SQLServer", "SQLServer_InstanceDiskUsage", "%", "", percent(20, 60).slow()},
	{"SQLServer", "SQLServer_SpaceUsage", "MB", "", around(20000, 60000)},
	{"SQLServer", "SQLServer_DetailedSpaceUsage", "MB", "total&data&log&system&temp", around(1000, 60000)},
	{"SQLServer", "SQLServer_IOPS", "1/s", "total&read&write", rate(1500)},
	{"SQLServer", "SQLServer_MBPS", "MB/s", "total&read&write", rate(40)},
	{"SQLServer", "SQLServer_NetworkTraffic", "KB/s", "sent_k&recv_k", rate(3000)}, // out first
	{"SQLServer", "SQLServer_QPS", "1/s", "", rate(900)},
	{"SQLServer", "SQLServer_Transactions", "1/s", "tps&write", rate(300)},
	{"SQLServer", "SQLServer_Sessions", "count", "active&idle&sleeping&blocked&system&total", rate(100)},
	{"SQLServer", "SQLServer_BufferHit", "%", "", around(95, 100)},
	{"SQLServer", "SQLServer_FullScans", "1/s", "", rate(10)},
	{"SQLServer", "SQLServer_SQLCompilations", "1/s", "", rate(50)},
	{"SQLServer", "SQLServer_CheckPoint", "1/s", "", rate(20)},
	{"SQLServer", "SQLServer_Logins", "1/s", "", rate(5)},
	{"SQLServer", "SQLServer_LockTimeout", "1/s", "", always(0)},
	{"SQLServer", "SQLServer_Deadlock", "1/s", "", always(0)},
	{"SQLServer", "SQLServer_LockWaits", "1/s", "", around(0, 1)},

	{"PostgreSQL", "CpuUsage", "%", "", percent(5, 50)},
	{"PostgreSQL", "MemoryUsage", "%", "", percent(40, 70)},
	{"PostgreSQL", "PgSQL_SpaceUsage", "Byte", "", around(2e10, 6e10)},
	{"PostgreSQL", "PgSQL_IOPS", "1/s", "", rate(1500)},
	{"PostgreSQL", "PgSQL_Session", "count", "", rate(100)},
	{"PostgreSQL", "PolarDBConnections", "count", "active&idle&total&waiting", rate(100)},
	{"PostgreSQL", "PolarDBQPSTPS", "1/s", "commits&rollbacks&deadlocks&tps", rate(600)},
	{"PostgreSQL", "PolarDBLongSQL", "count", "", around(0, 1)},
	{"PostgreSQL", "PolarDBLongTransaction", "count", "", around(0, 1)},
	{"PostgreSQL", "PolarDBLongIdleTransaction", "count", "", around(0, 1)},

	{"PPAS", "PgSQL_SpaceUsage", "Byte", "", around(2e10, 6e10)},
	{"PPAS", "PgSQL_IOPS", "1/s", "", rate(1500)},
}

// findPerformanceKey finds the key for an instance's engine.
func findPerformanceKey(r *resource, name string) *performanceKey {
	if r.product.namespace != nsRDS {
		return nil
	}
	engine, _ := r.engine()
	for i := range performanceKeys {
		if k := &performanceKeys[i]; k.engine == engine && k.name == name {
			return k
		}
	}
	return nil
}
