package scrape

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/sample"
)

const (
	customerLabel = "customer"
	// reservedNames begins the names by which the store keeps a source's facts.
	reservedNames = "watchkeeper_source_"
	// maxSourceBytes bounds a source's name; a longer one ends in its hash.
	maxSourceBytes = 400
	// forgetAfter is after how many good scrapes a series is forgotten that
	// bears timestamps of its own and vanished: nobody marks those stale.
	forgetAfter = 10
)

// target is what is known of one source's series between its scrapes.
type target struct {
	source sample.Source

	mu      sync.Mutex
	series  map[string]*series // by their labels' bytes
	byRef   map[storage.SeriesRef]*series
	good    uint64 // good scrapes so far
	failing bool   // the last scrape failed
	past    history
	garbled bool // an alias could not be evaluated at the last good scrape
}

// series is one series of a target. Its target's lock guards it.
type series struct {
	ref    storage.SeriesRef
	labels labels.Labels // final: with the customer
	last   int64         // newest sample that was delivered, Unix ms
	scrape uint64        // the good scrape that last had it
	alias  bool          // made from others of the target
	held   bool          // a failed scrape marked it stale; the next good one decides

	in  *appender // the scrape under way that has it
	inT int64
	inV uint64 // bits of the value
}

func newTarget(src sample.Source) *target {
	return &target{source: src, series: map[string]*series{}, byRef: map[storage.SeriesRef]*series{}, past: history{}}
}

// of returns the series that the scrape manager means by ref or, when it does
// not know one yet, by labels. The caller holds mu.
func (t *target) of(ref storage.SeriesRef, l labels.Labels, next func() storage.SeriesRef) *series {
	if s := t.byRef[ref]; s != nil {
		return s
	}
	l = owned(l, t.source.Customer)
	key := string(l.Bytes(nil))
	s := t.series[key]
	if s == nil {
		s = &series{ref: next(), labels: l}
		t.series[key] = s
		t.byRef[s.ref] = s
	}
	return s
}

// drop forgets a series. The caller holds mu.
func (t *target) drop(s *series) {
	delete(t.series, string(s.labels.Bytes(nil)))
	delete(t.byRef, s.ref)
}

// owned returns the labels with the customer's own label. What a target or its
// configuration calls customer is kept as exported_customer.
func owned(l labels.Labels, customer string) labels.Labels {
	theirs := l.Get(customerLabel)
	if theirs == customer {
		return l
	}
	b := labels.NewBuilder(l)
	if theirs != "" {
		name := model.ExportedLabelPrefix + customerLabel
		for b.Get(name) != "" {
			name = model.ExportedLabelPrefix + name
		}
		b.Set(name, theirs)
	}
	return b.Set(customerLabel, customer).Labels()
}

// sourcePrefix begins the sources' names of a job. Job names may hold slashes.
func sourcePrefix(job string) string { return Kind + "/" + url.PathEscape(job) + "/" }

// bounded cuts a long name; its hash keeps it different from others.
func bounded(name string) string {
	if len(name) <= maxSourceBytes {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(name[:maxSourceBytes-20], "") + "…" + hex.EncodeToString(sum[:8])
}
