package postgresql

import (
	"fmt"
	"strings"
	"time"
)

const queryServer = `SELECT current_setting('server_version_num') AS version_num, current_setting('server_version') AS version,
  extract(epoch FROM pg_postmaster_start_time()) AS start_time, extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) AS uptime,
  pg_is_in_recovery() AS in_recovery,
  (SELECT pg_has_role(oid, 'USAGE') FROM pg_roles WHERE rolname = 'pg_read_all_stats') AS monitor`

// position is the end of what is written, on a standby of what is received:
// what its own standbys are compared with. What is received may be behind what is
// replayed, when that came from an archive.
const position = `CASE WHEN pg_is_in_recovery() THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_lsn() END`

const queryPosition = `SELECT pg_wal_lsn_diff(` + position + `, '0/0') AS position`

var querySettings = `SELECT name, setting, unit FROM pg_settings WHERE name IN ('` + strings.Join(settings, "','") + `')`

const querySessions = `SELECT coalesce(state, '') AS state, count(*) AS count FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1`

// queryAges looks at all sessions but its own.
func queryAges(longAfter time.Duration) string {
	seconds := longAfter.Seconds()
	return fmt.Sprintf(`WITH s AS (
  SELECT state = 'active' AS running, state LIKE 'idle in transaction%%' AS idle, coalesce(wait_event_type = 'Lock', false) AS waiting,
    extract(epoch FROM clock_timestamp() - query_start) AS query, extract(epoch FROM clock_timestamp() - state_change) AS since,
    extract(epoch FROM clock_timestamp() - xact_start) AS xact
  FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())
SELECT count(*) FILTER (WHERE running AND query >= %[1]g) AS long_queries, count(*) FILTER (WHERE idle AND since >= %[1]g) AS long_idle,
  coalesce(max(query) FILTER (WHERE running), 0) AS oldest_query, coalesce(max(since) FILTER (WHERE idle), 0) AS oldest_idle,
  coalesce(max(xact), 0) AS oldest_xact, coalesce(max(query) FILTER (WHERE running AND waiting), 0) AS oldest_wait
FROM s`, seconds)
}

const queryLocks = `SELECT count(*) AS locks, count(*) FILTER (WHERE NOT granted) AS waiting FROM pg_locks`

const queryAllDatabases = `SELECT count(*) AS databases, max(age(datfrozenxid)) AS xid_age, max(mxid_age(datminmxid)) AS mxid_age FROM pg_database`

func queryDatabases(limit int) string {
	return fmt.Sprintf(`SELECT s.*, d.datname AS name, age(d.datfrozenxid) AS xid_age, mxid_age(d.datminmxid) AS mxid_age
FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid ORDER BY d.oid LIMIT %d`, limit)
}

func querySizes(limit int) string {
	return fmt.Sprintf(`SELECT datname AS name, pg_database_size(oid) AS size FROM (SELECT oid, datname FROM pg_database ORDER BY oid LIMIT %d) d`, limit)
}

const queryArchiver = `SELECT archived_count, failed_count, extract(epoch FROM clock_timestamp() - last_archived_time) AS archived_age,
  extract(epoch FROM clock_timestamp() - last_failed_time) AS failed_age,
  coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing
FROM pg_stat_archiver`

const (
	queryBgwriter     = `SELECT * FROM pg_stat_bgwriter`
	queryCheckpointer = `SELECT * FROM pg_stat_checkpointer`
)

// maxStandbys bounds standbys and slots.
const maxStandbys = 100

// queryStandbys takes the senders of one standby together, and their worst.
// While nothing is written the server knows no lag in seconds: a standby that has
// replayed everything has none. Base backups are not standbys, nor are consumers
// of logical slots, whose workers come and go under names of their own.
var queryStandbys = fmt.Sprintf(`WITH p AS (SELECT %s AS lsn)
SELECT application_name, coalesce(host(client_addr), '') AS client_addr, bool_and(state = 'streaming') AS streaming, bool_or(sync_state IN ('sync', 'quorum')) AS sync,
  max(pg_wal_lsn_diff(p.lsn, sent_lsn)) AS sent_lag_bytes, max(pg_wal_lsn_diff(p.lsn, write_lsn)) AS write_lag_bytes,
  max(pg_wal_lsn_diff(p.lsn, flush_lsn)) AS flush_lag_bytes, max(pg_wal_lsn_diff(p.lsn, replay_lsn)) AS replay_lag_bytes,
  max(coalesce(extract(epoch FROM replay_lag), CASE WHEN replay_lsn >= p.lsn THEN 0 END)) AS replay_lag_seconds
FROM pg_stat_replication r, p WHERE state <> 'backup' AND application_name <> 'pg_basebackup'
  AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical') GROUP BY 1, 2 ORDER BY 1, 2 LIMIT %d`, position, maxStandbys)

var querySlots = fmt.Sprintf(`SELECT slot_name, slot_type, active, pg_wal_lsn_diff(%s, restart_lsn) AS retained_bytes
FROM pg_replication_slots WHERE NOT temporary ORDER BY 1 LIMIT %d`, position, maxStandbys)

// queryReplica tells a standby's lag. While it receives and has replayed all it
// received, it has none; else it is as old as the last transaction it replayed.
const queryReplica = `SELECT r.status = 'streaming' AS streaming, extract(epoch FROM clock_timestamp() - r.last_msg_receipt_time) AS message_age,
  CASE WHEN r.status = 'streaming' AND pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() THEN 0
    ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END AS lag_seconds,
  pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) AS lag_bytes, pg_is_wal_replay_paused() AS paused
FROM (SELECT 1) one LEFT JOIN pg_stat_wal_receiver r ON true`
