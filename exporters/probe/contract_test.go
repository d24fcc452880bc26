package probe_test

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters/probe"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset/contract"
)

func TestCodesAreTheContracts(t *testing.T) {
	want := map[string]int{
		"ok": contract.ProbeOK, "dns": contract.ProbeDNSFailed, "connect": contract.ProbeConnectFailed,
		"tls": contract.ProbeTLSFailed, "timeout": contract.ProbeTimeout, "status": contract.ProbeStatusFailed,
		"body": contract.ProbeBodyFailed, "protocol": contract.ProbeProtocolError,
	}
	got := make(map[string]int)
	for _, c := range []probe.Code{probe.OK, probe.DNSFailed, probe.ConnectFailed, probe.TLSFailed,
		probe.Timeout, probe.StatusFailed, probe.BodyFailed, probe.ProtocolError} {
		got[c.String()] = int(c)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("codes (-contract +probe):\n%s", diff)
	}
}

type sink struct{ samples []sample.Sample }

func (s *sink) Append(_ context.Context, b sample.Batch) error {
	s.samples = append(s.samples, b.Samples...)
	return nil
}

// The rules find the series of probes by the names and labels that the contract
// package declares.
func TestMetricsAreTheContracts(t *testing.T) {
	web := httptest.NewTLSServer(nil)
	defer web.Close()
	cfg := probe.DefaultConfig()
	cfg.Targets = []probe.Target{
		{Name: "site", URL: probe.URL(web.URL), HTTP: probe.HTTP{InsecureSkipVerify: true, ExpectStatus: []int{404}}},
		{Name: "port", TCP: strings.TrimPrefix(web.URL, "https://")},
		{Name: "ping", ICMP: "127.0.0.1"},
	}
	collectors, err := probe.New("acme", cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var got sink
	if err := collectors[0].Collect(t.Context(), time.UnixMilli(1_700_000_020_000), &got); err != nil {
		t.Fatal(err)
	}
	products := map[string]string{"site": contract.ProductWebsite, "port": contract.ProductPort, "ping": contract.ProductPing}
	delivered := make(map[string]bool)
	for _, s := range got.samples {
		name := s.Labels.Get("__name__")
		delivered[name] = true
		declared, ok := contract.LookupMetric(name)
		if !ok {
			t.Errorf("%s is not declared", name)
		}
		known := slices.Concat([]string{"__name__"}, contract.IdentityLabels, declared.Labels)
		for l := range s.Labels.Map() {
			if !slices.Contains(known, l) {
				t.Errorf("%s: label %q is not declared", name, l)
			}
		}
		for _, l := range declared.Labels {
			if s.Labels.Get(l) == "" {
				t.Errorf("%s lacks the label %q", s.Labels, l)
			}
		}
		if want := products[s.Labels.Get("instance")]; s.Labels.Get("product") != want {
			t.Errorf("%s: want product %q", s.Labels, want)
		}
	}
	mayPing := pingPermitted()
	for _, m := range contract.Metrics() {
		if m.Source == "probe" && !delivered[m.Name] && (mayPing || !strings.HasPrefix(m.Name, "probe_icmp_")) {
			t.Errorf("%s is declared and not delivered", m.Name)
		}
	}
}

func pingPermitted() bool {
	c, err := net.ListenPacket("ip4:icmp", "127.0.0.1")
	if err != nil {
		return false
	}
	c.Close()
	return true
}
