package ruleset

import "github.com/prometheus/prometheus/model/labels"

// index finds series by their labels.
type index struct {
	byHash map[uint64]*series // chained where hashes collide
	n      int
}

func newIndex() index { return index{byHash: map[uint64]*series{}} }

func (x *index) get(l labels.Labels) *series {
	s := x.byHash[l.Hash()]
	for s != nil && !labels.Equal(s.labels, l) {
		s = s.chain
	}
	return s
}

func (x *index) add(s *series) {
	h := s.labels.Hash()
	s.chain = x.byHash[h]
	x.byHash[h] = s
	x.n++
}

// deleteFunc forgets the series of which gone says so.
func (x *index) deleteFunc(gone func(*series) bool) {
	for h, s := range x.byHash {
		var kept *series
		for s != nil {
			next := s.chain
			if gone(s) {
				x.n--
			} else {
				s.chain, kept = kept, s
			}
			s = next
		}
		if kept == nil {
			delete(x.byHash, h)
		} else {
			x.byHash[h] = kept
		}
	}
}
