//go:build services

package middleware

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters/middleware/postgresql"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/services/ports"
)

// postgres is one server with an own folder.
type postgres struct {
	*daemon
	dir, data, port string
}

// postgresProgram finds a program of the newest PostgreSQL that is installed.
func postgresProgram(t testing.TB, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		t.Fatalf("%s is not installed", name)
	}
	slices.Sort(found)
	return found[len(found)-1]
}

// asPostgres is the command line that runs a program as a user who is not root,
// which PostgreSQL refuses.
func asPostgres(program string, args ...string) (string, []string) {
	if os.Getuid() != 0 {
		return program, args
	}
	return "setpriv", append([]string{"--reuid=postgres", "--regid=postgres", "--clear-groups", program}, args...)
}

func newPostgres(t testing.TB, fill func(p *postgres)) *postgres {
	t.Helper()
	dir := folder(t)
	ownedBy(t, "postgres", dir)
	p := &postgres{dir: dir, data: filepath.Join(dir, "data"), port: ports.Free(t)}
	fill(p)
	p.start(t)
	return p
}

func (p *postgres) start(t testing.TB) {
	t.Helper()
	name, args := asPostgres(postgresProgram(t, "postgres"), "-D", p.data, "-p", p.port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories="+p.dir, "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20", "-c", "deadlock_timeout=100ms",
		"-c", "wal_receiver_status_interval=1s", "-c", "wal_retrieve_retry_interval=200ms", "-c", "cluster_name=wk_"+p.port,
		"-c", "archive_mode=on", "-c", "archive_command=/bin/false", "-c", "autovacuum=off")
	p.daemon = start(t, nil, name, args...)
	eventually(t, patience, "postgres", func() error {
		_, err := tryClient(t, nil, "pg_isready", "-q", "-h", "127.0.0.1", "-p", p.port, "-U", "postgres")
		return err
	})
}

// quit ends the server without waiting for its clients, and waits for its end.
func (p *postgres) quit() {
	_ = syscall.Kill(p.cmd.Process.Pid, syscall.SIGINT)
	select {
	case <-p.ended:
	case <-time.After(15 * time.Second):
	}
	p.kill()
}

func (p *postgres) psql(t testing.TB, statements ...string) string {
	t.Helper()
	name, args := p.psqlCommand(statements...)
	return strings.TrimSpace(client(t, nil, name, args...))
}

func (p *postgres) psqlCommand(statements ...string) (string, []string) {
	args := []string{"-X", "-h", p.dir, "-p", p.port, "-U", "postgres", "-d", "postgres", "-Atq", "-v", "ON_ERROR_STOP=1"}
	for _, s := range statements {
		args = append(args, "-c", s)
	}
	return "psql", args
}

// session runs statements one after the other in a session of their own.
func (p *postgres) session(t testing.TB, statements ...string) *daemon {
	t.Helper()
	name, args := p.psqlCommand(statements...)
	return start(t, nil, name, args...)
}

func (p *postgres) collector(t testing.TB, change func(*postgresql.Config)) *server.Collector {
	t.Helper()
	cfg := postgresql.Config{Settings: server.Settings{Name: "pg-" + p.port, Timeout: model.Duration(30 * time.Second)}, Address: "127.0.0.1:" + p.port,
		Credentials: server.Credentials{Username: "watchkeeper", PasswordFile: servertest.PasswordFile(t, "s3cr3t/pass+word")}, LongAfter: model.Duration(time.Second)}
	if change != nil {
		change(&cfg)
	}
	return must(postgresql.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
}

func newPrimary(t testing.TB) *postgres {
	t.Helper()
	p := newPostgres(t, func(p *postgres) {
		name, args := asPostgres(postgresProgram(t, "initdb"), "-D", p.data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C")
		client(t, nil, name, args...)
		write(t, filepath.Join(p.data, "pg_hba.conf"), `
local all postgres trust
local replication postgres trust
host all watchkeeper,hidden 127.0.0.1/32 scram-sha-256
host all plain 127.0.0.1/32 password
`)
	})
	p.psql(t, "CREATE ROLE watchkeeper LOGIN PASSWORD 's3cr3t/pass+word' CONNECTION LIMIT 3", "GRANT pg_monitor TO watchkeeper",
		"CREATE ROLE hidden LOGIN PASSWORD 's3cr3t/pass+word'", "CREATE ROLE plain LOGIN PASSWORD 's3cr3t/pass+word'",
		"CREATE DATABASE shop", "CREATE TABLE a (id int PRIMARY KEY, n int)", "INSERT INTO a SELECT i, 0 FROM generate_series(1, 1000) i",
		"SELECT pg_create_physical_replication_slot('standby')")
	return p
}

func newStandby(t testing.TB, primary *postgres) *postgres {
	t.Helper()
	return newPostgres(t, func(p *postgres) {
		name, args := asPostgres(postgresProgram(t, "pg_basebackup"), "-h", primary.dir, "-p", primary.port, "-U", "postgres", "-D", p.data,
			"-R", "-X", "stream", "-c", "fast", "--no-sync", "-S", "standby")
		client(t, nil, name, args...)
	})
}

// until collects until a condition holds.
func until(t testing.TB, c *server.Collector, what string, holds func(v map[string]float64) bool) map[string]float64 {
	t.Helper()
	var v map[string]float64
	eventually(t, patience, what, func() error {
		if v = values(t, c); !holds(v) {
			return errNotYet
		}
		return nil
	})
	return v
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		if _, err := user.Lookup("postgres"); err != nil {
			t.Fatal(err)
		}
	}
	primary := newPrimary(t)
	c := primary.collector(t, nil)
	answers(t, primary.daemon, c)

	t.Run("figures", func(t *testing.T) { comparePostgres(t, primary, c) })
	t.Run("sessions", func(t *testing.T) { postgresSessions(t, primary, c) })
	t.Run("deadlock", func(t *testing.T) { postgresDeadlock(t, primary, c) })
	t.Run("databases", func(t *testing.T) {
		primary.psql(t, "CREATE DATABASE gone")
		until(t, c, "the new database", func(v map[string]float64) bool { return v[`pg_database_size_bytes{datname="gone"}`] > 0 })
		primary.psql(t, "DROP DATABASE gone")
		ends := servertest.CollectAt(t, c, now()).Ends
		if len(ends) < 20 || ends[0].Labels.Get("datname") != "gone" || ends[0].Reason != "deleted" {
			t.Errorf("%d ends: %v", len(ends), ends)
		}
	})
	t.Run("archiver", func(t *testing.T) {
		primary.psql(t, "SELECT pg_switch_wal()")
		v := until(t, c, "the archiver to fail", func(v map[string]float64) bool { return v["pg_stat_archiver_failing"] == 1 })
		if v["pg_stat_archiver_failed_count"] < 1 || v["pg_settings_archive_mode"] != 1 {
			t.Errorf("failed %v times, mode %v", v["pg_stat_archiver_failed_count"], v["pg_settings_archive_mode"])
		}
	})
	t.Run("replication", func(t *testing.T) { postgresReplication(t, primary, c) })
	t.Run("failures", func(t *testing.T) { postgresFailures(t, primary) })
}

// comparePostgres compares what is delivered with what psql prints.
func comparePostgres(t testing.TB, p *postgres, c *server.Collector) {
	allocated := number(t, p.psql(t, "SELECT buffers_alloc FROM pg_stat_bgwriter"))
	v := values(t, c)
	if got := v["pg_stat_bgwriter_buffers_alloc"]; got < allocated || got > number(t, p.psql(t, "SELECT buffers_alloc FROM pg_stat_bgwriter")) {
		t.Errorf("%v buffers allocated, the client said %v before", got, allocated)
	}
	compare := func(series, query string, tolerance float64) {
		t.Helper()
		near(t, v, series, number(t, p.psql(t, query)), tolerance)
	}
	compare("pg_settings_max_connections", "SHOW max_connections", 0)
	compare("pg_settings_shared_buffers_bytes", "SELECT pg_size_bytes(current_setting('shared_buffers'))", 0)
	compare("pg_settings_work_mem_bytes", "SELECT pg_size_bytes(current_setting('work_mem'))", 0)
	compare("pg_settings_max_wal_size_bytes", "SELECT pg_size_bytes(current_setting('max_wal_size'))", 0)
	compare("pg_postmaster_start_time_seconds", "SELECT extract(epoch FROM pg_postmaster_start_time())", 0.001)
	compare("pg_uptime_seconds", "SELECT extract(epoch FROM now() - pg_postmaster_start_time())", 60)
	compare("pg_databases", "SELECT count(*) FROM pg_database", 0)
	compare("pg_xid_age_max", "SELECT max(age(datfrozenxid)) FROM pg_database", 50)
	compare(`pg_database_size_bytes{datname="shop"}`, "SELECT pg_database_size('shop')", 1<<20)
	compare(`pg_database_xid_age{datname="postgres"}`, "SELECT age(datfrozenxid) FROM pg_database WHERE datname = 'postgres'", 50)
	compare("pg_wal_position_bytes", "SELECT pg_current_wal_lsn() - '0/0'", 1<<20)
	compare("pg_stat_bgwriter_checkpoints_timed", "SELECT checkpoints_timed FROM pg_stat_bgwriter", 2)
	if version := p.psql(t, "SHOW server_version"); v[fmt.Sprintf("pg_info{version=%q}", version)] != 1 {
		t.Errorf("version %s is not delivered", version)
	}
	for _, column := range strings.Fields("numbackends xact_commit xact_rollback blks_read blks_hit tup_returned tup_fetched tup_inserted tup_updated tup_deleted " +
		"conflicts temp_files temp_bytes deadlocks sessions sessions_abandoned sessions_fatal sessions_killed") {
		compare(`pg_stat_database_`+column+`{datname="shop"}`, "SELECT "+column+" FROM pg_stat_database WHERE datname = 'shop'", 0)
	}
	if v[`pg_stat_activity_count{state="active"}`] < 1 || v["pg_replication_is_replica"] != 0 || v["pg_replication_standbys"] != 0 || v[`pg_replication_slot_active{slot_name="standby",slot_type="physical"}`] != 0 {
		t.Errorf("active %v, replica %v, standbys %v", v[`pg_stat_activity_count{state="active"}`], v["pg_replication_is_replica"], v["pg_replication_standbys"])
	}
	p.psql(t, "SET work_mem = '64kB'; SELECT count(*) FROM (SELECT i FROM generate_series(1, 200000) i ORDER BY i DESC OFFSET 0) s")
	spilled := until(t, c, "temporary files", func(v map[string]float64) bool { return v[`pg_stat_database_temp_files{datname="postgres"}`] > 0 })
	near(t, spilled, `pg_stat_database_temp_bytes{datname="postgres"}`, number(t, p.psql(t, "SELECT temp_bytes FROM pg_stat_database WHERE datname = 'postgres'")), 0)
}

// postgresSessions provokes an idle transaction, a session that waits for its
// lock, and a long statement.
func postgresSessions(t testing.TB, p *postgres, c *server.Collector) {
	holder := exclusively(t, p, "UPDATE a SET n = 1 WHERE id = 1")
	waiter := p.session(t, "UPDATE a SET n = 2 WHERE id = 1")
	sleeper := p.session(t, "SELECT pg_sleep(600)")
	v := until(t, c, "sessions", func(v map[string]float64) bool {
		return v["pg_long_idle_in_transaction"] == 1 && v["pg_long_queries"] == 2 && v["pg_locks_waiting"] == 1 && v["pg_oldest_lock_wait_seconds"] > 1
	})
	near(t, v, `pg_stat_activity_count{state="idle in transaction"}`, number(t, p.psql(t, "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")), 0)
	near(t, v, "pg_oldest_query_seconds", number(t, p.psql(t, "SELECT max(extract(epoch FROM clock_timestamp() - query_start)) FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()")), 30)
	if v["pg_oldest_idle_in_transaction_seconds"] < 1 || v["pg_oldest_transaction_seconds"] < v["pg_oldest_lock_wait_seconds"] {
		t.Errorf("oldest idle %v, transaction %v, wait %v", v["pg_oldest_idle_in_transaction_seconds"], v["pg_oldest_transaction_seconds"], v["pg_oldest_lock_wait_seconds"])
	}
	p.psql(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = 'postgres' AND pid <> pg_backend_pid()")
	for _, d := range []*daemon{holder, waiter, sleeper} {
		d.kill()
	}
	until(t, c, "quiet", func(v map[string]float64) bool {
		return v["pg_long_idle_in_transaction"] == 0 && v["pg_long_queries"] == 0 && v["pg_locks_waiting"] == 0 && v["pg_oldest_lock_wait_seconds"] == 0
	})
}

// exclusively leaves a session idle in a transaction that has run a statement.
// psql waits in its own shell command: the server sees no statement.
func exclusively(t testing.TB, p *postgres, statement string) *daemon {
	t.Helper()
	d := p.session(t, "BEGIN", statement, `\! sleep 600`)
	eventually(t, patience, "the transaction", func() error {
		if p.psql(t, "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") != "1" {
			return errNotYet
		}
		return nil
	})
	return d
}

// postgresDeadlock lets two transactions take two rows in opposite order.
func postgresDeadlock(t testing.TB, p *postgres, c *server.Collector) {
	const series = `pg_stat_database_deadlocks{datname="postgres"}`
	before := values(t, c)[series]
	take := func(first, second int) *daemon {
		return p.session(t, "BEGIN", fmt.Sprintf("UPDATE a SET n = 0 WHERE id = %d", first), "SELECT pg_advisory_lock_shared(1)", fmt.Sprintf("UPDATE a SET n = 0 WHERE id = %d", second), "COMMIT")
	}
	gate := p.session(t, "SELECT pg_advisory_lock(1)", `\! sleep 600`)
	held := func(n int) func() error {
		return func() error {
			if p.psql(t, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") != strconv.Itoa(n) {
				return errNotYet
			}
			return nil
		}
	}
	eventually(t, patience, "the gate", held(1))
	one, two := take(10, 20), take(20, 10)
	eventually(t, patience, "both to have their first row", held(3))
	p.psql(t, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
	gate.kill()
	v := until(t, c, "the deadlock", func(v map[string]float64) bool { return v[series] == before+1 })
	near(t, v, series, number(t, p.psql(t, "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'")), 0)
	<-one.ended
	<-two.ended
}

func postgresReplication(t testing.TB, primary *postgres, c *server.Collector) {
	standby := newStandby(t, primary)
	s := standby.collector(t, nil)
	answers(t, standby.daemon, s)
	name := func(metric string) string { return metric + `{application_name="wk_` + standby.port + `"}` }
	slot := func(metric string) string { return metric + `{slot_name="standby",slot_type="physical"}` }

	v := until(t, c, "the standby", func(v map[string]float64) bool {
		return v[name("pg_stat_replication_streaming")] == 1 && v[name("pg_stat_replication_replay_lag_bytes")] == 0 && v[slot("pg_replication_slot_active")] == 1
	})
	near(t, v, "pg_replication_standbys", number(t, primary.psql(t, "SELECT count(*) FROM pg_stat_replication")), 0)
	near(t, v, name("pg_stat_replication_sync"), 0, 0)
	v = until(t, s, "the receiver", func(v map[string]float64) bool {
		return v["pg_stat_wal_receiver_streaming"] == 1 && v["pg_replication_lag_seconds"] == 0
	})
	near(t, v, "pg_replication_is_replica", 1, 0)
	near(t, v, "pg_replication_lag_bytes", 0, 0)
	near(t, v, "pg_stat_wal_receiver_last_message_age_seconds", 0, 60)

	// The replay stands still while the primary writes. Until the standby has
	// replayed a first transaction it knows no time of one.
	primary.psql(t, "UPDATE a SET n = 3 WHERE id = 3")
	eventually(t, patience, "the first transaction", func() error {
		if standby.psql(t, "SELECT n FROM a WHERE id = 3") != "3" {
			return errNotYet
		}
		return nil
	})
	standby.psql(t, "SELECT pg_wal_replay_pause()")
	primary.psql(t, "INSERT INTO a SELECT i, 0 FROM generate_series(2001, 12000) i")
	v = until(t, s, "the standby's lag", func(v map[string]float64) bool {
		return v["pg_replication_replay_paused"] == 1 && v["pg_replication_lag_bytes"] > 100_000 && v["pg_replication_lag_seconds"] > 1
	})
	near(t, v, "pg_replication_lag_bytes", number(t, standby.psql(t, "SELECT pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn()")), 1<<16)
	near(t, v, "pg_replication_lag_seconds", number(t, standby.psql(t, "SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())")), 30)
	v = until(t, c, "the lag at the primary", func(v map[string]float64) bool { return v[name("pg_stat_replication_replay_lag_bytes")] > 100_000 })
	near(t, v, name("pg_stat_replication_replay_lag_bytes"), number(t, primary.psql(t, "SELECT pg_current_wal_lsn() - replay_lsn FROM pg_stat_replication")), 1<<16)
	standby.psql(t, "SELECT pg_wal_replay_resume()")
	until(t, s, "the standby to catch up", func(v map[string]float64) bool {
		return v["pg_replication_lag_bytes"] == 0 && v["pg_replication_lag_seconds"] == 0
	})

	// The standby goes: its series end, its slot stays and keeps the log.
	standby.quit()
	var reasons []string
	eventually(t, patience, "the primary to notice", func() error {
		for _, e := range servertest.CollectAt(t, c, now()).Ends {
			if e.Labels.Get("application_name") != "" {
				reasons = append(reasons, e.Labels.Get("__name__")+" "+e.Reason)
			}
		}
		if len(reasons) == 0 {
			return errNotYet
		}
		return nil
	})
	if !slices.Contains(reasons, "pg_stat_replication_streaming disconnected") || !slices.Contains(reasons, "pg_stat_replication_replay_lag_bytes disconnected") {
		t.Errorf("ended: %v", reasons)
	}
	primary.psql(t, "INSERT INTO a SELECT i, 0 FROM generate_series(20001, 22000) i")
	v = until(t, c, "the slot to be left", func(v map[string]float64) bool {
		return v[slot("pg_replication_slot_active")] == 0 && v[slot("pg_replication_slot_retained_bytes")] > 10_000
	})
	near(t, v, "pg_replication_standbys", 0, 0)
	fails(t, s, server.ReasonConnect)

	// It comes again, loses its primary's leave to stream, and is promoted.
	standby.start(t)
	until(t, s, "the receiver again", func(v map[string]float64) bool { return v["pg_stat_wal_receiver_streaming"] == 1 })
	standby.psql(t, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
	until(t, s, "the receiver to end", func(v map[string]float64) bool {
		return v["pg_stat_wal_receiver_streaming"] == 0 && v["pg_replication_lag_seconds"] > 0
	})
	standby.psql(t, "SELECT pg_promote()")
	var ends []string
	eventually(t, patience, "the promotion", func() error {
		b := servertest.CollectAt(t, s, now())
		for _, e := range b.Ends {
			ends = append(ends, e.Labels.Get("__name__")+" "+e.Reason)
		}
		if servertest.Values(b.Samples)["pg_replication_is_replica"] != 0 {
			return errNotYet
		}
		return nil
	})
	if !slices.Contains(ends, "pg_replication_lag_seconds promoted") {
		t.Errorf("ended: %v", ends)
	}
}

// certify gives the server a certificate of its own and returns its file.
func (p *postgres) certify(t testing.TB) string {
	t.Helper()
	cert, key := filepath.Join(p.data, "server.crt"), filepath.Join(p.data, "server.key")
	client(t, nil, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
		"-days", "2", "-subj", "/CN=watchkeeper", "-addext", "subjectAltName=IP:127.0.0.1")
	ownedBy(t, "postgres", cert, key)
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	p.psql(t, "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
	eventually(t, patience, "TLS", func() error {
		if p.psql(t, "SHOW ssl") != "on" {
			return errNotYet
		}
		return nil
	})
	return cert
}

func postgresFailures(t testing.TB, p *postgres) {
	f := func(reason string, change func(*postgresql.Config)) {
		t.Helper()
		fails(t, p.collector(t, change), reason)
	}
	f(server.ReasonAuth, func(c *postgresql.Config) { c.PasswordFile = servertest.PasswordFile(t, "s3cr3t wrong") })
	f(server.ReasonAuth, func(c *postgresql.Config) { c.Username = "nobody" })
	f(server.ReasonAuth, func(c *postgresql.Config) { c.Username = "plain" }) // asks for the password in plain text
	f(server.ReasonTLS, func(c *postgresql.Config) { c.UseTLS = true })
	f(server.ReasonStatus, func(c *postgresql.Config) { c.Database = "none" })

	// Without pg_monitor the rest is delivered.
	v := values(t, p.collector(t, func(c *postgresql.Config) { c.Username = "hidden" }))
	if _, ok := v["pg_replication_standbys"]; ok || v[`pg_stat_database_xact_commit{datname="postgres"}`] == 0 {
		t.Errorf("without rights: %v", v)
	}
	// The socket, with the user that it trusts.
	v = values(t, p.collector(t, func(c *postgresql.Config) {
		c.Address, c.Username = "unix:"+filepath.Join(p.dir, ".s.PGSQL."+p.port), "postgres"
	}))
	near(t, v, "pg_replication_standbys", 0, 1)

	// TLS, trusted and not.
	ca := p.certify(t)
	v = values(t, p.collector(t, func(c *postgresql.Config) { c.UseTLS, c.CAFile = true, ca }))
	near(t, v, "pg_replication_is_replica", 0, 0)
	f(server.ReasonTLS, func(c *postgresql.Config) { c.UseTLS = true })
	f(server.ReasonTLS, func(c *postgresql.Config) { c.UseTLS, c.CAFile, c.ServerName = true, ca, "elsewhere" })
	values(t, p.collector(t, func(c *postgresql.Config) { c.UseTLS, c.CAFile, c.Username = true, ca, "plain" }))

	// The user's own limit, then the server's.
	p.psql(t, "ALTER ROLE watchkeeper CONNECTION LIMIT 0")
	f(server.ReasonStatus, nil)
	p.psql(t, "ALTER ROLE watchkeeper CONNECTION LIMIT 3")
	for range 17 { // all that superusers have not for themselves
		p.session(t, "SET ROLE postgres", `\! sleep 600`)
	}
	eventually(t, patience, "the sessions", func() error {
		if n := number(t, p.psql(t, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")); n < 18 {
			return errNotYet
		}
		return nil
	})
	f(server.ReasonStatus, nil)

	// A server that stands still takes the connection and says nothing.
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f(server.ReasonTimeout, func(c *postgresql.Config) { c.Timeout = model.Duration(500 * time.Millisecond) })
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.quit()
	f(server.ReasonConnect, nil)
}
