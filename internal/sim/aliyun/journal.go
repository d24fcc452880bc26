package aliyun

import (
	"maps"
	"sync"
	"time"
)

// Request is one request as the server saw it.
type Request struct {
	Time       time.Time         // real clock
	API        string            // Cms.DescribeMetricList; the bare action if unknown
	Host       string            // the Host header
	Region     string            // RegionId, or the region in Host
	KeyID      string            // "" when not authenticated
	Permission string            // RAM action that the API needs; "" if unknown
	Parameters map[string]string // without Signature and SecurityToken
	Status     int               // 0 when the connection was cut
	Code       string            // error code, "" on success
}

// callJournal counts calls and keeps the latest ones.
type callJournal struct {
	mu       sync.Mutex
	capacity int
	calls    map[string]int
	ring     []Request
	next     int
}

// maxCountedAPIs bounds the names in Calls; a client may send any action name.
const maxCountedAPIs = 1000

func newCallJournal(capacity int) *callJournal {
	return &callJournal{capacity: capacity, calls: map[string]int{}}
}

func (j *callJournal) record(r Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.calls[r.API]; known || len(j.calls) < maxCountedAPIs {
		j.calls[r.API]++
	}
	if j.capacity <= 0 {
		return
	}
	if len(j.ring) < j.capacity {
		j.ring = append(j.ring, r)
		return
	}
	j.ring[j.next] = r
	j.next = (j.next + 1) % j.capacity
}

// Calls returns how many requests came by API, refused ones included.
func (s *Server) Calls() map[string]int {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return maps.Clone(s.journal.calls)
}

// Requests returns the latest Config.RequestLog requests, oldest first.
func (s *Server) Requests() []Request {
	j := s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	return append(append([]Request(nil), j.ring[j.next:]...), j.ring[:j.next]...)
}
