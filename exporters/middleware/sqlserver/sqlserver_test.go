package sqlserver

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

const (
	user     = "mon"
	password = "s3cr3t/pass+word"
)

var settings = server.Settings{Name: "db-1", Timeout: model.Duration(20 * time.Second)}

func config(t testing.TB, s server.Settings, address string) Config {
	return Config{Settings: s, Address: address, Credentials: server.Credentials{Username: user, PasswordFile: servertest.PasswordFile(t, password)}}
}

func collector(t testing.TB, cfg Config) (*server.Collector, *metrics.Set) {
	t.Helper()
	set := metrics.NewSet()
	c, err := New("acme", cfg, set, servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c, set
}

func build(t testing.TB, s server.Settings, address string) exporters.Collector {
	c, _ := collector(t, config(t, s, address))
	return c
}

// table makes an answer: the columns' names, then the rows.
func table(columns string, rows ...[]any) reply {
	return reply{columns: strings.Fields(columns), rows: rows}
}

func of(values ...any) []any {
	for i, v := range values {
		if n, ok := v.(int); ok {
			values[i] = int64(n)
		}
	}
	return values
}

// answers are those of one server, by query.
type answers map[string]reply

var unknown = reply{err: &refusal{208, 16, "Invalid object name."}}

func (a answers) server(t testing.TB) *standIn {
	return &standIn{t: t, user: user, password: password, answer: func(q string) reply {
		if r, ok := a[q]; ok {
			return r
		}
		t.Logf("no answer to %s", q)
		return unknown
	}}
}

// counterRows has a value for each counter, in the view's form, with the
// databases shop and master.
func counterRows(prefix string) [][]any {
	var all [][]any
	add := func(object, name, instance string, value int) {
		all = append(all, of(prefix+":"+object, name, instance, value))
	}
	for i, c := range counters {
		add(c.object, c.name, c.instance, 1000+i)
		if c.base != "" {
			add(c.object, c.base, c.instance, 2000)
		}
	}
	for i, c := range databaseCounters {
		add(databaseObject, c.name, "master", 10+i)
		add(databaseObject, c.name, "shop", 100+i)
	}
	return append(all, of("no object", "User Connections", "", 1))
}

func instance(version string) answers {
	return answers{
		querySession: {},
		queryServer:  table("version edition hadr major", of(version, "Standard Edition (64-bit)", 0, int(version[0]-'0')*10+int(version[1]-'0'))),
		queryHost: table("uptime_ms cpu_count physical_memory_kb max_workers_count workers runnable memory_in_use_kb memory_low packets_received packets_sent connections_max",
			of(86_400_250, 8, 33_554_432, 576, 61, 2, 8_388_608, 0, 123_456, 234_567, 32_767)),
		queryCounters(defaultDatabases): table("object counter instance value", counterRows("SQLServer")...),
		queryCPU:                        table("process", of(37)),
		querySessions:                   table("state sessions", of("running", 2), of("sleeping", 40), of("Something", 1)),
		queryRequests(defaultLongAfter): table("requests long oldest_ms blocked oldest_blocked_ms", of(3, 1, 912_500, 1, 61_000)),
		queryIdle(defaultLongAfter):     table("idle long oldest", of(2, 1, 4000)),
		queryAllDatabases:               table("databases not_online", of(2, 1)),
		queryDatabases(defaultDatabases): table("name state read_only recovery_model log_reuse_wait", of("master", 0, false, 3, 0),
			of("shop", 3, true, 1, 2)),
		queryFiles(defaultDatabases): table("name reads writes bytes_read bytes_written read_stall_ms write_stall_ms", of("master", 1, 2, 3, 4, 5, 6),
			of("shop", 10_000, 20_000, 3_000_000, 4_000_000, 5_500, 6_250)),
		queryVolumes: table("volume size free", of(`C:\`, 107_374_182_400, 42_000_000_000)),
		queryBackups(defaultDatabases): table("name backed_up full_age differential_age log_age", of("master", 1, 86_400, nil, nil),
			of("shop", 0, nil, nil, nil)),
		queryJobs(defaultJobs): table("job enabled failed last_run_age last_duration running", of("nightly backup", 1, 1, 3600, 95, 0), of("never run", 0, 0, nil, nil, 0)),
	}
}

// grouped is a named instance in an availability group.
func grouped() answers {
	a := instance("15.0.4385.2")
	a[queryServer] = table("version edition hadr major", of("15.0.4385.2", "Enterprise Edition (64-bit)", 1, 15))
	a[queryCounters(defaultDatabases)] = table("object counter instance value", counterRows("MSSQL$SALES")...)
	a[queryReplicas] = table("ag replica connected is_primary synchronization_health", of("sales", `SQL1\SALES`, 1, 1, 2), of("sales", `SQL2\SALES`, 0, 0, 0))
	a[queryReplicaDatabases] = table("ag replica name synchronization_state is_suspended log_send_queue_kb redo_queue_kb lag",
		of("sales", `SQL1\SALES`, "shop", 2, false, nil, nil, nil), of("sales", `SQL2\SALES`, "shop", 0, true, 2048, 512, 75))
	return a
}

// The real driver reads the stand-in over the real protocol.
func TestSeries(t *testing.T) {
	f := func(golden string, a answers) {
		t.Run(golden, func(t *testing.T) {
			c, set := collector(t, config(t, settings, a.server(t).listen(t)))
			servertest.Golden(t, golden, servertest.Collect(t, c))
			if missed := missedParts(set); len(missed) != 0 {
				t.Errorf("missed %v", missed)
			}
		})
	}
	f("single.golden", instance("16.0.4135.4"))
	f("grouped.golden", grouped())
}

func missedParts(set *metrics.Set) []string {
	names := slices.DeleteFunc(set.ListMetricNames(), func(name string) bool { return !strings.Contains(name, "part_failures") })
	slices.Sort(names)
	return names
}

func part(name string) string {
	return fmt.Sprintf(`watchkeeper_middleware_part_failures_total{kind="sqlserver",part=%q}`, name)
}

// The session is made harmless before anything is asked, and what is not wanted
// is not asked for.
func TestQueries(t *testing.T) {
	a := instance("16.0.4135.4")
	a[queryCounters(0)] = a[queryCounters(defaultDatabases)]
	s := a.server(t)
	cfg := config(t, settings, s.listen(t))
	cfg.Databases, cfg.Jobs = -1, -1
	c, _ := collector(t, cfg)
	servertest.Collect(t, c)
	want := []string{querySession, queryServer, queryHost, queryCounters(0), queryCPU, querySessions, queryRequests(defaultLongAfter),
		queryIdle(defaultLongAfter), queryAllDatabases, queryVolumes}
	if diff := cmp.Diff(want, s.batches()); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
}

var denied = reply{err: &refusal{229, 14, "The SELECT permission was denied on the object 'backupset', database 'msdb', schema 'dbo'."}}

// What the login may not see is missed; the rest is delivered, and nothing ends.
func TestDenied(t *testing.T) {
	a := instance("16.0.4135.4")
	c, set := collector(t, config(t, settings, a.server(t).listen(t)))
	servertest.CollectAt(t, c, servertest.At)
	backups, jobs := a[queryBackups(defaultDatabases)], a[queryJobs(defaultJobs)]
	a[queryBackups(defaultDatabases)], a[queryJobs(defaultJobs)] = denied, denied
	b := servertest.CollectAt(t, c, servertest.At)
	values := servertest.Values(b.Samples)
	if _, ok := values[`mssql_database_backed_up{database="master"}`]; ok || values["mssql_uptime_seconds"] != 86_400.25 || len(b.Ends) != 0 {
		t.Errorf("got %v and ends %v", values, b.Ends)
	}
	if diff := cmp.Diff([]string{part("backups"), part("jobs")}, missedParts(set)); diff != "" {
		t.Errorf("missed (-want +got):\n%s", diff)
	}
	// Permitted again: the job that was deleted meanwhile ends, the rest goes on.
	jobs.rows = jobs.rows[:1]
	a[queryBackups(defaultDatabases)], a[queryJobs(defaultJobs)] = backups, jobs
	if diff := cmp.Diff(map[string]string{"mssql_job_enabled/never run": "deleted", "mssql_job_failed/never run": "deleted", "mssql_job_running_seconds/never run": "deleted"},
		ended(t, c, "agent_job")); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

func ended(t *testing.T, c exporters.Collector, label string) map[string]string {
	t.Helper()
	reasons := make(map[string]string)
	for _, e := range servertest.CollectAt(t, c, servertest.At).Ends {
		reasons[e.Labels.Get("__name__")+"/"+e.Labels.Get(label)] = e.Reason
	}
	return reasons
}

// A database that is dropped ends all its series.
func TestDatabaseDropped(t *testing.T) {
	a := instance("16.0.4135.4")
	c, _ := collector(t, config(t, settings, a.server(t).listen(t)))
	var of []string
	for _, s := range servertest.CollectAt(t, c, servertest.At).Samples {
		if s.Labels.Get("database") == "shop" {
			of = append(of, s.Labels.Get("__name__")+"/shop")
		}
	}
	for q, r := range a {
		r.rows = slices.DeleteFunc(slices.Clone(r.rows), func(values []any) bool { return slices.Contains(values, any("shop")) })
		a[q] = r
	}
	got := ended(t, c, "database")
	slices.Sort(of)
	if diff := cmp.Diff(of, slices.Sorted(maps.Keys(got))); diff != "" || len(of) < 15 {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

// More databases than asked for: the first ones, and the part is missed.
func TestDatabasesLimit(t *testing.T) {
	a := instance("16.0.4135.4")
	a[queryAllDatabases] = table("databases not_online", of(51, 0))
	c, set := collector(t, config(t, settings, a.server(t).listen(t)))
	servertest.Collect(t, c)
	if diff := cmp.Diff([]string{part("databases")}, missedParts(set)); diff != "" {
		t.Errorf("missed (-want +got):\n%s", diff)
	}
}

// A share of nothing is no share.
func TestRatioWithoutBase(t *testing.T) {
	a := instance("16.0.4135.4")
	r := a[queryCounters(defaultDatabases)]
	for i, values := range r.rows {
		if values[1] == "Buffer cache hit ratio base" {
			r.rows[i] = of(values[0], values[1], values[2], 0)
		}
	}
	values := servertest.Values(servertest.Collect(t, build(t, settings, a.server(t).listen(t))))
	if v, ok := values["mssql_buffer_cache_hit_percent"]; ok {
		t.Errorf("the share is %g", v)
	}
	if _, ok := values["mssql_plan_cache_hit_percent"]; !ok {
		t.Error("the other share is missing, too")
	}
}

func TestFailures(t *testing.T) {
	servertest.TCPFailures(t, build)
	answering := func(name, reason string, change func(*standIn, answers)) {
		t.Run(name, func(t *testing.T) {
			a := instance("16.0.4135.4")
			s := a.server(t)
			change(s, a)
			servertest.WantReason(t, build(t, settings, s.listen(t)), reason)
		})
	}
	answering("wrong password", server.ReasonAuth, func(s *standIn, _ answers) { s.password = "another" })
	answering("unknown login", server.ReasonAuth, func(s *standIn, _ answers) { s.user = "another" })
	answering("no VIEW SERVER STATE", server.ReasonDenied, func(_ *standIn, a answers) {
		a[queryHost] = reply{err: &refusal{300, 14, "VIEW SERVER STATE permission was denied on object 'server', database 'master'. " + password}}
	})
	answering("too old", server.ReasonStatus, func(_ *standIn, a answers) { a[queryServer] = instance("12.0.6024.0")[queryServer] })
	answering("no counters", server.ReasonStatus, func(_ *standIn, a answers) {
		a[queryCounters(defaultDatabases)] = table("object counter instance value")
	})
	answering("ended by the server", server.ReasonStatus, func(_ *standIn, a answers) {
		a[querySessions] = reply{err: &refusal{596, 21, "Cannot continue the execution because the session is in the kill state."}}
	})
	answering("locked", server.ReasonTimeout, func(_ *standIn, a answers) {
		a[queryHost] = reply{err: &refusal{1222, 16, "Lock request time out period exceeded."}}
	})
	answering("another answer", server.ReasonFormat, func(_ *standIn, a answers) { a[queryServer] = table("version", of("none")) })
	answering("no row", server.ReasonFormat, func(_ *standIn, a answers) { a[queryHost] = table("uptime_ms") })
	answering("too many rows", server.ReasonTooLarge, func(_ *standIn, a answers) {
		a[querySessions] = table("state sessions", slices.Repeat([][]any{of("running", 1)}, maxRows+1)...)
	})
	answering("10 MB", server.ReasonTooLarge, func(_ *standIn, a answers) {
		a[querySessions] = table("state sessions", slices.Repeat([][]any{of(strings.Repeat(password, 200), 1)}, 2000)...)
	})
	answering("sent elsewhere", server.ReasonStatus, func(s *standIn, _ answers) { s.routed = "elsewhere" })
	garbage := func(name, answer string) {
		t.Run(name, func(t *testing.T) {
			l := servertest.Listen(t, func(c net.Conn) {
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, answer)
				_, _ = c.Read(make([]byte, 4096))
			})
			servertest.WantReason(t, build(t, settings, l.Addr().String()), server.ReasonFormat)
		})
	}
	garbage("another protocol", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	garbage("a greeting of nothing", "\x04\x01\x00\x08\x00\x00\x01\x00")
	garbage("a greeting without encryption", "\x04\x01\x00\x09\x00\x00\x01\x00\xff")
	garbage("a greeting with empty encryption", "\x04\x01\x00\x0e\x00\x00\x01\x00\x01\x00\x06\x00\x00\xff")
}

// A log-in that is answered by what is no token of TDS.
func TestGarbageAfterTheGreeting(t *testing.T) {
	f := func(name, message string) {
		t.Run(name, func(t *testing.T) {
			l := servertest.Listen(t, func(c net.Conn) {
				if _, _, err := readMessage(c); err != nil {
					return
				}
				_ = writeMessage(c, packetReply, prelogin(encryptNotSup))
				_, _, _ = readMessage(c)
				_ = writeMessage(c, packetReply, []byte(message))
				_, _, _ = readMessage(c)
			})
			servertest.WantReason(t, build(t, settings, l.Addr().String()), server.ReasonFormat)
		})
	}
	f("no token", "garbage "+password)
	f("cut", "\xad\xff\xff\x01")
	f("a login that is none", "\xad\x01\x00\x01")
}

func TestHangsInTheMiddle(t *testing.T) {
	a := instance("16.0.4135.4")
	s := a.server(t)
	done := make(chan struct{})
	defer close(done)
	s.answer = func(q string) reply {
		if q == querySessions {
			<-done
		}
		return a[q]
	}
	began := time.Now()
	servertest.WantReason(t, build(t, server.Settings{Name: "db-1", Timeout: model.Duration(time.Second)}, s.listen(t)), server.ReasonTimeout)
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("took %s with a time-out of 1s", d)
	}
}

func TestTLS(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	// Later versions of TLS do not fit into TDS 7.
	own := &tls.Config{Certificates: web.TLS.Certificates, MaxVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
	start := func(cfg *tls.Config) *standIn {
		s := instance("16.0.4135.4").server(t)
		s.tls = cfg
		return s
	}
	encrypted := func(address string, trust server.TLS) Config {
		cfg := config(t, settings, address)
		cfg.UseTLS, cfg.TLS = true, trust
		return cfg
	}
	trusted := server.TLS{CAFile: ca, ServerName: "example.com"}
	reads := func(name string, s *standIn, cfg Config, login string) {
		t.Run(name, func(t *testing.T) {
			c, _ := collector(t, cfg)
			if values := servertest.Values(servertest.Collect(t, c)); values["mssql_uptime_seconds"] != 86_400.25 {
				t.Errorf("got %v", values)
			}
			if diff := cmp.Diff([]string{login}, s.logins); diff != "" {
				t.Errorf("log-ins (-want +got):\n%s", diff)
			}
		})
	}
	s := start(own)
	reads("everything encrypted", s, encrypted(s.listen(t), trusted), "tls")
	s = start(own)
	reads("the login encrypted", s, config(t, settings, s.listen(t)), "tls")
	s = start(nil)
	reads("nothing encrypted", s, config(t, settings, s.listen(t)), "plain")

	fails := func(name string, cfg Config) {
		t.Run(name, func(t *testing.T) {
			c, _ := collector(t, cfg)
			servertest.WantReason(t, c, server.ReasonTLS)
		})
	}
	fails("certificate of a stranger", encrypted(start(own).listen(t), server.TLS{}))
	fails("certificate of another name", encrypted(start(own).listen(t), server.TLS{CAFile: ca, ServerName: "another.example.org"}))
	fails("TLS where there is none", encrypted(start(nil).listen(t), trusted))
}
