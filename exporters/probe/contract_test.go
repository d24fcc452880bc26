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
	"github.com/miekg/dns"

	"watchkeeper/exporters/probe"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset/contract"
)

func TestCodesAreTheContracts(t *testing.T) {
	want := map[string]int{
		"ok": contract.ProbeOK, "dns": contract.ProbeDNSFailed, "connect": contract.ProbeConnectFailed,
		"tls": contract.ProbeTLSFailed, "timeout": contract.ProbeTimeout, "status": contract.ProbeStatusFailed,
		"body": contract.ProbeBodyFailed, "protocol": contract.ProbeProtocolError,
		"content_changed": contract.ProbeContentChanged, "certificate_expires": contract.ProbeCertificateExpires,
		"json": contract.ProbeJSONFailed, "rcode": contract.ProbeRcodeFailed,
		"extract": contract.ProbeExtractFailed, "redirect": contract.ProbeRedirectFailed,
	}
	got := make(map[string]int)
	for c := probe.OK; c.String() != "unknown"; c++ {
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
	plain := httptest.NewServer(nil)
	defer plain.Close()
	address := strings.TrimPrefix(plain.URL, "http://")
	echo := echoServer(t)
	cfg := probe.DefaultConfig()
	cfg.Targets = []probe.Target{
		{Name: "site", URL: probe.URL(web.URL), HTTP: probe.HTTP{ExpectStatus: []int{404}, TLS: probe.TLS{InsecureSkipVerify: true}}},
		{Name: "port", TCP: strings.TrimPrefix(web.URL, "https://")},
		{Name: "ping", ICMP: "127.0.0.1"},
		{Name: "talk", TCP: address, Exchange: []probe.Exchange{{Send: "GET / HTTP/1.0\r\n\r\n", Expect: "^HTTP/1"}}},
		{Name: "udp", UDP: echo, Exchange: []probe.Exchange{{Send: "hello", Expect: "hello"}}},
		{Name: "dns", DNS: &probe.DNS{Server: echo, Name: "www.example.com", ExpectRcode: "SERVFAIL"}},
		{Name: "script", Script: []probe.Step{{Name: "one", URL: probe.URL(plain.URL), HTTP: probe.HTTP{ExpectStatus: []int{404}}}}},
	}
	cfg.Region = "cn-hangzhou"
	cfg.ReferenceTargets = []probe.Reference{{TCP: address}}
	collectors, err := probe.New("acme", cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var got sink
	if err := collectors[0].Collect(t.Context(), time.UnixMilli(1_700_000_020_000), &got); err != nil {
		t.Fatal(err)
	}
	products := map[string]string{"site": contract.ProductWebsite, "port": contract.ProductPort, "ping": contract.ProductPing,
		"talk": contract.ProductPort, "udp": contract.ProductUDP, "dns": contract.ProductDNS, "script": contract.ProductWebsite, "local": contract.ProductVantage}
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
		if s.Labels.Get("region") != "cn-hangzhou" {
			t.Errorf("%s lacks the region", s.Labels)
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

// echoServer answers a datagram with itself; a DNS question with a failure.
func echoServer(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) == nil && len(q.Question) == 1 {
				if out, err := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure).Pack(); err == nil {
					c.WriteTo(out, from)
					continue
				}
			}
			c.WriteTo(buf[:n], from)
		}
	}()
	return c.LocalAddr().String()
}
