package aliyun

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener hands out in-memory connections, so that a bubble's time can pass.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func TestServeClosesIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, func(c *Config) { c.Now = time.Now })
		l := newPipeListener()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Serve(ctx, l) }()
		conn := l.dial()
		r := signed("metrics.cn-hangzhou.aliyuncs.com", testKey, map[string]string{"Action": "DescribeProjectMeta", "Version": cmsVersion})
		r.RequestURI = ""
		if err := r.Write(conn); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != 200 {
			t.Fatalf("status %d, %v", response.StatusCode, err)
		}
		idle := time.Now()
		if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("the idle connection ended with %v", err)
		}
		if after := time.Since(idle); after != 10*time.Second {
			t.Errorf("closed after %s", after)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestServeStopsDespiteASlowAnswer(t *testing.T) {
	s := newTestServer(t, nil)
	inject(t, s, Outage{Kind: Slow, Delay: time.Hour, When: When{Count: 1}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	slow := make(chan struct{})
	s.now = sync.OnceValue(func() time.Time { // asked when the outage is looked up
		close(slow)
		return noon
	})
	go func() { ended <- s.Serve(ctx, l) }()
	answered := make(chan error, 1)
	go func() {
		response, err := http.Get("http://" + l.Addr().String() + "/?Action=x")
		if err == nil {
			response.Body.Close()
		}
		answered <- err
	}()
	<-slow
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := <-answered; err == nil {
		t.Error("the slow call was answered")
	}
}

// Everything that tests do at run time may be done while calls run.
func TestConcurrentUse(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Now = time.Now })
	id := s.Instances(nsECS)[0]
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				cms(t, s, "DescribeMetricList", window(time.Now().Add(-10*time.Minute), time.Now()))
				ecs(t, s, nil)
			}
		})
	}
	wg.Go(func() {
		for range 30 {
			inject(t, s, Rename{Instance: id, Name: "other"}, Throttle{When: When{Count: 1}},
				Breach{Instance: id, Metric: "CPUUtilization", From: time.Now(), To: time.Now().Add(time.Hour), Value: 95})
			s.SetKey(testKey)
			s.Published(id, "CPUUtilization", time.Now().Add(-time.Hour), time.Now())
			s.Calls()
			s.Requests()
			s.ClearFaults()
		}
	})
	wg.Wait()
	if calls := s.Calls(); calls["Cms.DescribeMetricList"] != 40 || calls["Ecs.DescribeInstances"] != 40 {
		t.Errorf("calls %v", calls)
	}
}

// Calls of every kind and scenarios at the same time; the race detector watches.
func TestConcurrentScenarios(t *testing.T) {
	s := newTestServer(t, allProducts)
	ids := s.Instances(nsECS)
	var wait sync.WaitGroup
	send := func(a api, extra map[string]string) {
		for range 5 {
			params := map[string]string{"Action": a.action, "Version": a.version}
			maps.Copy(params, extra)
			w := httptest.NewRecorder()
			if s.ServeHTTP(w, signed(a.host, testKey, params)); w.Code != 200 {
				t.Errorf("%s: %s", a.action, w.Body)
			}
		}
	}
	for _, l := range lists {
		wait.Go(func() { send(l.api, l.extra) })
	}
	for _, a := range []api{snapshotList, history, systemEvents, trailEvents, alerts, balance} {
		wait.Go(func() { send(a, nil) })
	}
	wait.Go(func() {
		for i, id := range ids {
			for _, f := range []Fault{
				Expire{Instance: id, At: noon}, Delete{Instance: id, At: noon}, Change{Instance: id, Event: "StopInstance", At: noon},
				Spend{Instance: id, Day: noon, Amount: float64(i)}, SecurityAlert{Instance: id, At: noon},
			} {
				if err := s.Inject(f); err != nil {
					t.Error(err)
				}
			}
		}
		s.ClearFaults()
	})
	wait.Wait()
	if got := s.Calls()["Rds.DescribeDBInstances"]; got != 5 {
		t.Errorf("%d calls, want 5", got)
	}
}
