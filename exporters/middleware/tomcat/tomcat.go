// Package tomcat reads a Tomcat server by the JMX proxy of its manager
// application: the connectors, the resource caches and the JVM.
package tomcat

import (
	"context"
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "tomcat", Label: "tomcat"}

type reader struct{ client *server.Client }

// New returns the collector of one server.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := server.NewClient(cfg.HTTP)
	if err != nil {
		return nil, err
	}
	return server.New(customer, product, cfg.Settings, reader{client}, client.Secrets(), set, log), nil
}

// area is a query for beans and what their attributes become.
type area struct {
	name, query string
	required    bool
	add         func(bean, *server.Reading)
}

var areas = []area{
	{"memory", "java.lang:type=Memory", true, addMemory},
	{"runtime", "java.lang:type=Runtime", true, addRuntime},
	{"system", "java.lang:type=OperatingSystem", true, addSystem},
	{"requests", "Catalina:type=GlobalRequestProcessor,*", false, addRequests},
	{"threads", "Catalina:type=ThreadPool,name=*", false, addThreads},
	// Tomcat 8 and later; Tomcat 7 has type=Cache.
	{"cache", "Catalina:type=WebResourceRoot,name=Cache,*", false, addCache},
	{"cache", "Catalina:type=Cache,*", false, addCache},
	{"sessions", "Catalina:type=Manager,*", false, addSessions},
	{"gc", "java.lang:type=GarbageCollector,*", false, addCollector},
}

// Read implements server.Reader.
func (r reader) Read(ctx context.Context, out *server.Reading) error {
	defer r.client.Close()
	info, err := r.beans(ctx, "Catalina:type=Server")
	if err != nil {
		return err
	}
	for _, a := range areas {
		beans, err := r.beans(ctx, a.query)
		switch {
		case err != nil && (a.required || ctx.Err() != nil):
			return err
		case err != nil:
			out.Miss(a.name, err)
			continue
		case len(beans) == 0 && a.required:
			return server.Failed(server.ReasonFormat, "no bean %s", a.query)
		}
		for _, b := range beans {
			if a.name == "runtime" {
				addInfo(info, b, out)
			}
			a.add(b, out)
		}
	}
	return nil
}

func (r reader) beans(ctx context.Context, query string) ([]bean, error) {
	text, err := r.client.Get(ctx, "jmxproxy/", url.Values{"qry": {query}})
	if err != nil {
		return nil, err
	}
	return parse(string(text))
}

func addInfo(servers []bean, runtime bean, out *server.Reading) {
	var info string
	if len(servers) > 0 {
		info = servers[0].text["serverInfo"]
	}
	out.Add(metricInfo, 1, "server_info", info, "spec_version", runtime.text["SpecVersion"])
}

func addMemory(b bean, out *server.Reading) {
	heap, nonHeap := composite(b.text["HeapMemoryUsage"]), composite(b.text["NonHeapMemoryUsage"])
	add := func(metric string, usage map[string]string, key string) {
		// -1: the JVM knows no maximum.
		if v, err := strconv.ParseFloat(usage[key], 64); err == nil && v >= 0 {
			out.Add(metric, v)
		}
	}
	add(metricHeapUsedBytes, heap, "used")
	add(metricHeapCommittedBytes, heap, "committed")
	add(metricHeapMaxBytes, heap, "max")
	add(metricNonHeapUsedBytes, nonHeap, "used")
	add(metricNonHeapMaxBytes, nonHeap, "max")
}

func addRuntime(b bean, out *server.Reading) { b.add(out, metricUptimeSeconds, "Uptime", 1000) }

// addSystem leaves out negative loads: the JVM does not know them yet.
func addSystem(b bean, out *server.Reading) {
	for _, f := range []struct {
		metric, attribute string
		factor            float64
	}{
		{metricCPUUsedPercent, "ProcessCpuLoad", 100},
		{metricSystemCPUUsedPercent, "SystemCpuLoad", 100},
		{metricSystemLoad1, "SystemLoadAverage", 1},
	} {
		if v, err := strconv.ParseFloat(b.text[f.attribute], 64); err == nil && v >= 0 {
			out.Add(f.metric, v*f.factor)
		}
	}
}

func addRequests(b bean, out *server.Reading) {
	dims := []string{"connector", b.key("name")}
	b.add(out, metricRequestsTotal, "requestCount", 1, dims...)
	b.add(out, metricErrorsTotal, "errorCount", 1, dims...)
	b.add(out, metricProcessingSecondsTotal, "processingTime", 1000, dims...)
	b.add(out, metricSentBytesTotal, "bytesSent", 1, dims...)
	b.add(out, metricReceivedBytesTotal, "bytesReceived", 1, dims...)
}

func addThreads(b bean, out *server.Reading) {
	dims := []string{"connector", b.key("name")}
	b.add(out, metricThreadsMax, "maxThreads", 1, dims...)
	b.add(out, metricThreads, "currentThreadCount", 1, dims...)
	b.add(out, metricThreadsBusy, "currentThreadsBusy", 1, dims...)
}

func addCache(b bean, out *server.Reading) {
	dims := contextOf(b)
	b.add(out, metricResourceCacheHitsTotal, "hitCount", 1, dims...)
	b.add(out, metricResourceCacheLookupsTotal, "lookupCount", 1, dims...)
	b.add(out, metricResourceCacheHitsTotal, "hitsCount", 1, dims...) // Tomcat 7
	b.add(out, metricResourceCacheLookupsTotal, "accessCount", 1, dims...)
}

func addSessions(b bean, out *server.Reading) {
	dims := contextOf(b)
	b.add(out, metricSessionsActive, "activeSessions", 1, dims...)
	b.add(out, metricSessionsRejectedTotal, "rejectedSessions", 1, dims...)
}

func addCollector(b bean, out *server.Reading) {
	dims := []string{"collector", b.key("name")}
	b.add(out, metricGarbageCollectionsTotal, "CollectionCount", 1, dims...)
	b.add(out, metricGarbageCollectionSecondsTotal, "CollectionTime", 1000, dims...)
}

func contextOf(b bean) []string {
	context := b.key("context")
	if context == "" {
		context = b.key("path") // Tomcat 7
	}
	return []string{"host", b.key("host"), "context", strings.Trim(context, "\"")}
}
