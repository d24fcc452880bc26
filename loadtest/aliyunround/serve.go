//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"time"

	sim "watchkeeper/internal/sim/aliyun"
)

const (
	keyID  = "LTAIround"
	secret = "round-secret"
	region = "cn-hangzhou"
)

// shares of the resources in a thousand, by namespace; the rest are ECS instances.
var shares = map[string]int{
	"acs_rds_dashboard": 100, "acs_slb_dashboard": 100, "acs_kvstore": 80, "acs_mongodb": 60, "acs_drds": 10, "acs_cdn": 30,
	"acs_elasticsearch": 20, "acs_oss_dashboard": 40, "acs_vpc_eip": 50, "acs_alb": 10, "acs_memcache": 10,
}

func simConfig(resources int) sim.Config {
	cfg := sim.Config{Seed: 5, Keys: []sim.Key{{ID: keyID, Secret: secret}}, Regions: []string{region}, Products: map[string]int{}, QuotaPerMonth: -1, RequestLog: -1}
	cfg.ECSInstances = resources
	for namespace, share := range shares {
		n := resources * share / 1000
		cfg.Products[namespace] = n
		cfg.ECSInstances -= n
	}
	return cfg
}

// account is the simulated one. It remembers its answers to metric queries in the
// order in which they were given, so that the floor can read the same bytes again.
type account struct {
	*sim.Server

	mu    sync.Mutex
	tape  [][]byte // guarded by mu
	calls int      // guarded by mu
}

// maxTape bounds the bytes on the tape.
const maxTape = 1 << 30

func serve(ctx context.Context, o options) error {
	server, err := sim.New(simConfig(o.resources))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr()) // for the one who started us
	a := &account{Server: server}
	s := &http.Server{Handler: a, IdleTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/floor/calls":
		a.mu.Lock()
		defer a.mu.Unlock()
		fmt.Fprintln(w, len(a.tape))
	case r.URL.Path == "/floor/page":
		a.page(w, r)
	case r.URL.Query().Get("Action") == "DescribeMetricList":
		answer := httptest.NewRecorder()
		answer.Body = bytes.NewBuffer(make([]byte, 0, 256<<10))
		a.Server.ServeHTTP(answer, r)
		a.keep(answer.Body.Bytes())
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // whoever went away asks again
	default:
		a.Server.ServeHTTP(w, r)
	}
}

func (a *account) keep(body []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls += len(body); a.calls <= maxTape {
		a.tape = append(a.tape, bytes.Clone(body))
	}
}

func (a *account) page(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil || n < 0 || n >= len(a.tape) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(a.tape[n])
}
