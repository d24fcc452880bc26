//go:build services

package middleware

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/exporters/middleware/tomcat"
	"watchkeeper/exporters/middleware/zookeeper"
	"watchkeeper/internal/services/ports"
)

// smallJVM keeps the servers' JVMs small and quick to start.
var smallJVM = []string{"-Xms16m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"}

const zooCfg = `
tickTime=500
initLimit=40
syncLimit=20
dataDir=DIR/data
clientPort=PORT
clientPortAddress=127.0.0.1
4lw.commands.whitelist=mntr,ruok
admin.enableServer=false
`

func startZooKeeper(t testing.TB, dir, port, more string) *daemon {
	t.Helper()
	conf := write(t, filepath.Join(dir, "zoo.cfg"), zooCfg+more, "DIR", dir, "PORT", port)
	return start(t, nil, "java", zooArgs(conf)...)
}

func zooArgs(conf string, more ...string) []string {
	args := append(append([]string{}, smallJVM...), "-Xmx64m", "-cp", "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
	return append(append(args, more...), "org.apache.zookeeper.server.quorum.QuorumPeerMain", conf)
}

// startLimitedZooKeeper starts one that may open 80 files.
func startLimitedZooKeeper(t testing.TB, dir, port string) *daemon {
	t.Helper()
	conf := write(t, filepath.Join(dir, "zoo.cfg"), zooCfg, "DIR", dir, "PORT", port)
	return start(t, nil, "bash", append([]string{"-c", `ulimit -n 80; exec java "$@"`, "-"}, zooArgs(conf, "-XX:-MaxFDLimit", "-Dzookeeper.nio.sessionlessCnxnTimeout=600000")...)...)
}

// holdFiles returns what opens ever more connections, one each time it is called,
// until nine in ten files of a server are open: its own come and go, and must not
// take it below the limit of the rule again before that is judged. They are
// closed with the test.
func holdFiles(t testing.TB, port string) func() error {
	return func() error {
		fields := mntr(t, port)
		used, limit := number(t, fields["zk_open_file_descriptor_count"]), number(t, fields["zk_max_file_descriptor_count"])
		if 100*used >= 90*limit {
			return nil
		}
		c := dial(t, port)
		t.Cleanup(func() { c.Close() })
		return fmt.Errorf("%v of %v", used, limit)
	}
}

func zooCollector(t testing.TB, port string) *server.Collector {
	t.Helper()
	cfg := zookeeper.Config{Settings: server.Settings{Name: "zk-" + port}, Address: "127.0.0.1:" + port}
	return must(zookeeper.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
}

// mntr asks over a connection of bash's own.
func mntr(t testing.TB, port string) map[string]string {
	t.Helper()
	fields := make(map[string]string)
	out := client(t, nil, "bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/$1; printf mntr >&3; timeout 5 cat <&3`, "-", port)
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "\t")
		fields[name] = value
	}
	return fields
}

func TestZooKeeper(t *testing.T) {
	t.Parallel()
	dir, port := folder(t, "data"), ports.Free(t)
	c := zooCollector(t, port)
	d := startZooKeeper(t, dir, port, "")
	answers(t, d, c)
	fields := mntr(t, port)
	v := values(t, c)
	for series, f := range map[string]struct {
		field     string
		divisor   float64
		tolerance float64
	}{
		"zookeeper_data_bytes": {"zk_approximate_data_size", 1, 0}, "zookeeper_latency_average_seconds": {"zk_avg_latency", 1000, 0.5},
		"zookeeper_latency_max_seconds": {"zk_max_latency", 1000, 0.5}, "zookeeper_latency_min_seconds": {"zk_min_latency", 1000, 0.5},
		"zookeeper_ephemerals": {"zk_ephemerals_count", 1, 0}, "zookeeper_max_file_descriptors": {"zk_max_file_descriptor_count", 1, 0},
		"zookeeper_open_file_descriptors": {"zk_open_file_descriptor_count", 1, 3}, "zookeeper_connections": {"zk_num_alive_connections", 1, 1},
		"zookeeper_outstanding_requests": {"zk_outstanding_requests", 1, 0}, "zookeeper_packets_received_total": {"zk_packets_received", 1, 3},
		"zookeeper_packets_sent_total": {"zk_packets_sent", 1, 3}, "zookeeper_watches": {"zk_watch_count", 1, 0}, "zookeeper_znodes": {"zk_znode_count", 1, 0},
		"zookeeper_uptime_seconds": {"zk_uptime", 1000, 10},
	} {
		near(t, v, series, number(t, fields[f.field])/f.divisor, f.tolerance)
	}
	j := newJudge(t)
	j.check(t, c)
	j.want(t, "healthy", "!zookeeper-latency", "!zookeeper-outstanding", "!zookeeper-fds")

	// With a low limit of file descriptors the open ones are most of it.
	d.kill()
	fails(t, c, server.ReasonConnect)
	limited := startLimitedZooKeeper(t, dir, port)
	answers(t, limited, c)
	eventually(t, patience, "open file descriptors", holdFiles(t, port))
	j.check(t, c)
	j.want(t, "most file descriptors open", "zookeeper-fds")
}

// A leader knows its followers; one that has lost them serves nobody.
func TestZooKeeperEnsemble(t *testing.T) {
	t.Parallel()
	var servers string
	for i := 1; i <= 3; i++ {
		servers += fmt.Sprintf("server.%d=127.0.0.1:%s:%s\n", i, ports.Free(t), ports.Free(t))
	}
	var members []*daemon
	var collectors []*server.Collector
	for i := 1; i <= 3; i++ {
		dir, port := folder(t, "data"), ports.Free(t)
		write(t, filepath.Join(dir, "data", "myid"), fmt.Sprint(i))
		members = append(members, startZooKeeper(t, dir, port, servers))
		collectors = append(collectors, zooCollector(t, port))
	}
	leader := -1
	for i, c := range collectors {
		answers(t, members[i], c)
		if _, ok := values(t, c)["zookeeper_followers"]; ok {
			leader = i
		}
	}
	if leader < 0 {
		t.Fatal("nobody leads")
	}
	eventually(t, patience, "followers in step", func() error {
		if v := values(t, collectors[leader]); v["zookeeper_followers_synced"] != 2 || v["zookeeper_followers"] != 2 {
			return fmt.Errorf("%v of %v", v["zookeeper_followers_synced"], v["zookeeper_followers"])
		}
		return nil
	})
	for i, d := range members {
		if i != leader {
			d.kill()
		}
	}
	eventually(t, patience, "the leader to give up", func() error {
		if err := collectors[leader].Collect(t.Context(), now(), new(servertest.Sink)); err == nil {
			return errNotYet
		}
		return nil
	})
	fails(t, collectors[leader], server.ReasonStatus)
}

const tomcatXML = `
<Server port="-1" shutdown="SHUTDOWN">
  <GlobalNamingResources>
    <Resource name="UserDatabase" auth="Container" type="org.apache.catalina.UserDatabase"
      factory="org.apache.catalina.users.MemoryUserDatabaseFactory" pathname="conf/tomcat-users.xml"/>
  </GlobalNamingResources>
  <Service name="Catalina">
    <Connector port="PORT" address="127.0.0.1" protocol="HTTP/1.1" maxThreads="20"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Realm className="org.apache.catalina.realm.UserDatabaseRealm" resourceName="UserDatabase"/>
      <Host name="localhost" appBase="webapps" unpackWARs="false" autoDeploy="false"/>
    </Engine>
  </Service>
</Server>
`

// fillJSP fills the heap or the classes' memory, the latter for two seconds each
// time, uses every core, or stops that and releases the heap.
const fillJSP = `<%! static java.util.List<byte[]> kept = new java.util.ArrayList<>();
static java.util.List<Object> loaders = new java.util.ArrayList<>();
static volatile boolean burning; %><%
if ("fill".equals(request.getQueryString())) {
  Runtime r = Runtime.getRuntime();
  for (int i = 0; i < 200 && r.totalMemory() - r.freeMemory() < r.maxMemory() * 88 / 100; i++) kept.add(new byte[1 << 19]);
} else if ("burn".equals(request.getQueryString())) {
  burning = true;
  for (int i = 0; i < 4 * Runtime.getRuntime().availableProcessors(); i++) new Thread(() -> { double x = 0; while (burning) x += Math.sqrt(x + 1); }).start();
} else if ("classes".equals(request.getQueryString())) {
  var memory = java.lang.management.ManagementFactory.getMemoryMXBean();
  for (long end = System.nanoTime() + 2_000_000_000L; System.nanoTime() < end && memory.getNonHeapMemoryUsage().getUsed() < memory.getNonHeapMemoryUsage().getMax() * 88 / 100;)
    loaders.add(java.lang.reflect.Proxy.newProxyInstance(new java.net.URLClassLoader(new java.net.URL[0], java.sql.ResultSet.class.getClassLoader()),
      new Class<?>[]{java.sql.ResultSet.class}, (proxy, method, arguments) -> null).getClass());
} else { kept.clear(); burning = false; }
%>`

type tomcatServer struct {
	dir, port string
	env       []string
}

func newTomcat(t testing.TB) tomcatServer {
	t.Helper()
	dir := folder(t, "conf/Catalina/localhost", "logs", "temp", "work", "webapps/ROOT")
	s := tomcatServer{dir: dir, port: ports.Free(t)}
	web, err := os.ReadFile("/etc/tomcat10/web.xml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "conf/web.xml"), string(web))
	write(t, filepath.Join(dir, "conf/server.xml"), tomcatXML, "PORT", s.port)
	write(t, filepath.Join(dir, "conf/tomcat-users.xml"), `<tomcat-users><user username="mon" password="wk-tomcat-pass" roles="manager-jmx"/></tomcat-users>`)
	write(t, filepath.Join(dir, "conf/Catalina/localhost/manager.xml"), `<Context docBase="/usr/share/tomcat10-admin/manager" privileged="true"/>`)
	write(t, filepath.Join(dir, "webapps/ROOT/index.html"), "hello")
	write(t, filepath.Join(dir, "webapps/ROOT/fill.jsp"), fillJSP)
	java, err := filepath.EvalSymlinks("/usr/bin/java")
	if err != nil {
		t.Fatal(err)
	}
	s.env = []string{"CATALINA_HOME=/usr/share/tomcat10", "CATALINA_BASE=" + dir, "CATALINA_TMPDIR=" + filepath.Join(dir, "temp"),
		"JAVA_HOME=" + filepath.Dir(filepath.Dir(java)),
		"CATALINA_OPTS=" + strings.Join(smallJVM, " ") + " -Xmx96m -Djava.security.egd=file:/dev/./urandom"}
	return s
}

func (s tomcatServer) start(t testing.TB) *daemon {
	return start(t, s.env, "sh", "/usr/share/tomcat10/bin/catalina.sh", "run")
}

func (s tomcatServer) url(path string) string { return "http://127.0.0.1:" + s.port + path }

func (s tomcatServer) collector(t testing.TB, password string) *server.Collector {
	t.Helper()
	cfg := tomcat.Config{Settings: server.Settings{Name: "app"}, HTTP: server.HTTP{URL: s.url("/manager"),
		Credentials: server.Credentials{Username: "mon", PasswordFile: servertest.PasswordFile(t, password)}}}
	return must(tomcat.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
}

// attribute asks the proxy for one value, as a person would.
func (s tomcatServer) attribute(t testing.TB, bean, attribute, key string) float64 {
	t.Helper()
	query := url.Values{"get": {bean}, "att": {attribute}}
	if key != "" {
		query.Set("key", key)
	}
	out := client(t, nil, "curl", "-sfm", "10", "-u", "mon:wk-tomcat-pass", s.url("/manager/jmxproxy/?"+query.Encode()))
	_, value, _ := strings.Cut(strings.TrimSpace(out), " = ")
	return number(t, regexp.MustCompile(`\S+$`).FindString(value))
}

func TestTomcat(t *testing.T) {
	t.Parallel()
	s := newTomcat(t)
	c := s.collector(t, "wk-tomcat-pass")
	d := s.start(t)
	answers(t, d, c)
	get(t, s.url("/"))
	get(t, s.url("/"))
	connector := `{connector="http-nio-127.0.0.1-` + s.port + `"}`
	v := values(t, c)
	pool, processor := `Catalina:type=ThreadPool,name="http-nio-127.0.0.1-`+s.port+`"`, `Catalina:type=GlobalRequestProcessor,name="http-nio-127.0.0.1-`+s.port+`"`
	near(t, v, "tomcat_threads_max"+connector, s.attribute(t, pool, "maxThreads", ""), 0)
	near(t, v, "tomcat_threads"+connector, s.attribute(t, pool, "currentThreadCount", ""), 3)
	near(t, v, "tomcat_threads_busy"+connector, s.attribute(t, pool, "currentThreadsBusy", ""), 2)
	near(t, v, "tomcat_requests_total"+connector, s.attribute(t, processor, "requestCount", ""), 20)
	near(t, v, "tomcat_errors_total"+connector, s.attribute(t, processor, "errorCount", ""), 1)
	near(t, v, "tomcat_sent_bytes_total"+connector, s.attribute(t, processor, "bytesSent", ""), 200_000)
	near(t, v, "tomcat_received_bytes_total"+connector, s.attribute(t, processor, "bytesReceived", ""), 10)
	near(t, v, "tomcat_processing_seconds_total"+connector, s.attribute(t, processor, "processingTime", "")/1000, 10)
	near(t, v, "tomcat_heap_max_bytes", s.attribute(t, "java.lang:type=Memory", "HeapMemoryUsage", "max"), 0)
	near(t, v, "tomcat_heap_used_bytes", s.attribute(t, "java.lang:type=Memory", "HeapMemoryUsage", "used"), 64<<20)
	near(t, v, "tomcat_nonheap_used_bytes", s.attribute(t, "java.lang:type=Memory", "NonHeapMemoryUsage", "used"), 16<<20)
	near(t, v, "tomcat_uptime_seconds", s.attribute(t, "java.lang:type=Runtime", "Uptime", "")/1000, 30)
	near(t, v, "tomcat_system_load1", s.attribute(t, "java.lang:type=OperatingSystem", "SystemLoadAverage", ""), 100)
	near(t, v, `tomcat_resource_cache_lookups_total{context="/",host="localhost"}`,
		s.attribute(t, "Catalina:type=WebResourceRoot,host=localhost,context=/,name=Cache", "lookupCount", ""), 10)
	if _, ok := v["tomcat_nonheap_max_bytes"]; ok {
		t.Error("a maximum of the non-heap memory is delivered; this JVM reports -1")
	}

	j := newJudge(t)
	j.at = now().Add(-time.Minute)
	j.check(t, c)
	j.want(t, "just started", "tomcat-restarted", "!tomcat-heap", "!tomcat-nonheap")
	j.until(t, c, "heap filled", func() { get(t, s.url("/fill.jsp?fill")) }, "tomcat-heap")
	get(t, s.url("/fill.jsp"))
	get(t, s.url("/fill.jsp?burn"))
	eventually(t, patience, "every core in use", func() error { return busy(values(t, c)["tomcat_cpu_used_percent"]) })

	d.kill()
	fails(t, c, server.ReasonConnect)
	s.env[len(s.env)-1] += " " + strings.Join(nonHeapLimits(96, 5), " ")
	d = s.start(t)
	answers(t, d, c)
	j.check(t, c)
	fails(t, s.collector(t, "s3cr3t/pass+word"), server.ReasonAuth)
	j.want(t, "started again with a limit of non-heap memory", "tomcat-restarted", "!tomcat-nonheap")
	j.until(t, c, "classes loaded", func() { get(t, s.url("/fill.jsp?classes")) }, "tomcat-nonheap")
}

// busy is nil once a share of CPU is one of a server that is working hard on a
// machine that may have other work. A JVM's share is of the time since it was
// last asked: the next one is a moment later.
func busy(percent float64) error {
	if percent < 10 || percent > 100 {
		time.Sleep(2 * time.Second)
		return fmt.Errorf("%v %%", percent)
	}
	return nil
}
