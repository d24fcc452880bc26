package redis

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

func build(t testing.TB, s server.Settings, address string) exporters.Collector {
	t.Helper()
	return buildWith(t, Config{Settings: s, Address: address})
}

func buildWith(t testing.TB, cfg Config) exporters.Collector {
	t.Helper()
	c, err := New("acme", cfg, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answers maps commands to their answers in Redis's protocol; a command is also
// looked up by its first word.
type answers map[string]string

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

func (a answers) serve(t testing.TB) string {
	t.Helper()
	return servertest.Listen(t, func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			words, err := readCommand(in)
			if err != nil {
				return
			}
			answer, ok := a[strings.Join(words, " ")]
			if !ok {
				if answer, ok = a[words[0]]; !ok {
					answer = "-ERR unknown command '" + words[0] + "'\r\n"
				}
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}).Addr().String()
}

func readCommand(in *bufio.Reader) ([]string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "*")))
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		if line, err = in.ReadString('\n'); err != nil {
			return nil, err
		}
		size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "$")))
		if err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		words[i] = strings.ToLower(string(word[:size]))
	}
	return words, nil
}

// recorded is a server whose INFO is recorded and that has no keys to scan.
func recorded(t testing.TB, info string) answers {
	return answers{
		"info":        bulk(string(servertest.Recorded(t, info))),
		"slowlog len": ":7\r\n",
		"select":      "+OK\r\n",
		"scan":        "*2\r\n$1\r\n0\r\n*0\r\n",
	}
}

func TestSeries(t *testing.T) {
	for _, name := range []string{"primary", "replica", "sentinel"} {
		c := build(t, server.Settings{Name: "r-1"}, recorded(t, "info_"+name+".txt").serve(t))
		servertest.Golden(t, name+".golden", servertest.Collect(t, c))
	}
}

func TestCluster(t *testing.T) {
	a := recorded(t, "info_primary.txt")
	a["info"] = bulk(strings.Replace(string(servertest.Recorded(t, "info_primary.txt")), "cluster_enabled:0", "cluster_enabled:1", 1))
	f := func(state string, want float64) {
		t.Helper()
		a["cluster info"] = bulk("cluster_state:" + state + "\r\ncluster_slots_assigned:16384\r\ncluster_slots_fail:0\r\n")
		values := servertest.Values(servertest.Collect(t, build(t, server.Settings{Name: "r-1"}, a.serve(t))))
		if values["redis_cluster_state"] != want || values["redis_cluster_slots_assigned"] != 16384 {
			t.Errorf("%s: state %v, want %v; %v slots", state, values["redis_cluster_state"], want, values["redis_cluster_slots_assigned"])
		}
	}
	f("ok", 1)
	f("fail", 0)
}

func TestFailures(t *testing.T) {
	servertest.TCPFailures(t, build)
	f := func(what string, a answers, reason string) {
		t.Run(what, func(t *testing.T) {
			cfg := Config{Settings: server.Settings{Name: "r-1"}, Address: a.serve(t),
				Credentials: server.Credentials{PasswordFile: servertest.PasswordFile(t, "s3cr3t/pass+word")}}
			servertest.WantReason(t, buildWith(t, cfg), reason)
		})
	}
	hello := func(answer string) answers { return answers{"hello": answer, "auth": answer, "info": answer} }
	f("wrong password", hello("-WRONGPASS invalid username-password pair s3cr3t/pass+word\r\n"), server.ReasonAuth)
	f("wrong password before 6", answers{"auth": "-ERR invalid password\r\n"}, server.ReasonAuth)
	f("no password expected", answers{"auth": "-ERR Client sent AUTH, but no password is set\r\n"}, server.ReasonAuth)
	f("may not INFO", answers{"auth": "+OK\r\n", "info": "-NOPERM this user has no permissions to run the 'info' command\r\n"}, server.ReasonDenied)
	f("loading", answers{"auth": "+OK\r\n", "info": "-LOADING Redis is loading the dataset in memory\r\n"}, server.ReasonStatus)
	f("another server", answers{"auth": "+OK\r\n", "info": bulk("hello")}, server.ReasonFormat)
	f("endless", answers{"auth": "+OK\r\n", "info": "$100000000\r\n" + strings.Repeat("x", 10<<20)}, server.ReasonTooLarge)
}

// What an account may not do is left out; the rest is delivered.
func TestPartsRefused(t *testing.T) {
	a := recorded(t, "info_primary.txt")
	a["slowlog len"] = "-NOPERM this user has no permissions to run the 'slowlog|len' command\r\n"
	a["scan"] = "-NOPERM this user has no permissions to run the 'scan' command\r\n"
	set := metrics.NewSet()
	c, err := New("acme", Config{Settings: server.Settings{Name: "r-1"}, Address: a.serve(t)}, set, servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	values := servertest.Values(servertest.Collect(t, c))
	if _, ok := values[metricSlowLogLength]; ok || values["redis_connected_clients"] == 0 {
		t.Errorf("got %v", values)
	}
	for _, part := range []string{"slowlog", "big_keys"} {
		if n := set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_middleware_part_failures_total{kind="redis",part=%q}`, part)).Get(); n != 1 {
			t.Errorf("part %s missed %d times, want 1", part, n)
		}
	}
}

// A round goes through all databases within the budget of each check and then
// tells how many large keys there are; the next round starts anew.
func TestBigKeys(t *testing.T) {
	a := recorded(t, "info_primary.txt") // databases 0 and 3
	page := func(cursor string, keys ...string) string {
		s := "*2\r\n" + bulk(cursor) + fmt.Sprintf("*%d\r\n", len(keys))
		for _, k := range keys {
			s += bulk(k)
		}
		return s
	}
	a["scan 0 count 2"] = page("17", "small", "big")
	a["scan 17 count 2"] = page("0", "bigger", "gone")
	a["memory usage small"] = ":50\r\n"
	a["memory usage big"] = ":1000\r\n"
	a["memory usage bigger"] = ":2000\r\n"
	a["memory usage gone"] = "$-1\r\n"
	c := buildWith(t, Config{Settings: server.Settings{Name: "r-1"}, Address: a.serve(t), BigKeys: BigKeys{KeysPerCheck: 2, ThresholdBytes: 1000}})
	step := func(what string, big, biggest, lookedAt, rounds float64) {
		t.Helper()
		v := servertest.Values(servertest.Collect(t, c))
		if v[metricBigKeys] != big || v[metricBiggestKeyBytes] != biggest || v[metricKeysLookedAt] != lookedAt || v[metricBigKeyRoundsDone] != rounds {
			t.Errorf("%s: %v large, the largest %v, %v looked at, %v rounds; want %v, %v, %v, %v", what,
				v[metricBigKeys], v[metricBiggestKeyBytes], v[metricKeysLookedAt], v[metricBigKeyRoundsDone], big, biggest, lookedAt, rounds)
		}
	}
	step("first page of db 0", 1, 1000, 2, 0)
	step("second page", 2, 2000, 3, 0)
	step("first page of db 3", 3, 2000, 5, 0)
	step("the round ends", 4, 2000, 6, 1)
	step("the next begins", 4, 2000, 8, 1)
}
