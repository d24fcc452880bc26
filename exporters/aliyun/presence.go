package aliyun

import (
	"sync"
	"time"
)

// Conditions under which an instance counts as gone.
const (
	// goneAnswers is how many whole, non-empty lists in a row must lack it.
	goneAnswers = 2
	// goneDelay must pass since the first of them, so that points which were
	// measured after it and are published late have had time to arrive.
	goneDelay = 10 * time.Minute
)

// Presence brings together what two sources say of a product's instances in
// one region: the inventory and the points. An instance has ended only when
// both agree; an empty list, which is also the answer to a missing permission,
// says nothing. Several collectors use it at once.
type Presence struct {
	mu        sync.Mutex
	answers   int                  // whole, non-empty lists so far
	firstList time.Time            // time of the first of them
	listed    map[string]listed    // guarded by mu
	newest    map[string]time.Time // newest point by instance
}

type listed struct {
	answer int       // number of the last list that had it
	absent time.Time // time of the first list after it that lacked it; zero: none
}

// NewPresence knows nothing yet.
func NewPresence() *Presence {
	return &Presence{listed: map[string]listed{}, newest: map[string]time.Time{}}
}

// List takes a whole answer of the inventory.
func (p *Presence) List(at time.Time, ids []string) {
	if len(ids) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers++
	if p.answers == 1 {
		p.firstList = at
	}
	for _, id := range ids {
		p.listed[id] = listed{answer: p.answers}
	}
	for id, l := range p.listed {
		if l.answer != p.answers && l.absent.IsZero() {
			l.absent = at
			p.listed[id] = l
		}
	}
}

// Point notes an instance's newest point. Before the first list nothing needs it.
func (p *Presence) Point(id string, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answers > 0 && t.After(p.newest[id]) {
		p.newest[id] = t
	}
}

// Gone reports whether both sources agree that the instance has ended: it was
// absent from goneAnswers lists in a row, and no point of it is newer than the
// first of them.
func (p *Presence) Gone(id string, at time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, known := p.listed[id]
	if !known {
		// Never listed since the start: absent from all lists.
		l.absent = p.firstList
	}
	return p.answers-l.answer >= goneAnswers &&
		!at.Before(l.absent.Add(goneDelay)) &&
		!p.newest[id].After(l.absent)
}

// Forget drops what is known of an instance that has ended long ago.
func (p *Presence) Forget(before time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, t := range p.newest {
		if t.Before(before) {
			delete(p.newest, id)
		}
	}
	for id, l := range p.listed {
		if !l.absent.IsZero() && l.absent.Before(before) {
			delete(p.listed, id)
		}
	}
}
