package app

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"watchkeeper/internal/config"
)

// gate stands before the API: while the server starts or stops it answers for
// itself only, and on a loopback address it serves only those who mean this
// machine, so that a web page cannot reach it through a name of its own.
func (a *App) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.serves(r.Host) {
			http.Error(w, "this server is not called "+r.Host+"; set external_url to the name under which it is reached", http.StatusForbidden)
			return
		}
		if !a.isReady() && !strings.HasPrefix(r.URL.Path, "/-/") && r.URL.Path != "/metrics" {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "starting or stopping", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serves tells whether a request's Host header names this server.
func (a *App) serves(host string) bool {
	if !config.Loopback(a.apiListener.Addr().String()) {
		return true // a name that we cannot know leads here
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if ip := net.ParseIP(strings.Trim(name, "[]")); ip != nil && ip.IsLoopback() {
		return true
	}
	u, err := url.Parse(a.config().ExternalURL)
	return name == "localhost" || err == nil && name != "" && u.Hostname() == name
}
