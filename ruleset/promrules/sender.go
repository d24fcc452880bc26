package promrules

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxAnswer bounds what is read of an Alertmanager's answer, in bytes.
const maxAnswer = 64 << 10

// sender posts for the notifier. It can be told to give up after a while, since
// the notifier, when it stops or lets go of an Alertmanager, first sends all
// that waits, however slowly it is taken.
type sender struct {
	metrics *runnerMetrics
	inUse   sync.RWMutex // held for reading during a post; for ever once closed

	mu      sync.Mutex
	cut     context.Context // done: give up. A switch, not the context of a call
	off     context.CancelFunc
	clients map[*http.Client]int // that may hold connections: how many posts are under way
}

func newSender(m *runnerMetrics) *sender {
	s := &sender{metrics: m, clients: map[*http.Client]int{}}
	s.cut, s.off = context.WithCancel(context.Background())
	return s
}

// do implements notifier.Options.Do.
func (s *sender) do(ctx context.Context, client *http.Client, req *http.Request) (*http.Response, error) {
	if !s.inUse.TryRLock() {
		return nil, ErrStopped
	}
	defer s.inUse.RUnlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.begin(client, cancel)()

	req.Header.Set("User-Agent", "watchkeeper") // not the library's Prometheus
	s.metrics.posts.Inc()
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		s.metrics.postsFailed.Inc()
		return nil, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	resp.Body.Close()
	resp.Body = http.NoBody
	if err != nil {
		s.metrics.postsFailed.Inc()
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		s.metrics.postsFailed.Inc()
	}
	return resp, nil
}

// begin notes a post, which cancel ends when the sender gives up.
func (s *sender) begin(client *http.Client, cancel func()) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[client]++
	stop := context.AfterFunc(s.cut, cancel)
	return func() {
		stop()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.clients[client]--
	}
}

// bound makes posts fail after d, until release is called.
func (s *sender) bound(d time.Duration) (release func()) {
	s.mu.Lock()
	off := s.off
	s.mu.Unlock()
	timer := time.AfterFunc(d, off)
	return func() {
		timer.Stop()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.cut.Err() != nil {
			s.cut, s.off = context.WithCancel(context.Background())
		}
		s.disconnect()
	}
}

// disconnect closes idle connections: the notifier forgets a client without
// closing them. A client that is still used connects again. The caller holds mu.
func (s *sender) disconnect() {
	for client, posts := range s.clients {
		client.CloseIdleConnections()
		if posts == 0 {
			delete(s.clients, client)
		}
	}
}

// close waits for the posts under way; later ones fail.
func (s *sender) close() {
	s.inUse.Lock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off()
	s.disconnect()
}
