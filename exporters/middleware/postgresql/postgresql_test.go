package postgresql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

const password = "s3cr3t/pass+word"

func config(t testing.TB, s server.Settings, address string) Config {
	return Config{Settings: s, Address: address, Credentials: server.Credentials{Username: "mon", PasswordFile: servertest.PasswordFile(t, password)}}
}

func build(t testing.TB, s server.Settings, address string) exporters.Collector {
	t.Helper()
	c, err := New("acme", config(t, s, address), metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recorded answers queries with recorded rows; what is not there is refused.
type recorded map[string][]row

var hidden = &pgconn.PgError{Severity: "ERROR", Code: "42501", Message: "permission denied"}

func (r recorded) query(_ context.Context, q string) ([]row, error) {
	if strings.HasPrefix(q, "SET statement_timeout = ") {
		return nil, nil
	}
	if rows, ok := r[q]; ok {
		return rows, nil
	}
	return nil, hidden
}

// readOnly is a server.Reader over recorded rows.
type readOnly struct {
	*reader
	db rows
}

func (r readOnly) Read(ctx context.Context, out *server.Reading) error {
	return new(line).explain(r.read(ctx, r.db, out))
}

func collector(cfg Config, db rows) (*server.Collector, *metrics.Set) {
	set := metrics.NewSet()
	return server.New("acme", product, server.Settings{Name: "db-1"}, readOnly{&reader{cfg: cfg}, db}, nil, set, servertest.Log), set
}

func database(name string, xidAge string) row {
	d := row{"name": name, "datname": name, "xid_age": xidAge, "mxid_age": "7"}
	for i, c := range databaseColumns {
		d[c] = fmt.Sprint(1000 + i)
	}
	return d
}

// primary is a PostgreSQL 15 with a standby that lags, and one that is gone and has left its slot.
func primary() recorded {
	return recorded{
		queryServer: {{"version_num": "150019", "version": "15.19 (Debian 15.19-0+deb12u1)", "start_time": "1789990000.5", "uptime": "30020.25", "in_recovery": "f", "monitor": "t"}},
		querySettings: {{"name": "max_connections", "setting": "100"}, {"name": "autovacuum", "setting": "on"}, {"name": "archive_mode", "setting": "always"},
			{"name": "shared_buffers", "setting": "16384", "unit": "8kB"}, {"name": "work_mem", "setting": "4096", "unit": "kB"},
			{"name": "max_wal_size", "setting": "1024", "unit": "MB"}, {"name": "else", "setting": "1"}},
		querySessions:              {{"state": "active", "count": "3"}, {"state": "idle", "count": "4"}, {"state": "", "count": "1"}, {"state": "starting", "count": "2"}},
		queryAges(5 * time.Minute): {{"long_queries": "1", "long_idle": "0", "oldest_query": "912.5", "oldest_idle": "0", "oldest_xact": "913", "oldest_wait": "-0.01"}},
		queryLocks:                 {{"locks": "31", "waiting": "2"}},
		queryArchiver:              {{"archived_count": "5", "failed_count": "3", "archived_age": "600", "failed_age": "10", "failing": "t"}},
		queryBgwriter: {{"checkpoints_timed": "11", "checkpoints_req": "2", "checkpoint_write_time": "2500", "checkpoint_sync_time": "12", "buffers_checkpoint": "90",
			"buffers_clean": "8", "maxwritten_clean": "0", "buffers_backend": "77", "buffers_backend_fsync": "0", "buffers_alloc": "300", "stats_reset": "2026-09-01 00:00:00+00"}},
		queryAllDatabases:   {{"databases": "2", "xid_age": "1500000000", "mxid_age": "7"}},
		queryDatabases(100): {database("postgres", "1000"), {"name": "shop", "xid_age": "1500000000", "mxid_age": "3"}},
		querySizes(100):     {{"name": "postgres", "size": "7500000"}, {"name": "shop", "size": "1099511627776"}},
		queryStandbys: {{"application_name": "replica-1", "client_addr": "10.0.0.2", "streaming": "t", "sync": "f", "sent_lag_bytes": "-8", "write_lag_bytes": "1024",
			"flush_lag_bytes": "2048", "replay_lag_bytes": "4096", "replay_lag_seconds": "1.5"}, {"application_name": "receivewal", "streaming": "t", "sync": "t", "sent_lag_bytes": "0"}},
		queryPosition: {{"position": "50331648"}},
		querySlots:    {{"slot_name": "replica_2", "slot_type": "physical", "active": "f", "retained_bytes": "16777216"}},
	}
}

// standby is a PostgreSQL 17 whose receiver does not run.
func standby() recorded {
	r := primary()
	r[queryServer] = []row{{"version_num": "170002", "version": "17.2", "start_time": "1789990000", "uptime": "30020", "in_recovery": "t", "monitor": "t"}}
	r[queryBgwriter] = []row{{"buffers_clean": "8", "maxwritten_clean": "0", "buffers_alloc": "300"}}
	r[queryCheckpointer] = []row{{"num_timed": "11", "num_requested": "2", "write_time": "2500", "sync_time": "12", "buffers_written": "90"}}
	r[queryStandbys], r[querySlots] = nil, nil
	r[queryReplica] = []row{{"lag_seconds": "75.5", "lag_bytes": "0", "paused": "f"}}
	return r
}

func TestSeries(t *testing.T) {
	f := func(golden string, db recorded) {
		t.Helper()
		c, set := collector(Config{}, db)
		servertest.Golden(t, golden, servertest.Collect(t, c))
		for _, name := range set.ListMetricNames() {
			if strings.Contains(name, "part_failures") {
				t.Errorf("%s: %s", golden, name)
			}
		}
	}
	f("primary.golden", primary())
	f("standby17.golden", standby())
}

// ended maps metric names and the first dimension to reasons.
func ended(t *testing.T, c exporters.Collector, label string) map[string]string {
	t.Helper()
	reasons := make(map[string]string)
	for _, e := range servertest.CollectAt(t, c, servertest.At).Ends {
		reasons[e.Labels.Get("__name__")+"/"+e.Labels.Get(label)] = e.Reason
	}
	return reasons
}

func TestDatabaseDropped(t *testing.T) {
	db := primary()
	c, _ := collector(Config{}, db)
	servertest.Collect(t, c)
	dropped := []row{database("postgres", "1000")}
	sizes := db[querySizes(100)]
	delete(db, queryDatabases(100)) // not answered: nothing is known
	delete(db, querySizes(100))
	if ends := ended(t, c, "datname"); len(ends) != 0 {
		t.Errorf("ended %v while the databases were not listed", ends)
	}
	db[queryDatabases(100)], db[querySizes(100)] = dropped, sizes[:1]
	want := map[string]string{"pg_database_size_bytes/shop": "deleted", "pg_database_xid_age/shop": "deleted", "pg_database_mxid_age/shop": "deleted"}
	if diff := cmp.Diff(want, ended(t, c, "datname")); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
	if ends := ended(t, c, "datname"); len(ends) != 0 {
		t.Errorf("ended again: %v", ends)
	}
}

func TestStandbyGone(t *testing.T) {
	db := primary()
	c, _ := collector(Config{}, db)
	servertest.Collect(t, c)
	db[queryStandbys] = db[queryStandbys][:1]
	want := map[string]string{"pg_stat_replication_streaming/receivewal": "disconnected", "pg_stat_replication_sync/receivewal": "disconnected",
		"pg_stat_replication_sent_lag_bytes/receivewal": "disconnected"}
	if diff := cmp.Diff(want, ended(t, c, "application_name")); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
	db[querySlots] = nil
	want = map[string]string{"pg_replication_slot_active/replica_2": "deleted", "pg_replication_slot_retained_bytes/replica_2": "deleted"}
	if diff := cmp.Diff(want, ended(t, c, "slot_name")); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

func TestPromoted(t *testing.T) {
	db := standby()
	c, _ := collector(Config{}, db)
	servertest.Collect(t, c)
	db[queryServer][0]["in_recovery"] = "f"
	want := map[string]string{"pg_stat_wal_receiver_streaming/": "promoted", "pg_replication_lag_seconds/": "promoted", "pg_replication_lag_bytes/": "promoted",
		"pg_replication_replay_paused/": "promoted"}
	if diff := cmp.Diff(want, ended(t, c, "none")); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

// A user without pg_monitor gets what it may see, and is told of what it may not.
func TestRightsMissing(t *testing.T) {
	db := primary()
	db[queryServer][0]["monitor"] = "f"
	delete(db, querySlots)
	c, set := collector(Config{}, db)
	values := servertest.Values(servertest.Collect(t, c))
	if values[`pg_stat_database_deadlocks{datname="postgres"}`] == 0 || values["pg_xid_age_max"] != 1.5e9 {
		t.Errorf("got %v", values)
	}
	for name := range values {
		for _, hidden := range []string{metricSessions, metricStandbys, metricDatabaseSizeBytes, metricLongQueries} {
			if strings.HasPrefix(name, hidden) {
				t.Errorf("%s is delivered", name)
			}
		}
	}
	var missed []string
	for _, name := range set.ListMetricNames() {
		if strings.Contains(name, "part_failures") {
			missed = append(missed, name)
		}
	}
	slices.Sort(missed)
	want := []string{`watchkeeper_middleware_part_failures_total{kind="postgresql",part="rights"}`, `watchkeeper_middleware_part_failures_total{kind="postgresql",part="slots"}`}
	if diff := cmp.Diff(want, missed); diff != "" {
		t.Errorf("missed (-want +got):\n%s", diff)
	}
}

func TestDatabasesCapped(t *testing.T) {
	db := primary()
	db[queryDatabases(1)], db[querySizes(1)] = db[queryDatabases(100)][:1], db[querySizes(100)][:1]
	c, set := collector(Config{Databases: 1}, db)
	values := servertest.Values(servertest.Collect(t, c))
	if values["pg_databases"] != 2 || values["pg_xid_age_max"] != 1.5e9 {
		t.Errorf("got %v", values)
	}
	if n := set.GetOrCreateCounter(`watchkeeper_middleware_part_failures_total{kind="postgresql",part="databases"}`).Get(); n != 1 {
		t.Errorf("missed %d times, want 1", n)
	}
	c, _ = collector(Config{Databases: -1}, db)
	for name := range maps.Keys(servertest.Values(servertest.Collect(t, c))) {
		if strings.Contains(name, "datname") {
			t.Errorf("%s is delivered", name)
		}
	}
}

func TestTooOld(t *testing.T) {
	c, _ := collector(Config{}, recorded{queryServer: {{"version_num": "90624", "version": "9.6.24"}}})
	servertest.WantReason(t, c, server.ReasonStatus)
}

func TestRefusals(t *testing.T) {
	f := func(code, want string) {
		t.Helper()
		c, _ := collector(Config{}, refusing(code))
		servertest.WantReason(t, c, want)
	}
	f("28P01", server.ReasonAuth)
	f("28000", server.ReasonAuth)
	f("42501", server.ReasonDenied)
	f("57014", server.ReasonTimeout)
	f("53300", server.ReasonStatus)
	f("57P03", server.ReasonStatus)
}

type refusing string

func (r refusing) query(context.Context, string) ([]row, error) {
	return nil, fmt.Errorf("query: %w", &pgconn.PgError{Severity: "ERROR", Code: string(r), Message: strings.Repeat("refused\n", 200)})
}

func TestFailures(t *testing.T) {
	servertest.TCPFailures(t, build)
	answers := func(address func(*Config), reason string, messages ...pgproto3.BackendMessage) func(*testing.T) {
		return func(t *testing.T) {
			var answer []byte
			for _, m := range messages {
				var err error
				if answer, err = m.Encode(answer); err != nil {
					t.Fatal(err)
				}
			}
			speaks(t, string(answer), address, reason)
		}
	}
	t.Run("wrong password", answers(nil, server.ReasonAuth, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "password authentication failed"}))
	t.Run("too many clients", answers(nil, server.ReasonStatus, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "53300", Message: "sorry, too many clients already"}))
	t.Run("wants the password in plain text", answers(nil, server.ReasonAuth, &pgproto3.AuthenticationCleartextPassword{}))
	t.Run("unknown mechanism", answers(nil, server.ReasonAuth, &pgproto3.AuthenticationSASL{AuthMechanisms: []string{"NONE"}}))
	t.Run("another protocol", func(t *testing.T) { speaks(t, "HTTP/1.1 400 Bad Request\r\n\r\n", nil, server.ReasonFormat) })
	t.Run("garbage", func(t *testing.T) { speaks(t, "\x00\x00\x00\x00\x01garbage", nil, server.ReasonFormat) })
	t.Run("garbage after the log-in", answers(nil, server.ReasonFormat, &pgproto3.AuthenticationOk{}, &pgproto3.ReadyForQuery{TxStatus: 'I'},
		&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("version")}}}, &pgproto3.DataRow{Values: [][]byte{nil, nil}},
		&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}, &pgproto3.ReadyForQuery{TxStatus: 'I'}))
	t.Run("silence after the log-in", func(t *testing.T) {
		var answer []byte
		for _, m := range []pgproto3.BackendMessage{&pgproto3.AuthenticationOk{}, &pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}}, &pgproto3.ReadyForQuery{TxStatus: 'I'}} {
			answer, _ = m.Encode(answer)
		}
		speaks(t, string(answer), func(c *Config) { c.Timeout = model.Duration(150 * time.Millisecond) }, server.ReasonTimeout)
	})
	t.Run("broken protocol after the log-in", func(t *testing.T) {
		began := time.Now()
		answer, _ := (&pgproto3.AuthenticationOk{}).Encode(nil)
		answer, _ = (&pgproto3.ReadyForQuery{TxStatus: 'I'}).Encode(answer)
		speaks(t, string(answer)+"\x00\x00\x00\x00\x01garbage", func(c *Config) { c.Timeout = model.Duration(30 * time.Second) }, server.ReasonFormat)
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("took %s: waited for more from a server that has nothing to say", d)
		}
	})
	t.Run("no TLS there", func(t *testing.T) {
		speaks(t, "N", func(c *Config) { c.UseTLS = true }, server.ReasonTLS)
	})
	t.Run("no password file", func(t *testing.T) {
		cfg := config(t, server.Settings{Name: "db-1"}, "127.0.0.1:1")
		cfg.PasswordFile += ".none"
		c, err := New("acme", cfg, metrics.NewSet(), servertest.Log)
		if err != nil {
			t.Fatal(err)
		}
		servertest.WantReason(t, c, server.ReasonConfig)
	})
}

// speaks runs a server that reads once and answers, and wants the failure.
func speaks(t *testing.T, answer string, change func(*Config), reason string) {
	t.Helper()
	l := servertest.Listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, answer)
		_, _ = io.Copy(io.Discard, c)
	})
	cfg := config(t, server.Settings{Name: "db-1", Timeout: model.Duration(20 * time.Second)}, l.Addr().String())
	if change != nil {
		change(&cfg)
	}
	c, err := New("acme", cfg, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	servertest.WantReason(t, c, reason)
}

// Nothing of the process's environment reaches the connection.
func TestDriverConfigIsItsOwn(t *testing.T) {
	for name, value := range map[string]string{"PGPASSWORD": "other", "PGOPTIONS": "-c work_mem=1GB", "PGSSLMODE": "prefer", "PGHOST": "elsewhere",
		"PGAPPNAME": "else", "PGTARGETSESSIONATTRS": "read-write", "PGREQUIREAUTH": "none", "PGCONNECT_TIMEOUT": "1"} {
		t.Setenv(name, value)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	r := &reader{cfg: config(t, server.Settings{Name: "db-1"}, "10.0.0.1:5432")}
	c, err := r.driverConfig(ctx, "", func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("unused") })
	if err != nil {
		t.Fatal(err)
	}
	if c.Password != "" || c.User != "mon" || c.Database != "postgres" || c.Host != "10.0.0.1:5432" || c.TLSConfig != nil || len(c.Fallbacks) != 0 ||
		c.ValidateConnect != nil || c.RequireAuth != "!password" || c.RuntimeParams["options"] != "" || c.RuntimeParams["application_name"] != "watchkeeper" || c.ConnectTimeout != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestMistakes(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		cfg := Config{Settings: server.Settings{Name: "db-1"}, Address: "h:5432", Credentials: server.Credentials{Username: "mon"}}
		change(&cfg)
		if err := cfg.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(func(c *Config) { c.Username = "" }, "username: must not be empty")
	f(func(c *Config) { c.Databases = 151 }, "databases: 151 is not between -1 and 150")
	f(func(c *Config) { c.LongAfter = model.Duration(time.Millisecond) }, "long_after: 1ms is shorter than 1s")
	f(func(c *Config) { c.Address, c.UseTLS = "unix:/run/postgresql/.s.PGSQL.5432", true }, "tls: PostgreSQL speaks no TLS on a unix socket")
}
