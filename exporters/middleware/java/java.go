// Package java reads a JVM by JMX over HTTP: the beans of the platform, and
// attributes that the configuration names, through Jolokia.
package java

import (
	"context"
	"log/slog"
	"slices"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/jolokia"
	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "java", Label: "java"}

type reader struct {
	client     *jolokia.Client
	attributes []Attribute
}

// platform are the beans that every JVM has; their answers come in this order.
var platform = []jolokia.Request{
	jolokia.Read("java.lang:type=Memory", []string{"HeapMemoryUsage", "NonHeapMemoryUsage"}, ""),
	jolokia.Read("java.lang:type=Runtime", []string{"Uptime", "SpecVersion", "VmName", "VmVersion"}, ""),
	jolokia.Read("java.lang:type=OperatingSystem", nil, ""),
	jolokia.Read("java.lang:type=Threading", "ThreadCount", ""),
	jolokia.Read("java.lang:type=ClassLoading", "LoadedClassCount", ""),
	jolokia.Read("java.lang:type=GarbageCollector,name=*", []string{"CollectionCount", "CollectionTime"}, ""),
}

// required is how many of platform a server must answer.
const required = 3

// New returns the collector of one JVM.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	web, err := server.NewClient(cfg.HTTP)
	if err != nil {
		return nil, err
	}
	requests := slices.Clone(platform)
	for _, a := range cfg.Attributes {
		requests = append(requests, jolokia.Read(a.MBean, a.Attribute, a.Path))
	}
	client, err := jolokia.NewClient(web, requests)
	if err != nil {
		return nil, err
	}
	return server.New(customer, product, cfg.Settings, reader{client, cfg.Attributes}, web.Secrets(), set, log), nil
}

// Read implements server.Reader.
func (r reader) Read(ctx context.Context, out *server.Reading) error {
	answers, err := r.client.Read(ctx)
	if err != nil {
		return err
	}
	for i, a := range answers[:required] {
		if err := a.Failure(platform[i].MBean); err != nil {
			return err
		}
	}
	if err := addPlatform(answers, out); err != nil {
		return err
	}
	r.addAttributes(answers[len(platform):], out)
	return nil
}

// addAttributes adds what the configuration names. An attribute that is no
// number, or not there, is missed without the others.
func (r reader) addAttributes(answers []jolokia.Answer, out *server.Reading) {
	for i, a := range answers {
		want := r.attributes[i]
		if err := a.Failure(want.MBean); err != nil {
			out.Miss("attributes", err)
			continue
		}
		v, err := a.Number()
		if err != nil {
			out.Miss("attributes", server.Failed(server.ReasonFormat, "%s: %s: %w", want.MBean, want.Attribute, err))
			continue
		}
		out.Add(want.Metric, v)
	}
}
