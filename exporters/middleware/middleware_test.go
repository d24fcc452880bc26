package middleware_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/exporters/middleware"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/internal/strictyaml"
	"watchkeeper/ruleset/contract"
)

const configuration = `
nginx: [{name: web-1, url: "http://127.0.0.1/nginx_status", pid_file: /run/nginx.pid}]
apache: [{name: web-1, url: "https://10.0.0.2/server-status", username: mon, password_file: secrets/apache, ca_file: ca.pem, interval: 30s}]
phpfpm:
- {name: www, fastcgi: "unix:/run/php/php8.2-fpm.sock", path: /fpm-status}
- {name: api, url: "http://127.0.0.1/fpm-status"}
redis: [{name: cache, address: "10.0.0.3:6379", password_env: REDIS_PASSWORD, big_keys: {keys_per_check: 100}}]
mongodb: [{name: shop-1, address: "10.0.0.16:27017", username: watchkeeper, password_file: secrets/mongodb, auth_source: admin, tls: true, databases: 20, long_after: 1m}]
mysql: [{name: db-1, address: "10.0.0.4:3306", username: watchkeeper, password_file: secrets/mysql, tls: true}]
memcached: [{name: sessions, address: "10.0.0.5:11211"}]
postgresql: [{name: db-2, address: "10.0.0.14:5432", username: watchkeeper, password_file: secrets/postgresql, tls: true, databases: 20, long_after: 1m}]
sqlserver: [{name: erp, address: "10.0.0.15:1433", username: watchkeeper, password_file: secrets/sqlserver, tls: true, databases: 20, jobs: 20, long_after: 1m}]
zookeeper: [{name: zk-1, address: "10.0.0.6:2181"}]
rabbitmq: [{name: mq, url: "http://10.0.0.7:15672", username: monitor, password_file: secrets/mq, queues: 50}]
docker: [{name: host-1}]
elasticsearch: [{name: logs, url: "http://10.0.0.9:9200"}]
kafka:
- {name: kafka-1, url: "http://10.0.0.11:8778/jolokia"}
- {name: orders, brokers: ["10.0.0.11:9093", "10.0.0.12:9093"], tls: true, sasl: scram-sha-512, username: watchkeeper, password_file: secrets/kafka, groups: "orders-.*"}
kubernetes:
- {name: prod, url: "https://10.0.0.20:6443", token_file: secrets/kubernetes, insecure_skip_verify: true, namespaces: [shop]}
- {name: test, state_metrics_url: "http://10.0.0.21:8080/metrics"}
java: [{name: billing, url: "http://10.0.0.9:8778/jolokia", attributes: [{mbean: "a:type=b", attribute: c, metric: java_app_c}]}]
tomcat: [{name: shop, url: "http://10.0.0.8:8080/manager", username: mon, password_file: secrets/tomcat}]
`

func decode(t *testing.T, text string) (middleware.Config, error) {
	t.Helper()
	cfg := middleware.DefaultConfig()
	doc, err := strictyaml.Decode("middleware.yml", []byte(text), &cfg)
	if err != nil {
		return cfg, err
	}
	if err := cfg.Validate(); err != nil {
		return cfg, doc.At(err)
	}
	return cfg, nil
}

func TestJobs(t *testing.T) {
	cfg, err := decode(t, configuration)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cfg.ResolvePaths(func(p string) string {
		if p == "" || filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(dir, p)
	})
	if _, err := middleware.Jobs("acme", cfg, metrics.NewSet(), servertest.Log); err == nil || !strings.HasPrefix(err.Error(), "apache[0]: ") {
		t.Errorf("error %v, want one about the certificate that is not there", err)
	}
	cfg.Apache[0].CAFile = ""
	jobs, err := middleware.Jobs("acme", cfg, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, j := range jobs {
		got = append(got, j.Kind+" "+j.Collector.Source().Name+" "+j.Interval.String())
		if j.Revision == "" || strings.Contains(j.Revision, "secrets") {
			t.Errorf("%s: revision %q", j.Collector.Source().Name, j.Revision)
		}
	}
	slices.Sort(got)
	want := []string{
		"apache apache/web-1 30s", "docker docker/host-1 1m0s", "elasticsearch elasticsearch/logs 1m0s", "java java/billing 1m0s", "kafka kafka/kafka-1 1m0s", "kafka kafka/orders 1m0s",
		"kubernetes kubernetes/prod 1m0s", "kubernetes kubernetes/test 1m0s", "memcached memcached/sessions 1m0s", "mongodb mongodb/shop-1 1m0s", "mysql mysql/db-1 1m0s", "nginx nginx/web-1 1m0s",
		"phpfpm phpfpm/api 1m0s", "phpfpm phpfpm/www 1m0s", "postgresql postgresql/db-2 1m0s", "rabbitmq rabbitmq/mq 1m0s", "redis redis/cache 1m0s",
		"sqlserver sqlserver/erp 1m0s", "tomcat tomcat/shop 1m0s", "zookeeper zookeeper/zk-1 1m0s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	if got := cfg.MySQL[0].PasswordFile; got != filepath.Join(dir, "secrets/mysql") {
		t.Errorf("password file %s", got)
	}
}

// IIS is read where it runs: elsewhere the configuration is right and cannot be used.
func TestIIS(t *testing.T) {
	cfg, err := decode(t, "iis: [{name: web-1, services: [W3SVC, WAS]}]")
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := middleware.Jobs("acme", cfg, metrics.NewSet(), servertest.Log)
	if runtime.GOOS == "windows" {
		if err != nil || len(jobs) != 1 {
			t.Errorf("%d jobs, error %v", len(jobs), err)
		}
		return
	}
	if err == nil || err.Error() != "iis[0]: iis is read on the Windows host itself; this is "+runtime.GOOS {
		t.Errorf("error %v", err)
	}
}

func TestRevisionFollowsTheConfiguration(t *testing.T) {
	revisions := func(text string) []string {
		cfg, err := decode(t, text)
		if err != nil {
			t.Fatal(err)
		}
		jobs, err := middleware.Jobs("acme", cfg, metrics.NewSet(), servertest.Log)
		if err != nil {
			t.Fatal(err)
		}
		return []string{jobs[0].Revision, jobs[1].Revision}
	}
	before := revisions("memcached: [{name: a, address: 'h:1'}, {name: b, address: 'h:2'}]")
	if diff := cmp.Diff(before, revisions("memcached: [{name: a, address: 'h:1'}, {name: b, address: 'h:2'}]")); diff != "" {
		t.Errorf("the same configuration has another revision:\n%s", diff)
	}
	after := revisions("memcached: [{name: a, address: 'h:1'}, {name: b, address: 'h:3'}]")
	if after[0] != before[0] || after[1] == before[1] {
		t.Errorf("revisions %v, then %v", before, after)
	}
}

func TestMistakes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := decode(t, text)
		if err == nil || err.Error() != "middleware.yml:1: "+want {
			t.Errorf("%s\n got %v\nwant %s", text, err, want)
		}
	}
	f("nginx: [{url: 'http://h/'}]", "nginx[0].name: must not be empty")
	f("nginx: [{name: a, url: 'http://mon:pw@h/'}]", "nginx[0].url: holds credentials; give username and password_file or password_env instead")
	f("nginx: [{name: a, url: 'ftp://h/'}]", `nginx[0].url: "ftp://h/": want http://host/… or https://host/…`)
	f("nginx: [{name: a, url: 'http://h/', timeout: 50s}]", "nginx[0].timeout: 50s is not between 0s and 30s, the most with interval 1m")
	f("nginx: [{name: a, url: 'http://h/', interval: 1ms}]", "nginx[0].interval: 1ms is shorter than 1s")
	f("nginx: [{name: a, url: 'http://h/', cert_file: x}]", "nginx[0].key_file: cert_file and key_file go together")
	f("nginx: [{name: a, url: 'http://h/'}, {name: a, url: 'http://h/'}]", `nginx[1].name: "a" is nginx[0] already`)
	f("apache: [{name: a, url: 'http://h/', cores: 2, pid_file: /x}]", "apache[0].cores: is set beside pid_file, by which the processes of this host are read; give one of them")
	f("java: [{name: a, url: 'http://h/', attributes: [{mbean: 'a:*', attribute: b, metric: java_app_c}]}]", `java[0].attributes[0].mbean: "a:*" is not an object name without wildcards`)
	f("java: [{name: a, url: 'http://h/', attributes: [{mbean: 'a:b=c', attribute: b, metric: other}]}]", `java[0].attributes[0].metric: "other": want java_app_ and lower-case letters, digits and _`)
	f("docker: [{name: a, socket: /x, url: 'http://h/'}]", "docker[0].socket: is set beside url; give one of them")
	f("docker: [{name: a, socket: x}]", `docker[0].socket: "x" must begin with /`)
	f("phpfpm: [{name: a}]", "phpfpm[0].url: exactly one of url and fastcgi must be set")
	f("phpfpm: [{name: a, fastcgi: 'h:9000', path: status}]", `phpfpm[0].path: "status" must begin with /`)
	f("redis: [{name: a, address: h}]", `redis[0].address: "h": want host:port or unix:/path`)
	f("redis: [{name: a, address: 'h:1', password_env: A, password_file: b}]", "redis[0].password_env: is set beside password_file; give one of them")
	f("redis: [{name: a, address: 'h:1', big_keys: {keys_per_check: 20000}}]", "redis[0].big_keys.keys_per_check: 20000 is not between -1 and 10000")
	f("mongodb: [{name: a, address: 'h:1', password_env: P}]", "mongodb[0].username: must not be empty beside a password")
	f("mongodb: [{name: a, address: 'h:1', databases: 151}]", "mongodb[0].databases: 151 is not between -1 and 150")
	f("mysql: [{name: a, address: 'h:1'}]", "mysql[0].username: must not be empty")
	f("postgresql: [{name: a, address: 'h:1', username: u, databases: 151}]", "postgresql[0].databases: 151 is not between -1 and 150")
	f("sqlserver: [{name: a, address: 'unix:/x', username: u}]", `sqlserver[0].address: "unix:/x": want host:port`)
	f("sqlserver: [{name: a, address: 'h:1433', username: 'CORP\\u'}]", `sqlserver[0].username: "CORP\\u": want a login of SQL Server's own, not of a Windows domain`)
	f("sqlserver: [{name: a, address: 'h:1433', username: u, jobs: 201}]", "sqlserver[0].jobs: 201 is not between -1 and 200")
	f("memcached: [{name: a, address: 'unix:x'}]", `memcached[0].address: "unix:x": the socket's path must begin with /`)
	f("kafka: [{name: a}]", "kafka[0].url: exactly one of url and brokers must be set")
	f("kafka: [{name: a, brokers: ['h:9092', h]}]", `kafka[0].brokers[1]: "h": want host:port or unix:/path`)
	f("kafka: [{name: a, brokers: ['h:9092'], sasl: plain}]", "kafka[0].sasl: plain needs username, and password_file or password_env")
	f("kubernetes: [{name: a, url: 'https://h/', token_file: a, token_env: b}]", "kubernetes[0].token_env: is set beside token_file; give one of them")
	f("kubernetes: [{name: a, url: 'https://h/', namespaces: [A]}]", `kubernetes[0].namespaces[0]: "A" is not a namespace's name`)
	f("iis: [{name: a, services: [W3SVC, w3svc]}]", `iis[0].services[1]: "w3svc" is there twice`)
	f("rabbitmq: [{name: a, url: 'http://h/', queues: 501}]", "rabbitmq[0].queues: 501 is not between -1 and 500")
}

// onTheSpot are the contract's metrics that only a server on this host yields;
// the tests against real servers look for them.
var onTheSpot = []string{contract.NginxUptimeSeconds, contract.ApacheCPUUsedPercent}

// notRecorded are metrics that the recorded answers lack: the JVM of the
// recordings knows no maximum of its non-heap memory, and Nginx's counters did not
// fall between two of them.
var notRecorded = []string{contract.TomcatNonHeapMaxBytes, contract.NginxRestartSeenAgeSeconds}

// The rules find the series by the names and labels that the contract package
// declares. What each product delivers stands in its golden files.
func TestMetricsAreTheContracts(t *testing.T) {
	delivered := make(map[string]bool)
	products := make(map[string]bool)
	for _, file := range goldenFiles(t) {
		products["middleware/"+filepath.Base(filepath.Dir(filepath.Dir(file)))] = true
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			ls, err := parser.NewParser(parser.Options{}).ParseMetric(line[:strings.LastIndexByte(line, ' ')])
			if err != nil {
				t.Fatalf("%s: %q: %v", file, line, err)
			}
			name := ls.Get("__name__")
			delivered[name] = true
			declared, ok := contract.LookupMetric(name)
			if !ok {
				continue // more than the contract's rows need
			}
			for l := range ls.Map() {
				if !slices.Contains(slices.Concat([]string{"__name__"}, contract.IdentityLabels, declared.Labels, declared.Info), l) {
					t.Errorf("%s: %s: label %q is not declared", file, name, l)
				}
			}
			if want := "middleware/" + filepath.Base(filepath.Dir(filepath.Dir(file))); declared.Source != want {
				t.Errorf("%s: %s is declared as one of %s", file, name, declared.Source)
			}
		}
	}
	for _, m := range contract.Metrics() {
		if products[m.Source] && !delivered[m.Name] && !slices.Contains(onTheSpot, m.Name) && !slices.Contains(notRecorded, m.Name) {
			t.Errorf("%s is declared and not delivered", m.Name)
		}
	}
}

func goldenFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*/testdata/*.golden")
	if err != nil || len(files) < 9 {
		t.Fatalf("golden files %v, error %v", files, err)
	}
	return files
}
