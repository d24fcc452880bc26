package probe

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shop is a site with a login: form, session cookie, token, orders.
func shop(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "sess-1"})
		io.WriteString(w, `<input name="csrf" value="csrf-42">`)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("session")
		if err != nil || c.Value != "sess-1" || r.FormValue("csrf") != "csrf-42" || r.FormValue("password") != "s3cr3t pass&word" {
			http.Error(w, "who are you? "+r.FormValue("password"), http.StatusForbidden)
			return
		}
		w.Header().Set("X-Request", "id=req-7; x")
		json.NewEncoder(w).Encode(map[string]any{"data": map[string]string{"token": "t0k3n/with slash"}})
	})
	mux.HandleFunc("GET /orders/{token}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("token") != "t0k3n/with slash" || r.Header.Get("Authorization") != "Bearer t0k3n/with slash" ||
			r.URL.Query().Get("request") != "req-7" || r.URL.Query().Get("session") != "sess-1" {
			http.Error(w, "no: "+r.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		io.WriteString(w, `{"orders":[{"state":"paid"}]}`)
	})
	return serve(t, mux.ServeHTTP)
}

// shopScript logs in and reads the orders.
func shopScript(t *testing.T, site, password string) Target {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Target{
		Secrets: map[string]Secret{"PASSWORD": {File: file}},
		Script: []Step{
			{Name: "form", URL: URL(site + "/login"), Extract: []Extract{
				{Name: "csrf", Regex: `name="csrf" value="([^"]+)"`}, {Name: "session", Cookie: "session"},
			}},
			{
				Name: "login", URL: URL(site + "/login"),
				HTTP:    HTTP{Form: map[string]string{"password": "${PASSWORD}", "csrf": "${csrf}"}},
				Extract: []Extract{{Name: "token", JSON: "data.token"}, {Name: "request", Header: "X-Request", Regex: `id=([^;]+)`}},
			},
			{
				Name: "orders", URL: URL(site + "/orders/${token}?request=${request}&session=${session}"),
				HTTP: HTTP{
					Headers:    map[string]string{"Authorization": "Bearer ${token}"},
					ExpectJSON: []JSONCheck{{Path: "orders[0].state", Equals: equals("paid")}},
				},
			},
		},
	}
}

func TestScript(t *testing.T) {
	site := shop(t)
	f := func(what string, change func(*Target), want Code, failed float64, text string) {
		t.Helper()
		cfg := shopScript(t, site, "s3cr3t pass&word")
		change(&cfg)
		r, got := probeOnce(t, cfg, 10*time.Second)
		if r.code != want || got[metricScriptFailedStep] != failed {
			t.Errorf("%s: code %s (%v) in step %v, want %s in %v", what, r.code, r.err, got[metricScriptFailedStep], want, failed)
		}
		if want != OK && (r.err == nil || r.err.Error() != text) {
			t.Errorf("%s: error %v, want %s", what, r.err, text)
		}
		for i, s := range cfg.Script {
			_, made := got[metricScriptStepDuration+" "+s.Name]
			if want := failed == 0 || float64(i) < failed; made != want {
				t.Errorf("%s: step %s was made: %t, want %t", what, s.Name, made, want)
			}
		}
	}
	f("all good", func(*Target) {}, OK, 0, "")
	f("status", func(c *Target) { c.Script[1].HTTP.Form["csrf"] = "old" }, StatusFailed, 2, `step "login": status 403`)
	f("nothing to extract", func(c *Target) { c.Script[1].Extract[0].JSON = "data.tocken" }, ExtractFailed, 2, `step "login": extract "token": no such value`)
	f("no cookie", func(c *Target) { c.Script[0].Extract[1].Cookie = "sid" }, ExtractFailed, 1, `step "form": extract "session": no such cookie`)
	f("no header", func(c *Target) { c.Script[1].Extract[1].Header = "X-No" }, ExtractFailed, 2, `step "login": extract "request": regex does not match`)
	f("check", func(c *Target) { c.Script[2].HTTP.ExpectJSON[0].Equals = equals("sent") }, JSONFailed, 3, `step "orders": orders[0].state: is not "sent"`)
	f("unreachable", func(c *Target) { c.Script[2].URL = "http://bad..name/" }, DNSFailed, 3, `step "orders": dial tcp: lookup bad..name: no such host`)
}

// Neither declared secrets nor what a script took from answers shows anywhere.
func TestScriptTellsNoSecret(t *testing.T) {
	site := shop(t)
	good := shopScript(t, site, "s3cr3t pass&word")
	bad := shopScript(t, site, "s3cr3t wrong")
	away := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "gopher://s3cr3t%20pass&word/"+r.FormValue("p"))
		w.WriteHeader(http.StatusFound)
	})
	led := shopScript(t, site, "s3cr3t pass&word")
	led.Script = []Step{{Name: "one", URL: URL(away), HTTP: HTTP{Form: map[string]string{"p": "${PASSWORD}"}}}}
	for what, cfg := range map[string]Target{"good": good, "bad": bad, "led away": led} {
		cfg.Name = "t"
		r, _ := probeOnce(t, cfg, 10*time.Second)
		for _, printed := range []string{fmt.Sprint(r.err), fmt.Sprintf("%+v", cfg), URL(site + "/x?k=${PASSWORD}").String()} {
			if strings.Contains(printed, "s3cr3t") || strings.Contains(printed, "t0k3n") {
				t.Errorf("%s: printed %s", what, printed)
			}
		}
	}
}
