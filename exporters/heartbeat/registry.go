package heartbeat

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"watchkeeper/internal/statefile"
)

// ErrUnknown says that no heartbeat of this name is declared: a misspelt name,
// or a job whose declaration was removed.
var ErrUnknown = errors.New("no such heartbeat")

// Beat is one report of a job.
type Beat struct {
	At       time.Time
	OK       bool
	Exit     *int           // exit code, if told
	Duration *time.Duration // how long the job took, if told
}

// history is what is remembered of one heartbeat.
type history struct {
	Declared int64    `json:"declared,omitempty"` // Unix ms of the first check; 0: not checked yet
	Success  int64    `json:"success,omitempty"`  // Unix ms of the last success; 0: none
	Last     int64    `json:"last,omitempty"`     // Unix ms of the last beat of any kind
	Failed   bool     `json:"failed,omitempty"`   // the last beat told of a failure
	Exit     *int     `json:"exit,omitempty"`     // of the last beat
	Seconds  *float64 `json:"seconds,omitempty"`  // of the last beat
	OKs      uint64   `json:"oks,omitempty"`
	Failures uint64   `json:"failures,omitempty"`
	Instance string   `json:"instance,omitempty"` // of its series
}

// Registry keeps the beats of all customers, each customer's in a file of its
// own. It lives longer than a configuration. Its methods may be called concurrently.
type Registry struct {
	path func(customer string) string

	mu       sync.Mutex // held across I/O: a beat is acknowledged when it is on the disk
	declared map[string]map[string]bool
	books    map[string]map[string]history // by customer and name
}

// NewRegistry returns a registry that keeps customers' beats in dir/CUSTOMER/heartbeats.json. It opens
// nothing before the first beat or check.
func NewRegistry(dir string) *Registry {
	return &Registry{
		path:  func(customer string) string { return filepath.Join(dir, customer, "heartbeats.json") },
		books: make(map[string]map[string]history),
	}
}

// Declare says which heartbeats are taken, by customer; others are ErrUnknown.
func (r *Registry) Declare(names map[string][]string) {
	declared := make(map[string]map[string]bool, len(names))
	for customer, ns := range names {
		declared[customer] = make(map[string]bool, len(ns))
		for _, n := range ns {
			declared[customer][n] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.declared = declared
}

// Beat takes a beat. When it returns nil, the beat survives a crash.
func (r *Registry) Beat(customer, name string, b Beat) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.declared[customer][name] {
		return fmt.Errorf("%w: %.130q", ErrUnknown, name)
	}
	return r.change(customer, func(book map[string]history) {
		h := book[name]
		h.Last, h.Failed, h.Exit, h.Seconds = b.At.UnixMilli(), !b.OK, b.Exit, nil
		if b.Duration != nil {
			s := b.Duration.Seconds()
			h.Seconds = &s
		}
		if b.OK {
			h.Success = b.At.UnixMilli()
			h.OKs++
		} else {
			h.Failures++
		}
		book[name] = h
	})
}

// check returns the histories of jobs, which it takes note of at the first check,
// and those of heartbeats that are declared no more.
func (r *Registry) check(customer string, jobs []Job, at time.Time) (declared, gone map[string]history, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	book, err := r.book(customer)
	if err != nil {
		return nil, nil, err
	}
	fresh := slices.ContainsFunc(jobs, func(j Job) bool {
		return book[j.Name].Declared == 0 || book[j.Name].Instance != j.instance()
	})
	if fresh {
		err = r.change(customer, func(book map[string]history) {
			for _, j := range jobs {
				h := book[j.Name]
				if h.Declared == 0 {
					h.Declared = at.UnixMilli()
				}
				h.Instance = j.instance()
				book[j.Name] = h
			}
		})
		book = r.books[customer]
	}
	declared, gone = make(map[string]history), maps.Clone(book)
	for _, j := range jobs {
		declared[j.Name] = book[j.Name]
		delete(gone, j.Name)
	}
	return declared, gone, err
}

// forget drops heartbeats that are declared no more.
func (r *Registry) forget(customer string, gone map[string]history) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.change(customer, func(book map[string]history) {
		for name := range gone {
			if !r.declared[customer][name] {
				delete(book, name)
			}
		}
	})
}

// change changes a customer's book on the disk and then here.
func (r *Registry) change(customer string, f func(map[string]history)) error {
	book, err := r.book(customer)
	if err != nil {
		return err
	}
	next := maps.Clone(book)
	f(next)
	if err := statefile.Save(r.path(customer), next); err != nil {
		return err
	}
	r.books[customer] = next
	return nil
}

// book returns a customer's histories, read at the first call.
func (r *Registry) book(customer string) (map[string]history, error) {
	if b, ok := r.books[customer]; ok {
		return b, nil
	}
	b := make(map[string]history)
	if _, err := statefile.Load(r.path(customer), &b); err != nil {
		return nil, err
	}
	if b == nil { // the file holds null
		b = make(map[string]history)
	}
	r.books[customer] = b
	return b, nil
}
