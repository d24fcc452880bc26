package sqlserver

import (
	"fmt"
	"strings"
	"time"
)

// queryServer needs no right.
const queryServer = `SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)) AS version, CAST(SERVERPROPERTY('Edition') AS nvarchar(128)) AS edition,
  CAST(SERVERPROPERTY('IsHadrEnabled') AS int) AS hadr, CAST(LEFT(CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)), CHARINDEX('.', CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128))) - 1) AS int) AS major`

// querySession keeps a check from waiting for others' locks and others from
// waiting for the check.
const querySession = `SET NOCOUNT ON; SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; SET LOCK_TIMEOUT 1000; SET DEADLOCK_PRIORITY LOW`

const queryHost = `SELECT i.ms_ticks - i.sqlserver_start_time_ms_ticks AS uptime_ms, i.cpu_count, i.physical_memory_kb, i.max_workers_count, s.workers, s.runnable,
  p.physical_memory_in_use_kb AS memory_in_use_kb, CASE WHEN p.process_physical_memory_low = 1 OR p.process_virtual_memory_low = 1 THEN 1 ELSE 0 END AS memory_low,
  @@PACK_RECEIVED AS packets_received, @@PACK_SENT AS packets_sent, @@MAX_CONNECTIONS AS connections_max
FROM sys.dm_os_sys_info i CROSS JOIN sys.dm_os_process_memory p
CROSS JOIN (SELECT SUM(current_workers_count) AS workers, SUM(runnable_tasks_count) AS runnable FROM sys.dm_os_schedulers WHERE status = 'VISIBLE ONLINE') s`

// queryCPU reads what the server notes of itself once a minute.
const queryCPU = `SELECT TOP (1) r.record.value('(./Record/SchedulerMonitorEvent/SystemHealth/ProcessUtilization)[1]', 'int') AS process
FROM (SELECT timestamp, CONVERT(xml, record) AS record FROM sys.dm_os_ring_buffers
  WHERE ring_buffer_type = N'RING_BUFFER_SCHEDULER_MONITOR' AND record LIKE N'%<SystemHealth>%') r ORDER BY r.timestamp DESC`

// queryCounters asks for the counters by name: the view has some ten thousand.
func queryCounters(databases int) string {
	var names []string
	seen := make(map[string]bool)
	for _, c := range append(counters, databaseCounters...) {
		for _, name := range []string{c.name, c.base} {
			if name != "" && !seen[name] {
				seen[name] = true
				names = append(names, "N'"+name+"'")
			}
		}
	}
	return fmt.Sprintf(`SELECT RTRIM(object_name) AS object, RTRIM(counter_name) AS counter, RTRIM(instance_name) AS instance, cntr_value AS value
FROM sys.dm_os_performance_counters WHERE counter_name IN (%s)
  AND (object_name NOT LIKE N'%%:Databases%%' OR instance_name = N'_Total' OR instance_name IN (SELECT TOP (%d) name FROM sys.databases ORDER BY database_id))`,
		strings.Join(names, ", "), databases)
}

const querySessions = `SELECT status AS state, COUNT(*) AS sessions FROM sys.dm_exec_sessions WHERE is_user_process = 1 AND session_id <> @@SPID GROUP BY status`

// queryRequests leaves out requests that wait for work as long as there is none.
func queryRequests(long time.Duration) string {
	return fmt.Sprintf(`SELECT COUNT(*) AS requests, ISNULL(SUM(CASE WHEN r.total_elapsed_time >= %d THEN 1 ELSE 0 END), 0) AS long, ISNULL(MAX(r.total_elapsed_time), 0) AS oldest_ms,
  ISNULL(SUM(CASE WHEN r.blocking_session_id <> 0 THEN 1 ELSE 0 END), 0) AS blocked, ISNULL(MAX(CASE WHEN r.blocking_session_id <> 0 THEN r.wait_time END), 0) AS oldest_blocked_ms
FROM sys.dm_exec_requests r JOIN sys.dm_exec_sessions s ON s.session_id = r.session_id
WHERE s.is_user_process = 1 AND r.session_id <> @@SPID AND ISNULL(r.wait_type, N'') NOT IN (N'WAITFOR', N'BROKER_RECEIVE_WAITFOR', N'SP_SERVER_DIAGNOSTICS_SLEEP', N'XE_LIVE_TARGET_TVF')`, long.Milliseconds())
}

func queryIdle(long time.Duration) string {
	return fmt.Sprintf(`SELECT COUNT(*) AS idle, ISNULL(SUM(CASE WHEN t.age >= %d THEN 1 ELSE 0 END), 0) AS long, ISNULL(MAX(t.age), 0) AS oldest
FROM (SELECT DATEDIFF_BIG(SECOND, last_request_end_time, GETDATE()) AS age FROM sys.dm_exec_sessions
  WHERE is_user_process = 1 AND status = N'sleeping' AND open_transaction_count > 0) t`, int64(long.Seconds()))
}

const queryAllDatabases = `SELECT COUNT(*) AS databases, ISNULL(SUM(CASE WHEN state <> 0 THEN 1 ELSE 0 END), 0) AS not_online FROM sys.databases`

func queryDatabases(limit int) string {
	return fmt.Sprintf(`SELECT TOP (%d) name, state, is_read_only AS read_only, recovery_model, log_reuse_wait FROM sys.databases ORDER BY database_id`, limit)
}

func queryFiles(limit int) string {
	return fmt.Sprintf(`SELECT d.name, SUM(f.num_of_reads) AS reads, SUM(f.num_of_writes) AS writes, SUM(f.num_of_bytes_read) AS bytes_read, SUM(f.num_of_bytes_written) AS bytes_written,
  SUM(f.io_stall_read_ms) AS read_stall_ms, SUM(f.io_stall_write_ms) AS write_stall_ms
FROM (SELECT TOP (%d) name, database_id FROM sys.databases ORDER BY database_id) d JOIN sys.dm_io_virtual_file_stats(NULL, NULL) f ON f.database_id = d.database_id GROUP BY d.name`, limit)
}

// maxVolumes and maxReplicas bound what there are a few of.
const (
	maxVolumes  = 50
	maxReplicas = 100
)

var queryVolumes = fmt.Sprintf(`SELECT TOP (%d) v.volume_mount_point AS volume, MAX(v.total_bytes) AS size, MIN(v.available_bytes) AS free
FROM sys.master_files f CROSS APPLY sys.dm_os_volume_stats(f.database_id, f.file_id) v GROUP BY v.volume_mount_point ORDER BY v.volume_mount_point`, maxVolumes)

// queryBackups knows the backups that this server's own history has. tempdb and
// snapshots have none.
func queryBackups(limit int) string {
	return fmt.Sprintf(`SELECT d.name, CASE WHEN MAX(CASE WHEN b.type = 'D' THEN 1 END) = 1 THEN 1 ELSE 0 END AS backed_up,
  DATEDIFF_BIG(SECOND, MAX(CASE WHEN b.type = 'D' THEN b.backup_finish_date END), GETDATE()) AS full_age,
  DATEDIFF_BIG(SECOND, MAX(CASE WHEN b.type = 'I' THEN b.backup_finish_date END), GETDATE()) AS differential_age,
  DATEDIFF_BIG(SECOND, MAX(CASE WHEN b.type = 'L' THEN b.backup_finish_date END), GETDATE()) AS log_age
FROM (SELECT TOP (%d) name, database_id, source_database_id FROM sys.databases ORDER BY database_id) d
LEFT JOIN msdb.dbo.backupset b ON b.database_name = d.name COLLATE DATABASE_DEFAULT
WHERE d.database_id <> 2 AND d.source_database_id IS NULL GROUP BY d.name`, limit)
}

// queryJobs reads the Agent's note of each job's last run. Its dates and lengths
// are numbers: 20260921, 133340.
func queryJobs(limit int) string {
	return fmt.Sprintf(`SELECT TOP (%d) j.name AS job, j.enabled, CASE WHEN s.last_run_outcome = 0 AND s.last_run_date > 0 THEN 1 ELSE 0 END AS failed,
  CASE WHEN s.last_run_date > 0 THEN DATEDIFF_BIG(SECOND, DATETIMEFROMPARTS(s.last_run_date / 10000, s.last_run_date / 100 %% 100, s.last_run_date %% 100,
    s.last_run_time / 10000, s.last_run_time / 100 %% 100, s.last_run_time %% 100, 0), GETDATE()) END AS last_run_age,
  CASE WHEN s.last_run_date > 0 THEN s.last_run_duration / 10000 * 3600 + s.last_run_duration / 100 %% 100 * 60 + s.last_run_duration %% 100 END AS last_duration,
  ISNULL((SELECT MAX(DATEDIFF_BIG(SECOND, a.start_execution_date, GETDATE())) FROM msdb.dbo.sysjobactivity a WHERE a.job_id = j.job_id
    AND a.session_id = (SELECT MAX(session_id) FROM msdb.dbo.syssessions) AND a.start_execution_date IS NOT NULL AND a.stop_execution_date IS NULL), 0) AS running
FROM msdb.dbo.sysjobs j JOIN msdb.dbo.sysjobservers s ON s.job_id = j.job_id AND s.server_id = 0 ORDER BY j.name`, limit)
}

var queryReplicas = fmt.Sprintf(`SELECT TOP (%d) g.name AS ag, r.replica_server_name AS replica, s.connected_state AS connected, CASE WHEN s.role = 1 THEN 1 ELSE 0 END AS is_primary, s.synchronization_health
FROM sys.dm_hadr_availability_replica_states s JOIN sys.availability_replicas r ON r.replica_id = s.replica_id JOIN sys.availability_groups g ON g.group_id = s.group_id
ORDER BY g.name, r.replica_server_name`, maxReplicas)

var queryReplicaDatabases = fmt.Sprintf(`SELECT TOP (%d) g.name AS ag, r.replica_server_name AS replica, c.database_name AS name, s.synchronization_state, s.is_suspended,
  s.log_send_queue_size AS log_send_queue_kb, s.redo_queue_size AS redo_queue_kb, s.secondary_lag_seconds AS lag
FROM sys.dm_hadr_database_replica_states s JOIN sys.availability_replicas r ON r.replica_id = s.replica_id JOIN sys.availability_groups g ON g.group_id = s.group_id
JOIN sys.availability_databases_cluster c ON c.group_database_id = s.group_database_id ORDER BY g.name, r.replica_server_name, c.database_name`, maxReplicas)
