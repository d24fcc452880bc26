package probe

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
)

func equals(s string) *string { return &s }

func TestJSONPath(t *testing.T) {
	f := func(path string, want ...string) {
		t.Helper()
		got, err := parseJSONPath(path)
		if diff := cmp.Diff(want, got); diff != "" || (err != nil) != (want == nil) {
			t.Errorf("%q: error %v, keys (-want +got):\n%s", path, err, diff)
		}
	}
	f("status", "status")
	f("$.data.items[0].id", "data", "items", "[0]", "id")
	f("[1][2]", "[1]", "[2]")
	f(`data["a.b"]["c\"d"]`, "data", "a.b", `c"d`)
	f("with-dash.and_line", "with-dash", "and_line")
	for _, bad := range []string{"", "$", ".a", "a..b", "a.", "a[", "a[x]", "a b", `a["b`} {
		f(bad)
	}
}

func TestJSONChecks(t *testing.T) {
	const doc = `{"status":"ok","count":3,"ratio":1.50,"up":true,"none":null,"items":[{"id":"a\"b"},{"id":"second"}],"sub":{"x":1}}`
	f := func(c JSONCheck, body string, want Code) {
		t.Helper()
		r, _ := probeOnce(t, Target{URL: URL(serve(t, respond(200, body))), HTTP: HTTP{ExpectJSON: []JSONCheck{c}}}, 10*time.Second)
		if r.code != want {
			t.Errorf("%s: code %s (%v), want %s", c.Path, r.code, r.err, want)
		}
	}
	f(JSONCheck{Path: "status", Equals: equals("ok")}, doc, OK)
	f(JSONCheck{Path: "status", Equals: equals("down")}, doc, JSONFailed)
	f(JSONCheck{Path: "count", Equals: equals("3")}, doc, OK)
	f(JSONCheck{Path: "ratio", Equals: equals("1.50")}, doc, OK)
	f(JSONCheck{Path: "up", Equals: equals("true")}, doc, OK)
	f(JSONCheck{Path: "none", Equals: equals("null")}, doc, OK)
	f(JSONCheck{Path: "items[0].id", Equals: equals(`a"b`)}, doc, OK)
	f(JSONCheck{Path: "items[1].id", Matches: "^sec"}, doc, OK)
	f(JSONCheck{Path: "items[1].id", Matches: "^x"}, doc, JSONFailed)
	f(JSONCheck{Path: "items[2].id", Matches: "."}, doc, JSONFailed)
	f(JSONCheck{Path: "sub", Matches: `"x":1`}, doc, OK)
	f(JSONCheck{Path: "status", Equals: equals("ok")}, `<html>`, JSONFailed)
	f(JSONCheck{Path: "status", Equals: equals("ok")}, `{"status":"ok"`, JSONFailed)
}

func FuzzJSONCheck(f *testing.F) {
	f.Add(`{"a":[{"b":"c"}]}`, "a[0].b")
	f.Add(`[`, "[0]")
	f.Add(`{"a":"\ud800"}`, "a")
	f.Fuzz(func(t *testing.T, doc, path string) {
		checks, err := newJSONChecks([]JSONCheck{{Path: path, Matches: "."}})
		if err == nil {
			checkJSON([]byte(doc), checks)
		}
	})
}

func TestChecksum(t *testing.T) {
	var body atomic.Pointer[string]
	site := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, *body.Load()) })
	f := func(c Checksum, bodies ...string) (codes []Code) {
		t.Helper()
		built, err := newTarget(Target{Name: "t", URL: URL(site), HTTP: HTTP{Checksum: &c}}, metrics.NewSet(), map[string]*target{})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range bodies {
			body.Store(&b)
			codes = append(codes, built.probe(t.Context()).code)
		}
		return codes
	}
	expect := func(what string, got []Code, want ...Code) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	// printf 'hello\nworld' | sha256sum
	const sum = "26c60a61d01db5836ca70fefd44a6a016620413c8ef5f259a6c5612d4f79d3b8"
	expect("declared", f(Checksum{SHA256: strings.ToUpper(sum)}, "hello\nworld", "hello\r\nworld  \r\n\r\n", "hello\nWorld"), OK, OK, ContentChanged)
	expect("first seen, and back", f(Checksum{}, "one", "two", "one"), OK, ContentChanged, OK)
	expect("raw", f(Checksum{Raw: true}, "one", "one\n"), OK, ContentChanged)
	expect("ignored parts", f(Checksum{Ignore: []string{`token=\w+`}}, "a token=123 b", "a token=xyz b", "a b token=1"), OK, OK, ContentChanged)
}

// A failed answer must not become what later ones are compared with.
func TestChecksumIsLearnedFromGoodAnswers(t *testing.T) {
	status := 500
	site := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, http.StatusText(status))
	})
	built, err := newTarget(Target{Name: "t", URL: URL(site), HTTP: HTTP{Checksum: &Checksum{}}}, metrics.NewSet(), map[string]*target{})
	if err != nil {
		t.Fatal(err)
	}
	if r := built.probe(t.Context()); r.code != StatusFailed {
		t.Fatalf("code %s", r.code)
	}
	status = 200
	if r := built.probe(t.Context()); r.code != OK {
		t.Errorf("code %s (%v), want ok", r.code, r.err)
	}
}

func TestWhatARequestSends(t *testing.T) {
	t.Setenv("PROBE_TEST_TOKEN", `s3cr3t "quoted"`)
	got := make(chan *http.Request, 1)
	site := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		r.Header.Set("Test-Body", string(b))
		got <- r
	})
	f := func(h HTTP, method, contentType, body string) {
		t.Helper()
		cfg := Target{URL: URL(site), HTTP: h, Secrets: map[string]Secret{"token": {Env: "PROBE_TEST_TOKEN"}}}
		if r, _ := probeOnce(t, cfg, 10*time.Second); r.code != OK {
			t.Fatalf("code %s (%v)", r.code, r.err)
		}
		r := <-got
		if r.Method != method || r.Header.Get("Content-Type") != contentType || r.Header.Get("Test-Body") != body {
			t.Errorf("sent %s, %q, %q; want %s, %q, %q", r.Method, r.Header.Get("Content-Type"), r.Header.Get("Test-Body"), method, contentType, body)
		}
		if v := h.Headers["Host"]; v != "" && r.Host != v {
			t.Errorf("host %q, want %q", r.Host, v)
		}
	}
	f(HTTP{}, "GET", "", "")
	f(HTTP{Method: "DELETE", Headers: map[string]string{"Host": "shop.example"}}, "DELETE", "", "")
	f(HTTP{Body: "raw ${token}", Headers: map[string]string{"Content-Type": "text/plain"}}, "POST", "text/plain", `raw s3cr3t "quoted"`)
	f(HTTP{Method: "PUT", Body: `{"t":"${token}"}`, Headers: map[string]string{"Content-Type": "application/json"}}, "PUT", "application/json", `{"t":"s3cr3t \"quoted\""}`)
	f(HTTP{Form: map[string]string{"t": "${token}"}}, "POST", contentTypeForm, url.Values{"t": {`s3cr3t "quoted"`}}.Encode())
}

// What was declared to be sent to a host goes to no other, wherever it leads.
func TestRedirectElsewhere(t *testing.T) {
	t.Setenv("PROBE_TEST_TOKEN", "s3cr3t-token")
	var leaked atomic.Bool
	elsewhere := strings.Replace(serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if strings.Contains(r.Header.Get("X-Key")+string(b), "s3cr3t") {
			leaked.Store(true)
		}
	}), "127.0.0.1", "localhost", 1)
	lead := func(status int) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, status) })
	}
	f := func(what, site string, h HTTP, want Code) {
		t.Helper()
		cfg := Target{URL: URL(site), HTTP: h, Secrets: map[string]Secret{"token": {Env: "PROBE_TEST_TOKEN"}}}
		if r, _ := probeOnce(t, cfg, 10*time.Second); r.code != want {
			t.Errorf("%s: code %s (%v), want %s", what, r.code, r.err, want)
		}
		if leaked.Swap(false) {
			t.Errorf("%s: the secret was sent elsewhere", what)
		}
	}
	key := map[string]string{"X-Key": "${token}"}
	f("any host", lead(302), HTTP{Headers: key}, OK)
	f("a host that is allowed", lead(302), HTTP{Headers: key, RedirectHosts: []string{"localhost"}}, OK)
	f("another host", lead(302), HTTP{Headers: key, RedirectHosts: []string{"shop.example"}}, RedirectFailed)
	f("none but its own", lead(302), HTTP{Headers: key, RedirectHosts: []string{}}, RedirectFailed)
	f("with a body", lead(307), HTTP{Body: "${token}"}, StatusFailed)
}

func TestCertificateValidity(t *testing.T) {
	site, ca := tlsServer(t, time.Now().Add(10*24*time.Hour))
	f := func(least time.Duration, want Code) {
		t.Helper()
		r, got := probeOnce(t, Target{URL: URL(site), HTTP: HTTP{TLS: TLS{CAFile: ca, MinValidity: model.Duration(least)}}}, 10*time.Second)
		if r.code != want || got[metricTLSVersion] != 1.3 {
			t.Errorf("min_validity %s: code %s (%v), version %v, want %s", least, r.code, r.err, got[metricTLSVersion], want)
		}
	}
	f(0, OK)
	f(9*24*time.Hour, OK)
	f(14*24*time.Hour, CertificateExpires)
}
