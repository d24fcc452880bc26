package ingest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/sample"
)

func pushText(body string, params url.Values) PushRequest {
	return PushRequest{ContentType: "text/plain; charset=utf-8", Labels: params, Body: []byte(body)}
}

func pushJSON(body string) PushRequest {
	return PushRequest{ContentType: "application/json", Body: []byte(body)}
}

// doPush pushes to a store and returns the answer and what was handed over.
func doPush(t *testing.T, req PushRequest) (Response, []string) {
	t.Helper()
	rec := &recorder{next: newStore(t)}
	resp := newWriter(t, rec).Push(t.Context(), sender, req, time.UnixMilli(clock))
	var got []string
	for _, b := range rec.batches {
		if b.Source != (sample.Source{Customer: "acme", Name: "remote-write/prom-1"}) || len(b.Ups) == 0 {
			t.Errorf("source %v, ups %v", b.Source, b.Ups)
		}
		for _, s := range b.Samples {
			got = append(got, fmt.Sprintf("%s %g %+d", s.Labels, s.V, s.T-clock))
		}
	}
	return resp, got
}

func TestPush(t *testing.T) {
	for _, c := range []struct {
		name string
		req  PushRequest
		want []string
	}{
		{"text", pushText("# TYPE jobs counter\njobs{q=\"x\"} 3\nsize 1e6 "+fmt.Sprint(clock-60_000)+"\n", nil),
			[]string{`{__name__="jobs", q="x"} 3 +0`, `{__name__="size"} 1e+06 -60000`}},
		{"as curl sends it", PushRequest{ContentType: "application/x-www-form-urlencoded", Body: []byte("backup_ok 1")}, []string{`{__name__="backup_ok"} 1 +0`}},
		{"labels of all", pushText("a 1\nb{instance=\"own\"} 2\n", url.Values{"instance": {"db-1"}}),
			[]string{`{__name__="a", instance="db-1"} 1 +0`, `{__name__="b", instance="own"} 2 +0`}},
		{"json", pushJSON(`[{"metric":"a","value":1},{"metric":"b","labels":{"x":"y"},"value":0,"timestamp":` + fmt.Sprint(clock-1) + `}]`),
			[]string{`{__name__="a"} 1 +0`, `{__name__="b", x="y"} 0 -1`}},
		{"nothing", pushText("", nil), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, got := doPush(t, c.req)
			if resp.Status != http.StatusNoContent {
				t.Errorf("%d %s", resp.Status, resp.Message)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestPushNamesRefusedLines(t *testing.T) {
	resp, got := doPush(t, pushText(strings.Join([]string{
		"good 1", "bad one", `mine{customer="other"} 1`, fmt.Sprintf("future 1 %d", clock+3_600_000), "good 2", "",
	}, "\n"), nil))
	if resp.Status != http.StatusBadRequest || !slices.Contains(got, `{__name__="good"} 1 +0`) {
		t.Fatalf("%d %s; handed over: %v", resp.Status, resp.Message, got)
	}
	lines := strings.Split(resp.Message, "\n")
	want := []string{"4 of 5 samples refused", "line 2: expected float", `line 5: {__name__="good"} is in line 1`, "line 3: ", "line 4: "}
	if len(lines) != len(want) {
		t.Fatalf("got:\n%s", resp.Message)
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w) {
			t.Errorf("line %d is %q, want %q", i, lines[i], w)
		}
	}
	resp, _ = doPush(t, pushJSON(`[{"metric":"a"},{"metric":"b","labels":{"__name__":"c"},"value":1},{"metric":"d","value":1}]`))
	if resp.Status != http.StatusBadRequest || !strings.Contains(resp.Message, "2 of 3") || !strings.Contains(resp.Message, "\nsample 2: ") {
		t.Errorf("%d %s", resp.Status, resp.Message)
	}
}

func TestPushRefusals(t *testing.T) {
	f := func(name string, req PushRequest, status int, message string) {
		t.Helper()
		resp, got := doPush(t, req)
		if resp.Status != status || !strings.Contains(resp.Message, message) || got != nil {
			t.Errorf("%s: %d %q, handed over %v", name, resp.Status, resp.Message, got)
		}
	}
	f("type", PushRequest{ContentType: "image/png"}, 415, "text/plain")
	f("encoding", PushRequest{ContentEncoding: "gzip"}, 415, "gzip")
	f("label", pushText("a 1\n", url.Values{"__name__": {"x"}}), 400, "__name__")
	f("label twice", pushText("a 1\n", url.Values{"x": {"1", "2"}}), 400, `"x"`)
	f("no list", pushJSON(`{"metric":"a","value":1}`), 400, "list")
	f("unknown field", pushJSON(`[{"metric":"a","value":1},{"name":"a"}]`), 400, "sample 2")
	f("cut off", pushJSON(`[{"metric":"a","value":1}`), 400, "json")
	f("more", pushJSON(`[] []`), 400, "more follows")
	f("too many", pushText(strings.Repeat("a{x=\"1\"} 1 1\n", 60_000), nil), 413, "at most")
	f("too many in json", pushJSON("["+strings.Repeat(`{"metric":"a","value":1},`, 60_000)+"{}]"), 413, "at most")
	f("too large", pushText(strings.Repeat(" ", DefaultConfig().MaxBodyBytes+1), nil), 413, "larger")
}

func TestPushOverTheListener(t *testing.T) {
	rec := &recorder{}
	auth := func(token string) (Sender, bool) { return sender, token == "secret" }
	server := serve(t, newWriter(t, rec).FastHTTP(auth))
	send := func(query, body string, headers ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server+PushPath+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	token := []string{"Authorization", "Bearer secret"}
	if status, body := send("", "a 1\n"); status != 401 {
		t.Errorf("without a token: %d %s", status, body)
	}
	if status, body := send("", "a 1\n", append(token, "Origin", "http://elsewhere.example")...); status != 403 {
		t.Errorf("from a web page: %d %s", status, body)
	}
	if status, body := send("?instance=db%201", "a 1\nb\n", token...); status != 400 || !strings.Contains(body, "line 2") {
		t.Errorf("a bad line: %d %s", status, body)
	}
	if len(rec.batches) != 1 || len(rec.batches[0].Samples) != 1 || rec.batches[0].Samples[0].Labels.Get("instance") != "db 1" {
		t.Errorf("handed over: %v", rec.batches)
	}
	if status, body := send("?%zz", "a 1\n", token...); status != 400 {
		t.Errorf("broken parameters: %d %s", status, body)
	}
}
