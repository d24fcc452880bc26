// Package java reads a JVM by JMX over HTTP: the beans of the platform, and
// attributes that the configuration names, through Jolokia.
package java

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "java", Label: "java"}

type reader struct {
	client     *server.Client
	attributes []Attribute
	requests   []byte
}

// request and answer are one element of a bulk request of Jolokia's protocol.
type request struct {
	Type      string `json:"type"`
	MBean     string `json:"mbean"`
	Attribute any    `json:"attribute,omitempty"` // a name or several
	Path      string `json:"path,omitempty"`
}

type answer struct {
	Status int             `json:"status"`
	Error  string          `json:"error"`
	Value  json.RawMessage `json:"value"`
}

// platform are the beans that every JVM has; their answers come in this order.
var platform = []request{
	{"read", "java.lang:type=Memory", []string{"HeapMemoryUsage", "NonHeapMemoryUsage"}, ""},
	{"read", "java.lang:type=Runtime", []string{"Uptime", "SpecVersion", "VmName", "VmVersion"}, ""},
	{"read", "java.lang:type=OperatingSystem", nil, ""},
	{"read", "java.lang:type=Threading", "ThreadCount", ""},
	{"read", "java.lang:type=ClassLoading", "LoadedClassCount", ""},
	{"read", "java.lang:type=GarbageCollector,name=*", []string{"CollectionCount", "CollectionTime"}, ""},
}

// required is how many of platform a server must answer.
const required = 3

// New returns the collector of one JVM.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := server.NewClient(cfg.HTTP)
	if err != nil {
		return nil, err
	}
	requests := append([]request(nil), platform...)
	for _, a := range cfg.Attributes {
		requests = append(requests, request{"read", a.MBean, a.Attribute, a.Path})
	}
	body, err := json.Marshal(requests)
	if err != nil {
		return nil, err
	}
	r := reader{client, cfg.Attributes, body}
	return server.New(customer, product, cfg.Settings, r, client.Secrets(), set, log), nil
}

// Read implements server.Reader.
func (r reader) Read(ctx context.Context, out *server.Reading) error {
	defer r.client.Close()
	status, body, err := r.client.Do(ctx, http.MethodPost, "", nil, r.requests)
	if err != nil {
		return err
	}
	if err := r.client.CheckStatus("", status, body); err != nil {
		return err
	}
	var answers []answer
	if json.Unmarshal(body, &answers) != nil || len(answers) != len(platform)+len(r.attributes) {
		return server.Failed(server.ReasonFormat, "not Jolokia's answer: %q", server.Excerpt(string(body), 60))
	}
	for i, a := range answers[:required] {
		if err := a.failure(platform[i].MBean); err != nil {
			return err
		}
	}
	if err := addPlatform(answers, out); err != nil {
		return err
	}
	r.addAttributes(answers[len(platform):], out)
	return nil
}

func (a answer) failure(mbean string) error {
	switch a.Status {
	case http.StatusOK:
		return nil
	case http.StatusForbidden:
		return server.Failed(server.ReasonDenied, "%s: %s", mbean, server.Excerpt(a.Error, 100))
	}
	return server.Failed(server.ReasonStatus, "%s: status %d: %s", mbean, a.Status, server.Excerpt(a.Error, 100))
}

// addAttributes adds what the configuration names. An attribute that is no
// number, or not there, is missed without the others.
func (r reader) addAttributes(answers []answer, out *server.Reading) {
	for i, a := range answers {
		want := r.attributes[i]
		if err := a.failure(want.MBean); err != nil {
			out.Miss("attributes", err)
			continue
		}
		v, err := number(a.Value)
		if err != nil {
			out.Miss("attributes", server.Failed(server.ReasonFormat, "%s: %s: %w", want.MBean, want.Attribute, err))
			continue
		}
		out.Add(want.Metric, v)
	}
}

func number(raw json.RawMessage) (float64, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case float64:
		return v, nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	}
	return 0, fmt.Errorf("%T is not a number", v)
}

// beanKey returns the value of a key property of an object name.
func beanKey(name, key string) string {
	_, rest, _ := strings.Cut(name, ":")
	for pair := range strings.SplitSeq(rest, ",") {
		if v, ok := strings.CutPrefix(pair, key+"="); ok {
			return v
		}
	}
	return ""
}
