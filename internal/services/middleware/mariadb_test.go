//go:build services

package middleware

import (
	"encoding/csv"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/mysql"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/services/ports"
)

// mariaDB is one server with an own folder.
type mariaDB struct {
	*daemon
	dir, port, socket string
	run               []string
}

// ownedBy gives a folder to the user that the daemon drops to.
func ownedBy(t testing.TB, name string, dirs ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	for _, d := range dirs {
		if err := os.Chown(d, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
}

func newMariaDB(t testing.TB, id, port string) *mariaDB {
	t.Helper()
	dir := folder(t, "data", "tmp")
	data, tmp := filepath.Join(dir, "data"), filepath.Join(dir, "tmp")
	ownedBy(t, "mysql", dir, data, tmp)
	env := []string{"TMPDIR=" + tmp} // which it writes to as its own user
	args := []string{"--no-defaults", "--datadir=" + data, "--innodb-log-file-size=8M"}
	if os.Getuid() == 0 {
		args = append(args, "--user=mysql")
	}
	client(t, env, "mariadb-install-db", append(args, "--auth-root-authentication-method=normal", "--skip-test-db")...)
	m := &mariaDB{dir: dir, port: port, socket: filepath.Join(dir, "s.sock")}
	m.run = append(args, "--tmpdir="+tmp, "--bind-address=127.0.0.1", "--port="+m.port, "--socket="+m.socket, "--pid-file="+filepath.Join(dir, "pid"),
		"--innodb-buffer-pool-size=16M", "--key-buffer-size=1M", "--aria-pagecache-buffer-size=4M", "--max-connections=50",
		"--server-id="+id, "--log-bin="+filepath.Join(data, "bin"), "--gtid-strict-mode=1", "--slave-net-timeout=5")
	m.start(t)
	return m
}

func (m *mariaDB) start(t testing.TB) {
	t.Helper()
	m.daemon = start(t, []string{"TMPDIR=" + filepath.Join(m.dir, "tmp")}, "/usr/sbin/mariadbd", m.run...)
	eventually(t, patience, "mariadbd", func() error {
		_, err := tryClient(t, nil, "mariadb-admin", "--no-defaults", "-uroot", "--socket="+m.socket, "ping")
		return err
	})
}

func (m *mariaDB) sql(t testing.TB, statement string) string {
	t.Helper()
	return client(t, nil, "mariadb", "--no-defaults", "-uroot", "--socket="+m.socket, "--batch", "-N", "-e", statement)
}

func (m *mariaDB) collector(t testing.TB, change func(*mysql.Config)) *server.Collector {
	t.Helper()
	cfg := mysql.Config{Settings: server.Settings{Name: "db-" + m.port}, Address: "127.0.0.1:" + m.port,
		Credentials: server.Credentials{Username: "watchkeeper", PasswordFile: servertest.PasswordFile(t, "wk-mysql-pass")}}
	if change != nil {
		change(&cfg)
	}
	return must(mysql.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
}

// replicate makes one server the other's source, with a table of orders, and
// gives the collector an account on both.
func replicate(t testing.TB, primary, replica *mariaDB) {
	t.Helper()
	primary.sql(t, `CREATE USER 'repl'@'127.0.0.1' IDENTIFIED BY 'repl-pass'; GRANT REPLICATION SLAVE ON *.* TO 'repl'@'127.0.0.1';
		CREATE USER 'watchkeeper'@'127.0.0.1' IDENTIFIED BY 'wk-mysql-pass' WITH MAX_USER_CONNECTIONS 3;
		GRANT SLAVE MONITOR ON *.* TO 'watchkeeper'@'127.0.0.1'; CREATE DATABASE shop; CREATE TABLE shop.orders (id INT)`)
	replica.sql(t, source(primary, "", "127.0.0.1"))
}

// source makes a server a replica's source, on a channel.
func source(primary *mariaDB, channel, host string) string {
	return "CHANGE MASTER " + channel + " TO MASTER_HOST='" + host + "', MASTER_PORT=" + primary.port +
		", MASTER_USER='repl', MASTER_PASSWORD='repl-pass', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE " + channel
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	primary, replica := newMariaDB(t, "1", ports.Free(t)), newMariaDB(t, "2", ports.Free(t))
	replicate(t, primary, replica)
	c := replica.collector(t, nil)
	answers(t, replica.daemon, c)

	j := newJudge(t)
	eventually(t, patience, "replication", func() error {
		if values(t, c)["mysql_replica_running"] != 1 {
			return errNotYet
		}
		return nil
	})
	v := j.check(t, c)
	near(t, v, "mysql_replica_lag_seconds", 0, 5)
	j.want(t, "healthy", "!mysql-replica-broken", "!mysql-replica-lag")

	// The counters are those that the server's client prints.
	for name, tolerance := range map[string]float64{"Uptime": 5, "Threads_connected": 3, "Innodb_page_size": 0, "Max_used_connections": 3} {
		out := strings.Fields(replica.sql(t, "SHOW GLOBAL STATUS LIKE '"+name+"'"))
		near(t, v, "mysql_global_status_"+strings.ToLower(name), number(t, out[1]), tolerance)
	}
	near(t, v, "mysql_global_variables_max_connections", 50, 0)
	printed, err := csv.NewReader(strings.NewReader(strings.ReplaceAll(replica.sql(t, "SHOW GLOBAL STATUS"), "\t", ";"))).ReadAll()
	if err != nil || len(printed) < 400 {
		t.Fatalf("%d status variables, %v", len(printed), err)
	}
	numeric := 0
	for _, line := range printed {
		name, value, _ := strings.Cut(line[0], ";")
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			continue
		}
		numeric++
		if _, ok := v["mysql_global_status_"+strings.ToLower(name)]; !ok {
			t.Errorf("status variable %s is not delivered", name)
		}
	}
	if numeric < 400 {
		t.Errorf("%d numeric status variables compared", numeric)
	}

	// One thread stopped, then the other, then both run again.
	replica.sql(t, "STOP SLAVE SQL_THREAD")
	if v := j.check(t, c); v["mysql_replica_sql_running"] != 0 || v["mysql_replica_io_running"] != 1 {
		t.Errorf("SQL thread stopped: %v, %v", v["mysql_replica_sql_running"], v["mysql_replica_io_running"])
	}
	if _, ok := values(t, c)["mysql_replica_lag_seconds"]; ok {
		t.Error("a lag is delivered while the server says NULL")
	}
	j.want(t, "SQL thread stopped", "mysql-replica-broken", "!mysql-replica-lag")
	replica.sql(t, "START SLAVE")

	// A lag: the replica applies an event that is already old.
	replica.sql(t, "STOP SLAVE SQL_THREAD")
	primary.sql(t, "SET timestamp=UNIX_TIMESTAMP()-300; INSERT INTO shop.orders VALUES (1)")
	lagging := mustLock(t, replica, "shop.orders")
	replica.sql(t, "START SLAVE SQL_THREAD")
	eventually(t, patience, "lag", func() error {
		if values(t, c)["mysql_replica_lag_seconds"] < 30 {
			return errNotYet
		}
		return nil
	})
	j.check(t, c)
	j.want(t, "lagging", "mysql-replica-lag", "!mysql-replica-broken")
	lagging()

	// A second source, of its own channel, that goes away again. It is the same
	// server under another name: MariaDB refuses the same name twice.
	replica.sql(t, source(primary, "'billing'", "localhost"))
	eventually(t, patience, "second source", func() error {
		if values(t, c)[`mysql_replica_running{channel="billing"}`] != 1 {
			return errNotYet
		}
		return nil
	})
	replica.sql(t, "STOP SLAVE 'billing'; RESET SLAVE 'billing' ALL")
	if ends := servertest.CollectAt(t, c, now()).Ends; len(ends) == 0 {
		t.Error("a removed source does not end its series")
	}

	primary.kill()
	eventually(t, patience, "the IO thread to notice", func() error {
		if values(t, c)["mysql_replica_io_running"] != 0 {
			return errNotYet
		}
		return nil
	})
	j.check(t, c)
	j.want(t, "source is dead", "mysql-replica-broken")
	fails(t, primary.collector(t, nil), server.ReasonConnect)
	fails(t, replica.collector(t, func(c *mysql.Config) { c.PasswordFile = servertest.PasswordFile(t, "s3cr3t/pass+word") }), server.ReasonAuth)
	fails(t, replica.collector(t, func(c *mysql.Config) { c.Username = "nobody" }), server.ReasonAuth)
	fails(t, replica.collector(t, func(c *mysql.Config) { c.UseTLS = true }), server.ReasonTLS)
}

// mustLock holds a table in a session of its own.
func mustLock(t testing.TB, m *mariaDB, table string) (release func()) {
	t.Helper()
	d := start(t, nil, "mariadb", "--no-defaults", "-uroot", "--socket="+m.socket, "-e", "LOCK TABLE "+table+" READ; SELECT 'locked'; SELECT SLEEP(900)")
	eventually(t, patience, "the lock", func() error {
		if !strings.Contains(m.sql(t, "SHOW PROCESSLIST"), "SLEEP(900)") {
			return errNotYet
		}
		return nil
	})
	return d.kill
}
