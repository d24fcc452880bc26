package mysql

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

const password = "s3cr3t/pass+word"

func build(t testing.TB, s server.Settings, address string) exporters.Collector {
	t.Helper()
	c, err := New("acme", Config{Settings: s, Address: address, Credentials: server.Credentials{
		Username: "mon", PasswordFile: servertest.PasswordFile(t, password)}}, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recorded answers queries with recorded rows; err is the answer to what is not there.
type recorded struct {
	rows map[string][]row
	err  error
}

func (r recorded) query(_ context.Context, q string) ([]row, error) {
	if rows, ok := r.rows[q]; ok {
		return rows, nil
	}
	return nil, r.err
}

// readOnly is a server.Reader over recorded rows.
type readOnly struct {
	*reader
	db *recorded
}

func (r readOnly) Read(ctx context.Context, out *server.Reading) error {
	return failed(r.read(ctx, r.db, out))
}

func collector(db *recorded) (*server.Collector, *metrics.Set) {
	set := metrics.NewSet()
	return server.New("acme", product, server.Settings{Name: "db-1"}, readOnly{new(reader), db}, nil, set, servertest.Log), set
}

func variable(name, value string) row { return row{"Variable_name": name, "Value": value} }

func replica(version, statement string, sources ...row) *recorded {
	return &recorded{err: errors.New("no such query"), rows: map[string][]row{
		"SELECT VERSION() AS version": {{"version": version}},
		"SHOW GLOBAL STATUS": {variable("Uptime", "3600"), variable("Threads_connected", "7"), variable("Compression", "OFF"),
			variable("Rpl_status", "AUTH_MASTER"), variable("Odd-name", "1"), variable("Innodb_buffer_pool_load_status", "")},
		"SHOW GLOBAL VARIABLES": {variable("max_connections", "151"), variable("read_only", "ON"), variable("datadir", "/var/lib/mysql/"), variable("port", "3306")},
		statement:               sources,
	}}
}

func TestSeries(t *testing.T) {
	f := func(golden string, db *recorded) {
		t.Helper()
		c, _ := collector(db)
		servertest.Golden(t, golden, servertest.Collect(t, c))
	}
	f("mariadb.golden", replica("10.11.14-MariaDB-0+deb12u2-log", "SHOW ALL SLAVES STATUS",
		row{"Connection_name": "", "Slave_IO_Running": "Yes", "Slave_SQL_Running": "Yes", "Seconds_Behind_Master": "4", "SQL_Delay": "0", "Last_IO_Errno": "0", "Last_SQL_Errno": "0"},
		row{"Connection_name": "billing", "Slave_IO_Running": "Connecting", "Slave_SQL_Running": "Yes", "SQL_Delay": "0", "Last_IO_Errno": "2003", "Last_SQL_Errno": "0"}))
	f("mysql84.golden", replica("8.4.3", "SHOW REPLICA STATUS",
		row{"Channel_Name": "", "Replica_IO_Running": "Yes", "Replica_SQL_Running": "No", "SQL_Delay": "0", "Last_IO_Errno": "0", "Last_SQL_Errno": "1062"}))
	f("primary.golden", replica("5.7.44-log", "SHOW SLAVE STATUS"))
}

func TestDialects(t *testing.T) {
	f := func(version string, want dialect) {
		t.Helper()
		if got := dialectOf(version); got != want {
			t.Errorf("%s: %+v, want %+v", version, got, want)
		}
	}
	f("10.11.14-MariaDB-0+deb12u2", mariaDB)
	f("5.5.5-10.4.32-MariaDB-log", mariaDB)
	f("5.7.44-log", oldMySQL)
	f("8.0.21", oldMySQL)
	f("8.0.22", newMySQL)
	f("8.0.36-28", newMySQL)
	f("9.1.0", newMySQL)
	f("", oldMySQL)
}

// Without the right to see replication the rest is delivered, and a channel
// that could not be asked for has not ended.
func TestReplicationDenied(t *testing.T) {
	const statement = "SHOW ALL SLAVES STATUS"
	db := replica("10.11.14-MariaDB", statement, row{"Connection_name": "a", "Slave_IO_Running": "Yes", "Slave_SQL_Running": "Yes"})
	c, set := collector(db)
	servertest.CollectAt(t, c, servertest.At)
	delete(db.rows, statement)
	db.err = &mysql.MySQLError{Number: 1227, Message: "Access denied; you need (at least one of) the SUPER, SLAVE MONITOR privilege(s)"}
	b := servertest.CollectAt(t, c, servertest.At)
	values := servertest.Values(b.Samples)
	if values["mysql_global_status_uptime"] != 3600 || len(b.Ends) != 0 {
		t.Errorf("got %v and ends %v", values, b.Ends)
	}
	if n := set.GetOrCreateCounter(`watchkeeper_middleware_part_failures_total{kind="mysql",part="replication"}`).Get(); n != 1 {
		t.Errorf("missed %d times, want 1", n)
	}
}

// A channel that was removed ends its series.
func TestChannelRemoved(t *testing.T) {
	const statement = "SHOW ALL SLAVES STATUS"
	db := replica("10.11.14-MariaDB", statement, row{"Connection_name": "a", "Slave_IO_Running": "Yes", "Slave_SQL_Running": "No", "Seconds_Behind_Master": "1"})
	c, _ := collector(db)
	servertest.CollectAt(t, c, servertest.At)
	db.rows[statement] = nil
	ended := make(map[string]string)
	for _, e := range servertest.CollectAt(t, c, servertest.At).Ends {
		ended[e.Labels.Get("__name__")+"/"+e.Labels.Get("channel")] = e.Reason
	}
	want := []string{"mysql_replica_io_running/a", "mysql_replica_lag_seconds/a", "mysql_replica_running/a", "mysql_replica_sql_running/a"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(ended))); diff != "" || ended["mysql_replica_running/a"] != "deleted" {
		t.Errorf("ended %v (-want +got):\n%s", ended, diff)
	}
	if ends := servertest.CollectAt(t, c, servertest.At).Ends; len(ends) != 0 {
		t.Errorf("ended again: %v", ends)
	}
}

func TestFailures(t *testing.T) {
	servertest.TCPFailures(t, build)
	f := func(what, greeting, reason string) {
		t.Run(what, func(t *testing.T) {
			l := servertest.Listen(t, func(c net.Conn) {
				_, _ = io.WriteString(c, greeting)
				_, _ = c.Read(make([]byte, 4096))
			})
			servertest.WantReason(t, build(t, server.Settings{Name: "db-1"}, l.Addr().String()), reason)
		})
	}
	f("too many connections", packet("\xff\x10\x04Too many connections"), server.ReasonStatus)
	f("host not allowed", packet("\xff\x6a\x04Host '10.0.0.9' is not allowed to connect"), server.ReasonDenied)
	f("garbage", packet("garbage"), server.ReasonFormat)
}

func packet(payload string) string {
	return string([]byte{byte(len(payload)), 0, 0, 0}) + payload
}

func TestRefusals(t *testing.T) {
	f := func(number uint16, want string) {
		t.Helper()
		c := server.New("acme", product, server.Settings{Name: "db-1"}, refusing(number), nil, metrics.NewSet(), servertest.Log)
		servertest.WantReason(t, c, want)
	}
	f(1045, server.ReasonAuth)
	f(1227, server.ReasonDenied)
	f(1040, server.ReasonStatus)
}

type refusing uint16

func (r refusing) Read(context.Context, *server.Reading) error {
	return failed(&mysql.MySQLError{Number: uint16(r), Message: strings.Repeat("refused ", 200)})
}
