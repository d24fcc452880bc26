// Package amapi serves Alertmanager's API, version 2, over the router's
// incidents, so that amtool, Grafana and the Prometheus servers of others work
// with it: alerts (read and pushed), alert groups, silences, status and
// receivers. The handlers are Alertmanager's own.
package amapi

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/api"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/provider"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"

	"watchkeeper/alertrouter"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 16 << 20
	// maxPushed bounds the alerts of one push. Prometheus sends 64 to 256.
	maxPushed = 10_000
	// pushChunk is how many pushed alerts are written in one transaction. Those
	// of the rule engine wait for one chunk at most, not for all of a push.
	pushChunk = 500
)

// errTooMany refuses a push as a whole.
var errTooMany = fmt.Errorf("more than %d alerts in one request; send them in several", maxPushed)

// Config configures the API.
type Config struct {
	// Prefix is the path under which the API is served, e.g. "/alertmanager".
	Prefix string
	// Customer returns the tenant that the request's listener or token sets;
	// empty: the sender's label customer is believed. Nil: always empty.
	Customer func(*http.Request) string
}

// API is the handler of Prefix + "/api/v2/".
type API struct {
	cfg    Config
	router *alertrouter.Router
	log    *slog.Logger
	api    *api.API
	next   http.Handler

	mtx     sync.Mutex
	routing *amconfig.Config // what api was last updated with
}

// New returns the API over a router. A reload of the router takes effect with
// the next request.
func New(cfg Config, router *alertrouter.Router, log *slog.Logger) (*API, error) {
	a := &API{cfg: cfg, router: router, log: log}
	// The API insists on Prometheus's metrics; nobody gathers them.
	reg := prometheus.NewRegistry()
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "alertmanager_http_request_duration_seconds", Help: "Latency of requests.",
	}, []string{"handler", "method", "code"})
	var err error
	a.api, err = api.New(api.Options{
		Alerts:          alerts{router},
		Silences:        router.Silences(),
		GroupMutedFunc:  a.groupMuted,
		GroupFunc:       router.AlertGroups,
		Timeout:         30 * time.Second,
		Logger:          log,
		Registry:        reg,
		RequestDuration: duration,
	})
	if err != nil {
		return nil, fmt.Errorf("alertmanager api: %w", err)
	}
	a.next = a.api.Register(route.New(), cfg.Prefix)
	a.update()
	return a, nil
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.update()
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	ctx := r.Context()
	if a.cfg.Customer != nil {
		ctx = context.WithValue(ctx, customerKey{}, a.cfg.Customer(r))
	}
	path := strings.TrimPrefix(r.URL.Path, a.cfg.Prefix)
	reading := r.Method == http.MethodGet
	if reading && strings.HasPrefix(path, "/api/v2/alerts") {
		muting, err := a.router.Muting(ctx)
		if err != nil {
			a.log.Error("muting not looked at", "err", err)
			http.Error(w, "muting not looked at", http.StatusInternalServerError)
			return
		}
		defer muting.Stop()
		ctx = context.WithValue(ctx, mutingKey{}, muting)
	}
	switch {
	case !reading && strings.HasPrefix(path, "/api/v2/silence"):
		a.changeSilences(w, r.WithContext(ctx))
	case !reading && strings.HasPrefix(path, "/api/v2/alerts"):
		a.push(w, r.WithContext(ctx))
	case reading && path == "/api/v2/status":
		a.status(w, r)
	default:
		a.next.ServeHTTP(w, r.WithContext(ctx))
	}
}

// push answers a push of too many alerts with a status of its own;
// Alertmanager's handler would call it a failure of the server.
func (a *API) push(w http.ResponseWriter, r *http.Request) {
	var refused bool
	held := newHeldResponse()
	a.next.ServeHTTP(held, r.WithContext(context.WithValue(r.Context(), refusedKey{}, &refused)))
	if refused {
		http.Error(w, errTooMany.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	held.release(w)
}

// status names the release of Alertmanager whose API this is, which its packages know
// only in its own programs.
func (a *API) status(w http.ResponseWriter, r *http.Request) {
	held := newHeldResponse()
	a.next.ServeHTTP(held, r)
	var status map[string]json.RawMessage
	var version map[string]string
	if held.status == http.StatusOK && json.Unmarshal(held.body.Bytes(), &status) == nil && json.Unmarshal(status["versionInfo"], &version) == nil {
		version["version"] = release()
		status["versionInfo"], _ = json.Marshal(version) // text always succeeds
		if b, err := json.Marshal(status); err == nil {
			held.body.Reset()
			held.body.Write(b)
		}
	}
	held.release(w)
}

// release is that of the Alertmanager module in this program; "" where the program does
// not know, as in tests.
var release = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo()
	return releaseIn(info)
})

func releaseIn(info *debug.BuildInfo) string {
	if info == nil {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/prometheus/alertmanager" {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return ""
}

// changeSilences answers a request that changes silences only when the change
// is durable.
func (a *API) changeSilences(w http.ResponseWriter, r *http.Request) {
	held := newHeldResponse()
	a.next.ServeHTTP(held, r)
	if held.status < 300 {
		if err := a.router.SilencesChanged(); err != nil {
			a.log.Error("silence not durable", "err", err)
			http.Error(w, "the silence holds, but could not be written to disk", http.StatusInternalServerError)
			return
		}
	}
	held.release(w)
}

// update hands Alertmanager's API the routing in force, if it changed.
func (a *API) update() {
	cfg := a.router.Routing()
	a.mtx.Lock()
	defer a.mtx.Unlock()
	if a.routing == cfg {
		return
	}
	a.api.Update(cfg, mark)
	a.routing = cfg
}

type (
	customerKey struct{}
	mutingKey   struct{}
	refusedKey  struct{} // *bool: the push had too many alerts
)

// mark writes what mutes an alert into the marker that the API put into ctx.
func mark(ctx context.Context, lset model.LabelSet) {
	m, ok := marker.FromContext(ctx)
	muting, looked := ctx.Value(mutingKey{}).(*alertrouter.Muting)
	if !ok || !looked {
		return
	}
	fp := lset.Fingerprint()
	m.SetSilenced(fp, muting.SilencedBy(ctx, lset))
	m.SetInhibited(fp, muting.InhibitedBy(ctx, lset))
}

func (a *API) groupMuted(routeID, _ string) ([]string, bool) {
	by := a.router.MutedByTime(routeID, time.Now())
	return by, len(by) > 0
}

// alerts is the router behind Alertmanager's provider interface.
type alerts struct{ router *alertrouter.Router }

var _ provider.Alerts = alerts{}

// open returns the alerts of now; the interface has no place for a context.
func (a alerts) open() (provider.Alerts, error) {
	return a.router.OpenAlerts(context.Background())
}

// Subscribe returns an iterator that nothing comes from: whoever wants to know
// of changes asks the incidents.
func (a alerts) Subscribe(name string) provider.AlertIterator {
	_, it := a.SlurpAndSubscribe(name)
	return it
}

// SlurpAndSubscribe returns the open alerts.
func (a alerts) SlurpAndSubscribe(name string) ([]*alert.Alert, provider.AlertIterator) {
	set, err := a.open()
	if err != nil {
		return nil, failed(err)
	}
	return set.SlurpAndSubscribe(name)
}

// GetPending returns the open alerts.
func (a alerts) GetPending() provider.AlertIterator {
	set, err := a.open()
	if err != nil {
		return failed(err)
	}
	return set.GetPending()
}

// failed is an iterator that says why there are no alerts. It yields one
// empty alert, since its reader asks for the error only then.
func failed(err error) provider.AlertIterator {
	ch := make(chan *provider.Alert, 1)
	ch <- &provider.Alert{Data: &alert.Alert{}}
	close(ch)
	return provider.NewAlertIterator(ch, make(chan struct{}), err)
}

// Get returns the alert of a fingerprint.
func (a alerts) Get(fp model.Fingerprint) (*alert.Alert, error) {
	set, err := a.open()
	if err != nil {
		return nil, err
	}
	return set.Get(fp)
}

// Put makes events of pushed alerts. They are durable when it returns nil; on an
// error some of them may be, and pushing all of them again does no harm. Too
// many are refused as a whole.
func (a alerts) Put(ctx context.Context, pushed ...*alert.Alert) error {
	if len(pushed) > maxPushed {
		if refused, ok := ctx.Value(refusedKey{}).(*bool); ok {
			*refused = true
		}
		return errTooMany
	}
	customer, _ := ctx.Value(customerKey{}).(string)
	now := time.Now()
	events := make([]alertrouter.Event, 0, len(pushed))
	for _, p := range pushed {
		events = append(events, event(p, customer, now))
	}
	for chunk := range slices.Chunk(events, pushChunk) {
		if err := a.router.Handle(ctx, now, chunk); err != nil {
			return err
		}
	}
	return nil
}
