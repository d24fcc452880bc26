//go:build services

package middleware

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/services/ports"
)

func mysqlVictim(t testing.TB) victim {
	port := ports.Free(t)
	return victim{
		name: "mysql", watched: map[string][]string{"middleware.mysql": {fmt.Sprintf(`name: db-2, address: "127.0.0.1:%s", username: watchkeeper, password_file: %q`, port, servertest.PasswordFile(t, "wk-mysql-pass"))}},
		provoke: func(t *testing.T, p *wholePath) {
			primary, replica := newMariaDB(t, "1", ports.Free(t)), newMariaDB(t, "2", port)
			replicate(t, primary, replica)
			p.good(t, "mysql_replica_lag_seconds", "db-2", "mysql-replica-lag")
			// The IO thread may take a moment to connect.
			eventually(t, patience, "replication", func() error {
				if v := p.query(t, `mysql_replica_running{instance="db-2"}`); len(v) != 1 || v[0] != 1 {
					return fmt.Errorf("%v", v)
				}
				return nil
			})
			replica.sql(t, "STOP SLAVE SQL_THREAD")
			primary.sql(t, "SET timestamp=UNIX_TIMESTAMP()-300; INSERT INTO shop.orders VALUES (1)")
			release := mustLock(t, replica, "shop.orders")
			replica.sql(t, "START SLAVE SQL_THREAD")
			p.fires(t, "mysql-replica-lag", "db-2", nil)
			release()
			p.recovers(t, "mysql-replica-lag", "db-2")
			replica.sql(t, "STOP SLAVE SQL_THREAD")
			p.fires(t, "mysql-replica-broken", "db-2", nil)
			replica.sql(t, "START SLAVE SQL_THREAD")
			p.recovers(t, "mysql-replica-broken", "db-2")
		},
	}
}

func rabbitEntry(t testing.TB, name string, r rabbitMQ) string {
	return fmt.Sprintf(`name: %s, url: "http://127.0.0.1:%s", username: admin, password_file: %q`, name, r.api, servertest.PasswordFile(t, "wk-admin-pass"))
}

func rabbitVictim(t testing.TB) victim {
	r := newRabbitMQ(t, "")
	return victim{
		name: "rabbitmq", watched: map[string][]string{"middleware.rabbitmq": {rabbitEntry(t, "mq", r)}},
		provoke: func(t *testing.T, p *wholePath) {
			r.start(t, "")
			p.good(t, "rabbitmq_file_descriptors_used", "mq", "rabbitmq-disk", "rabbitmq-memory")
			p.calm(t, "rabbitmq-health", "mq") // while it starts it may not be healthy
			r.ctl(t, "set_disk_free_limit", "900000000000000")
			p.fires(t, "rabbitmq-disk", "mq", nil)
			p.fires(t, "rabbitmq-health", "mq", nil)
			r.ctl(t, "set_disk_free_limit", "50MB")
			p.recovers(t, "rabbitmq-disk", "mq")
			p.recovers(t, "rabbitmq-health", "mq")
			r.ctl(t, "set_vm_memory_high_watermark", "absolute", "20MB")
			p.fires(t, "rabbitmq-memory", "mq", nil)
		},
	}
}

// rabbitLimitsVictim has low limits of files and processes.
func rabbitLimitsVictim(t testing.TB) victim {
	r := newRabbitMQ(t, "+P 1024")
	return victim{
		name: "rabbitmq with low limits", watched: map[string][]string{"middleware.rabbitmq": {rabbitEntry(t, "mq-limits", r)}},
		provoke: func(t *testing.T, p *wholePath) {
			r.start(t, "200")
			p.good(t, "rabbitmq_file_descriptors_used", "mq-limits", "rabbitmq-fds", "rabbitmq-processes", "rabbitmq-sockets")
			r.ctl(t, "eval", `[spawn(fun() -> timer:sleep(infinity) end) || _ <- lists:seq(1, erlang:system_info(process_limit) * 90 div 100 - erlang:system_info(process_count))], ok.`)
			p.fires(t, "rabbitmq-processes", "mq-limits", nil)
			r.ctl(t, "eval", `[exit(P, kill) || P <- processes(), process_info(P, current_function) =:= {current_function, {timer, sleep, 1}}], ok.`)
			p.recovers(t, "rabbitmq-processes", "mq-limits")
			// Connections that say nothing, until most files are open. Those above the
			// limit of sockets wait, and are open files none the less.
			var counted time.Time
			more := func() {
				if time.Since(counted) < 4*pace {
					return // what was opened last is not in the figures yet
				}
				counted = time.Now()
				v := p.query(t, `0.88 * rabbitmq_file_descriptors_limit{instance="mq-limits"} - rabbitmq_file_descriptors_used`)
				for range int(slices.Max(append(v, 0))) {
					if c, err := net.Dial("tcp", "127.0.0.1:"+r.port); err == nil { // else it takes none at the moment
						t.Cleanup(func() { c.Close() })
					}
				}
			}
			p.fires(t, "rabbitmq-sockets", "mq-limits", more)
			p.fires(t, "rabbitmq-fds", "mq-limits", more)
		},
	}
}

// processVictim is a process and its port.
func processVictim(t testing.TB) victim {
	port := ports.Free(t)
	return victim{
		name: "process", watched: map[string][]string{
			processes: {fmt.Sprintf(`name: cache, command: memcached, cmdline: "-p %s "`, port)},
			targets:   {fmt.Sprintf(`name: cache-port, tcp: "127.0.0.1:%s"`, port)},
		},
		provoke: func(t *testing.T, p *wholePath) {
			d := startMemcached(t, port)
			p.good(t, "process_state", hostInstance)
			p.calm(t, "process-down", hostInstance)
			p.good(t, "probe_tcp_code", "cache-port")
			p.calm(t, "port-down", "cache-port")
			d.kill()
			p.fires(t, "process-down", hostInstance, nil)
			p.fires(t, "port-down", "cache-port", nil)
			startMemcached(t, port)
			p.recovers(t, "process-down", hostInstance)
			p.recovers(t, "port-down", "cache-port")
		},
	}
}

// dockerVictim is an engine with a container that uses up what it may use.
func dockerVictim(t testing.TB) victim {
	dir := folder(t, "root/bin")
	socket := filepath.Join(dir, "d.sock")
	return victim{
		name: "docker", watched: map[string][]string{"middleware.docker": {fmt.Sprintf(`name: engine, socket: %q`, socket)}},
		provoke: func(t *testing.T, p *wholePath) {
			cli := startDocker(t, dir, socket)
			if cli == nil {
				return
			}
			p.good(t, "docker_containers", "engine", "docker-cpu", "docker-memory")
			hungryContainer(cli)
			p.fires(t, "docker-memory", "engine", nil)
			p.fires(t, "docker-cpu", "engine", nil)
			cli("rm", "-f", "hungry")
		},
	}
}
