//go:build services

package middleware

import (
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/java"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
	"watchkeeper/exporters/process"
	"watchkeeper/internal/services/ports"
)

const jolokiaJars = "/usr/share/java/jolokia-core.jar:/usr/share/java/json-simple.jar"

func compile(t testing.TB, dir string, files ...string) {
	t.Helper()
	client(t, nil, "javac", append([]string{"-cp", jolokiaJars, "-d", dir}, files...)...)
}

// startTarget starts a JVM with one of the compiled classes.
func startTarget(t testing.TB, dir, class, port string, more ...string) *daemon {
	t.Helper()
	args := append(append(append([]string{}, smallJVM...), "-Xmx48m"), more...)
	return start(t, nil, "java", append(args, "-cp", dir+":"+jolokiaJars, class, port)...)
}

// A real JVM read through Jolokia's real engine, without its agent: Debian has
// the engine only.
func TestJava(t *testing.T) {
	t.Parallel()
	dir, port := folder(t), ports.Free(t)
	compile(t, dir, "testdata/Target.java")
	begin := func(more ...string) *daemon { return startTarget(t, dir, "Target", port, more...) }
	url := "http://127.0.0.1:" + port
	cfg := java.Config{Settings: server.Settings{Name: "target"}, HTTP: server.HTTP{URL: url + "/jolokia"}, Attributes: []java.Attribute{
		{MBean: "java.lang:type=MemoryPool,name=Metaspace", Attribute: "Usage", Path: "used", Metric: "java_app_metaspace_used_bytes"}}}
	c := must(java.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
	d := begin()
	answers(t, d, c)

	v := values(t, c)
	read := func(bean, attribute, path string) float64 {
		out := client(t, nil, "curl", "-sfm", "20", "-d", `{"type":"read","mbean":"`+bean+`","attribute":"`+attribute+`","path":"`+path+`"}`, url+"/jolokia")
		_, out, _ = strings.Cut(out, `"value":`)
		out, _, _ = strings.Cut(out, ",")
		return number(t, out)
	}
	near(t, v, "java_heap_max_bytes", read("java.lang:type=Memory", "HeapMemoryUsage", "max"), 0)
	near(t, v, "java_heap_used_bytes", read("java.lang:type=Memory", "HeapMemoryUsage", "used"), 32<<20)
	near(t, v, "java_nonheap_used_bytes", read("java.lang:type=Memory", "NonHeapMemoryUsage", "used"), 4<<20)
	near(t, v, "java_uptime_seconds", read("java.lang:type=Runtime", "Uptime", "")/1000, 20)
	near(t, v, "java_classes_loaded", read("java.lang:type=ClassLoading", "LoadedClassCount", ""), 200)
	near(t, v, "java_app_metaspace_used_bytes", read("java.lang:type=MemoryPool,name=Metaspace", "Usage", "used"), 2<<20)
	if _, ok := v["java_nonheap_max_bytes"]; ok {
		t.Error("a maximum of the non-heap memory is delivered; this JVM reports -1")
	}

	j := newJudge(t)
	j.at = now().Add(-time.Minute)
	j.check(t, c)
	j.want(t, "just started", "java-restarted", "!java-heap", "!java-nonheap")
	j.until(t, c, "heap filled", func() { get(t, url+"/fill") }, "java-heap")
	get(t, url+"/burn")
	eventually(t, patience, "every core in use", func() error { return busy(values(t, c)["java_cpu_used_percent"]) })
	d.kill()
	fails(t, c, server.ReasonConnect)
	// The other memory with limits that are nearly used up.
	d = begin("-XX:MaxMetaspaceSize=13m", "-XX:CompressedClassSpaceSize=1m", "-XX:ReservedCodeCacheSize=4m")
	answers(t, d, c)
	v = j.check(t, c)
	near(t, v, "java_nonheap_max_bytes", read("java.lang:type=Memory", "NonHeapMemoryUsage", "max"), 0)
	j.want(t, "started again", "java-restarted")
}

// A declared process that is killed, and started again.
func TestProcess(t *testing.T) {
	t.Parallel()
	port := ports.Free(t)
	cfg := process.DefaultConfig()
	cfg.Processes = []process.Target{{Name: "cache", Command: "memcached", CommandLine: "-p " + port + " "}}
	c := must(process.New("acme", cfg, metrics.NewSet(), servertest.Log))(t)
	j := newJudge(t)
	j.check(t, c)
	j.want(t, "not started", "process-down")
	d := startMemcached(t, port)
	eventually(t, patience, "the process", func() error {
		if values(t, c)[`process_state{process="cache"}`] != 1 {
			return errNotYet
		}
		return nil
	})
	j.check(t, c)
	j.want(t, "runs", "!process-down")
	d.kill()
	j.check(t, c)
	j.want(t, "killed", "process-down")
	startMemcached(t, port)
	eventually(t, patience, "the process", func() error {
		if values(t, c)[`process_state{process="cache"}`] != 1 {
			return errNotYet
		}
		return nil
	})
	if v := j.check(t, c); v[`process_restarts_total{process="cache"}`] != 1 {
		t.Errorf("%v restarts, want 1", v[`process_restarts_total{process="cache"}`])
	}
	j.want(t, "runs again", "!process-down")
}
