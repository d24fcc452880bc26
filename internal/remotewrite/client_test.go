package remotewrite

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
)

// post sends something to a URL.
func post(t *testing.T, url string, more ...func(*Config)) error {
	t.Helper()
	cfg := Config{Name: "central", URL: url}
	cfg.SetDefaults()
	for _, f := range more {
		f(&cfg)
	}
	c, err := newClient(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c.post(t.Context(), []byte("body"))
}

// raw answers each connection with a text of its own.
func raw(t *testing.T, answer string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4<<10)) // the header and the few bytes of the body
			_, _ = io.WriteString(c, answer)
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	return "http://" + l.Addr().String() + "/api/v1/write"
}

func TestOnlyAReceiverRefusesForGood(t *testing.T) {
	answer := func(status int, contentType string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "what is wrong")
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, tc := range map[string]struct {
		url  string
		good bool
	}{
		"400 of a receiver":          {answer(http.StatusBadRequest, "text/plain; charset=utf-8"), true},
		"422 of a receiver":          {answer(http.StatusUnprocessableEntity, "application/json"), true},
		"400 of a proxy":             {answer(http.StatusBadRequest, "Text/HTML; charset=utf-8"), false},
		"409 of a proxy":             {answer(http.StatusConflict, "text/html"), false},
		"a TLS listener without TLS": {raw(t, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"), false},
	} {
		t.Run(name, func(t *testing.T) {
			err := post(t, tc.url)
			if _, refused := errors.AsType[*refusal](err); refused != tc.good {
				t.Fatalf("refused for good: %v, want %v; error: %v", refused, tc.good, err)
			}
			if _, again := errors.AsType[*later](err); again == tc.good {
				t.Errorf("sent again: %v", again)
			}
			if hint := strings.Contains(err.Error(), "is it http or https?"); hint == tc.good {
				t.Errorf("hint at http or https: %v; error: %v", hint, err)
			}
		})
	}
}

func TestNoErrorHoldsTheKeyOfAQuery(t *testing.T) {
	const key = "hunter2-%2Fhunter2"
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	redirects := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	t.Cleanup(redirects.Close)
	echoes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, &http.Request{Method: http.MethodGet, URL: r.URL}, "/there?"+r.URL.RawQuery, http.StatusMovedPermanently)
	}))
	t.Cleanup(echoes.Close)
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "bad: "+r.URL.String(), http.StatusBadRequest)
	}))
	t.Cleanup(refuses.Close)
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(hangs.Close)
	soon := func(c *Config) { c.Timeout = model.Duration(1e6) }
	for name, err := range map[string]error{
		"nobody listens": post(t, closed.URL+"/write?a=1&key="+key), "connection cut": post(t, raw(t, "")+"?key="+key),
		"redirect": post(t, redirects.URL+"?key="+key), "the answer repeats it": post(t, echoes.URL+"?a=1&key="+key),
		"a refusal repeats it": post(t, refuses.URL+"?"+key), "no answer": post(t, hangs.URL+"?key="+key, soon),
		"not a URL": post(t, "http://central.example:x/?key="+key),
	} {
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
