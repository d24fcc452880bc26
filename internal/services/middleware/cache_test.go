//go:build services

package middleware

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters/middleware/memcached"
	"watchkeeper/exporters/middleware/redis"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/services/ports"
)

const redisPassword = "wk-redis-pass"

func startRedis(t testing.TB, port string, args ...string) *daemon {
	return start(t, nil, "redis-server", append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", folder(t), "--save", "",
		"--appendonly", "no", "--requirepass", redisPassword, "--masterauth", redisPassword}, args...)...)
}

func redisCollector(t testing.TB, port string, change func(*redis.Config)) *server.Collector {
	t.Helper()
	cfg := redis.Config{Settings: server.Settings{Name: "r-" + port}, Address: "127.0.0.1:" + port,
		Credentials: server.Credentials{PasswordFile: servertest.PasswordFile(t, redisPassword)}}
	if change != nil {
		change(&cfg)
	}
	return must(redis.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
}

func redisCLI(t testing.TB, port string, args ...string) string {
	t.Helper()
	return client(t, []string{"REDISCLI_AUTH=" + redisPassword}, "redis-cli", append([]string{"-p", port}, args...)...)
}

func TestRedis(t *testing.T) {
	t.Parallel()
	port, replicaPort := ports.Free(t), ports.Free(t)
	primary := redisCollector(t, port, nil)
	d := startRedis(t, port)
	answers(t, d, primary)
	replica := redisCollector(t, replicaPort, nil)
	answers(t, startRedis(t, replicaPort, "--replicaof", "127.0.0.1 "+port, "--repl-diskless-sync-delay", "0"), replica)

	for i := range 20 {
		redisCLI(t, port, "set", fmt.Sprint("small", i), "x")
	}
	redisCLI(t, port, "-n", "3", "setrange", "big", "2097151", "x")
	redisCLI(t, port, "config", "set", "slowlog-log-slower-than", "0")
	redisCLI(t, port, "ping")
	info := redisCLI(t, port, "info", "all")
	v := values(t, primary)
	for series, field := range map[string]string{
		"redis_uptime_seconds": "uptime_in_seconds", "redis_connected_clients": "connected_clients", "redis_blocked_clients": "blocked_clients",
		"redis_active_defrag_hits_total": "active_defrag_hits", "redis_connected_replicas": "connected_slaves", "redis_clients_max": "maxclients",
	} {
		m := regexp.MustCompile(`(?m)^` + field + `:(\d+)`).FindStringSubmatch(info)
		if m == nil {
			t.Fatalf("no %s in INFO", field)
		}
		near(t, v, series, number(t, m[1]), 2)
	}
	near(t, v, `redis_db_keys{db="0"}`, 20, 0)
	near(t, v, `redis_db_keys{db="3"}`, 1, 0)
	near(t, v, "redis_big_keys", 1, 0)
	near(t, v, "redis_biggest_key_bytes", 2<<20, 1<<20)
	if v["redis_slowlog_length"] < 1 {
		t.Errorf("slow log has %v entries", v["redis_slowlog_length"])
	}
	// Every section is there.
	for _, prefix := range []string{"redis_memory_", "redis_rdb_", "redis_commands_total", "redis_command_latency_seconds", "redis_cpu_", "redis_cluster_enabled"} {
		found := false
		for series := range v {
			found = found || strings.HasPrefix(series, prefix)
		}
		if !found {
			t.Errorf("nothing that begins with %s", prefix)
		}
	}

	linked := func(want float64) func() error {
		return func() error {
			if values(t, replica)["redis_master_link_up"] != want {
				return errNotYet
			}
			return nil
		}
	}
	eventually(t, patience, "replication", linked(1))
	d.kill()
	eventually(t, patience, "the link to break", linked(0))
	fails(t, primary, server.ReasonConnect)
	fails(t, redisCollector(t, replicaPort, func(c *redis.Config) {
		c.PasswordFile = servertest.PasswordFile(t, "s3cr3t/pass+word")
	}), server.ReasonAuth)
	fails(t, redisCollector(t, replicaPort, func(c *redis.Config) { c.PasswordFile = "" }), server.ReasonAuth)
	fails(t, redisCollector(t, replicaPort, func(c *redis.Config) {
		c.UseTLS, c.Timeout = true, model.Duration(2*time.Second)
	}), server.ReasonTLS)

	// An account that may do no more than the collector needs.
	redisCLI(t, replicaPort, "acl", "setuser", "watchkeeper", "on", ">least", "resetkeys", "%R~*", "-@all",
		"+info", "+slowlog|len", "+select", "+scan", "+memory|usage", "+cluster|info", "+ping")
	least := redisCollector(t, replicaPort, func(c *redis.Config) {
		c.Username, c.PasswordFile = "watchkeeper", servertest.PasswordFile(t, "least")
	})
	v = values(t, least)
	if v["redis_uptime_seconds"] <= 0 || v["redis_big_keys"] != 1 {
		t.Errorf("with the least account: uptime %v, large keys %v", v["redis_uptime_seconds"], v["redis_big_keys"])
	}
}

func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	port, sentinelPort := ports.Free(t), ports.Free(t)
	answers(t, startRedis(t, port), redisCollector(t, port, nil))
	conf := write(t, filepath.Join(folder(t), "sentinel.conf"), `
port PORT
bind 127.0.0.1
sentinel monitor shop 127.0.0.1 REDIS 1
sentinel auth-pass shop PASS
`, "PORT", sentinelPort, "REDIS", port, "PASS", redisPassword)
	if err := os.Chmod(filepath.Dir(conf), 0o777); err != nil {
		t.Fatal(err)
	}
	c := redisCollector(t, sentinelPort, func(c *redis.Config) { c.PasswordFile = "" })
	answers(t, start(t, nil, "redis-server", conf, "--sentinel"), c)
	eventually(t, patience, "the sentinel's view", func() error {
		if values(t, c)[`redis_sentinel_master_ok{master="shop"}`] != 1 {
			return errNotYet
		}
		return nil
	})
	near(t, values(t, c), `redis_sentinel_master_sentinels{master="shop"}`, 1, 0)
}

func startMemcached(t testing.TB, port string) *daemon {
	t.Helper()
	args := []string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-m", "16"}
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	return start(t, nil, "memcached", args...)
}

func TestMemcached(t *testing.T) {
	t.Parallel()
	port := ports.Free(t)
	cfg := memcached.Config{Settings: server.Settings{Name: "cache"}, Address: "127.0.0.1:" + port}
	c := must(memcached.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
	d := startMemcached(t, port)
	answers(t, d, c)
	tell := func(text string) string {
		return client(t, nil, "bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/$1; printf "$2" >&3; timeout 5 cat <&3`, "-", port, text)
	}
	if out := tell(`set k 0 0 5\r\nhello\r\nget k\r\nget none\r\nquit\r\n`); !strings.Contains(out, "hello") {
		t.Fatalf("memcached says %q", out)
	}
	stats := tell(`stats\r\nquit\r\n`)
	v := values(t, c)
	for series, stat := range map[string]string{
		"memcached_items": "curr_items", "memcached_items_bytes": "bytes", "memcached_limit_bytes": "limit_maxbytes", "memcached_threads": "threads",
		`memcached_results_total{command="get",status="hit"}`: "get_hits", `memcached_results_total{command="get",status="miss"}`: "get_misses",
		"memcached_connections_max": "max_connections",
	} {
		m := regexp.MustCompile(`STAT ` + stat + ` (\d+)`).FindStringSubmatch(stats)
		if m == nil {
			t.Fatalf("no %s in %q", stat, stats)
		}
		near(t, v, series, number(t, m[1]), 0)
	}
	d.kill()
	fails(t, c, server.ReasonConnect)
}
