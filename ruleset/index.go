package ruleset

import "github.com/prometheus/prometheus/model/labels"

// index finds series by their labels, and by the store's numbers for them.
type index struct {
	byHash [hashShards]map[uint64]*series // chained where hashes collide
	n      int
	byRef  []refPage
}

// refPage holds what is hot of the series with neighbouring numbers. Numbers grow
// for as long as the process lives; a page that nobody needs any more is let go.
type refPage struct {
	n   int               // places taken
	hot *[refsPerPage]hot // nil when none is
}

const refsPerPage = 256

// hashShards is into how many maps series are put by their hash, so that one can be
// looked through in a moment.
const hashShards = 256

func newIndex() index {
	var x index
	for i := range x.byHash {
		x.byHash[i] = map[uint64]*series{}
	}
	return x
}

func (x *index) get(l labels.Labels) *series {
	h := l.Hash()
	s := x.byHash[h%hashShards][h]
	for s != nil && !labels.Equal(s.labels, l) {
		s = s.chain
	}
	return s
}

// ofRef returns nil for a number that it does not know, 0 among them.
func (x *index) ofRef(ref uint64) *hot {
	page := ref / refsPerPage
	if page >= uint64(len(x.byRef)) {
		return nil
	}
	places := x.byRef[page].hot
	if places == nil {
		return nil
	}
	if h := &places[ref%refsPerPage]; h.of != nil {
		return h
	}
	return nil
}

// setRef makes ref the number of the series. The store gives a series another
// one when it had forgotten it.
func (x *index) setRef(s *series, ref uint64) {
	if ref == 0 || ref == s.ref {
		return
	}
	x.dropRef(s)
	for ref/refsPerPage >= uint64(len(x.byRef)) {
		x.byRef = append(x.byRef, refPage{})
	}
	page := &x.byRef[ref/refsPerPage]
	if page.hot == nil {
		page.hot = new([refsPerPage]hot)
	}
	page.n++
	h := &page.hot[ref%refsPerPage]
	*h = *s.hot
	s.ref, s.hot = ref, h
}

// dropRef takes the number from the series.
func (x *index) dropRef(s *series) {
	if s.ref == 0 {
		return
	}
	h := *s.hot
	*s.hot = hot{}
	page := &x.byRef[s.ref/refsPerPage]
	if page.n--; page.n == 0 {
		page.hot = nil
	}
	s.ref, s.hot = 0, &h
}

func (x *index) add(s *series) {
	h := s.labels.Hash()
	shard := x.byHash[h%hashShards]
	s.chain = shard[h]
	shard[h] = s
	x.n++
}

// remove forgets one series.
func (x *index) remove(s *series) {
	h := s.labels.Hash()
	m := x.byHash[h%hashShards]
	x.dropRef(s)
	x.n--
	if first := m[h]; first != s {
		for first.chain != s {
			first = first.chain
		}
		first.chain = s.chain
	} else if s.chain != nil {
		m[h] = s.chain
	} else {
		delete(m, h)
	}
}

// deleteFunc forgets the series of a shard of which gone says so.
func (x *index) deleteFunc(shard int, gone func(*series) bool) {
	m := x.byHash[shard]
	for h, s := range m {
		var kept *series
		for s != nil {
			next := s.chain
			if gone(s) {
				x.dropRef(s)
				x.n--
			} else {
				s.chain, kept = kept, s
			}
			s = next
		}
		if kept == nil {
			delete(m, h)
		} else {
			m[h] = kept
		}
	}
}
