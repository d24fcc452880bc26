package server

import "watchkeeper/internal/sample"

// Presence remembers the series of things that come and go inside one server
// (containers, replication channels), so that one that is gone ends its series
// instead of leaving them silent.
type Presence struct {
	last, now map[string][]sample.Sample
}

// Add calls add; the samples that it adds are those of the thing named key.
func (p *Presence) Add(r *Reading, key string, add func()) {
	before := len(r.Samples())
	add()
	if p.now == nil {
		p.now = make(map[string][]sample.Sample)
	}
	p.now[key] = r.Samples()[before:]
}

// Settle ends the series of what the check before saw and this one did not. It
// is called only when the server has listed all there is.
func (p *Presence) Settle(r *Reading, reason string) {
	for key, samples := range p.last {
		if _, ok := p.now[key]; !ok {
			r.End(samples, reason)
		}
	}
	p.last, p.now = p.now, nil
}

// Carry takes the place of Settle when the server has not listed all there is:
// nothing ends, and what it did list is what the next check compares with; if it
// listed nothing, that is what was known before.
func (p *Presence) Carry() {
	if p.now != nil {
		p.last, p.now = p.now, nil
	}
}
