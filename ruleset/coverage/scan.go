package coverage

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"watchkeeper/internal/journal"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

const (
	hostECSInfo = contract.HostECSInfo
	// infoSuffix ends the names of series that describe a resource.
	infoSuffix = "_info"
	// cloudPrefix begins the names of what a third party's inventory tells.
	cloudPrefix = "aliyun_"
	// recent is where a healthy series has its newest samples.
	recent = 2 * time.Hour
	// spaced is how many of the newest samples tell a series' spacing.
	spaced = 6
)

// scan is one reading of the store.
type scan struct {
	now       time.Time
	since     int64 // what is older does not count as existing, Unix ms
	selectors map[string][]*selector
	products  map[string]string // metric -> product, where series do not carry it
	ended     map[string]int64  // end marks by series
	refused   ruleset.Refuser   // nil: no limit is full, or nobody knows

	known    map[resource]bool
	listed   map[resource]int64  // newest sample of a cloud's inventory
	newest   map[[2]string]int64 // the same by customer and product
	vantages map[resource]map[string]bool
	ecsHosts map[host]bool
	windows  map[host]bool
	stopped  map[host]bool
}

func newScan(cfg Config, now time.Time, rules []*watch) *scan {
	s := &scan{
		now: now, since: now.Add(-time.Duration(cfg.Inventory)).UnixMilli(),
		selectors: map[string][]*selector{}, products: map[string]string{}, ended: map[string]int64{},
		known: map[resource]bool{}, listed: map[resource]int64{}, newest: map[[2]string]int64{}, vantages: map[resource]map[string]bool{},
		ecsHosts: map[host]bool{}, windows: map[host]bool{}, stopped: map[host]bool{},
	}
	for _, w := range rules {
		for _, sel := range w.sels {
			s.selectors[sel.metric] = append(s.selectors[sel.metric], sel)
		}
		if w.rule.Contract == nil || len(w.sels) == 0 {
			continue
		}
		row, _, _ := strings.Cut(w.rule.Contract.Row, "@")
		if r, ok := contract.LookupRow(row); ok {
			s.products[w.sels[0].metric] = products[r.Product]
		}
	}
	return s
}

// run reads every series of a declared metric, of a rule's and of an inventory.
func (s *scan) run(ctx context.Context, q storage.Queryable, j ruleset.Journal) error {
	if j != nil {
		err := j.Each(func(r journal.Record) error {
			if r.Kind == journal.KindEnd {
				s.ended[r.Labels.String()] = r.T
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	qr, err := q.Querier(s.since, s.now.UnixMilli())
	if err != nil {
		return err
	}
	defer qr.Close()
	names, err := s.metrics(ctx, qr)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.metric(ctx, qr, name); err != nil {
			return fmt.Errorf("metric %s: %w", name, err)
		}
	}
	return nil
}

// metrics lists what is stored of what is read, in order.
func (s *scan) metrics(ctx context.Context, q storage.Querier) ([]string, error) {
	stored, _, err := q.LabelValues(ctx, model.MetricNameLabel, nil)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range stored {
		_, declared := contract.LookupMetric(name)
		if declared || len(s.selectors[name]) > 0 || strings.HasSuffix(name, infoSuffix) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (s *scan) metric(ctx context.Context, q storage.Querier, name string) error {
	set := q.Select(ctx, false, nil, labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))
	var it chunkenc.Iterator
	for set.Next() {
		series := set.At()
		res, ok := s.resource(name, series.Labels())
		if !ok {
			continue
		}
		var at reading
		var err error
		if at, it, err = s.read(series, it); err != nil {
			return err
		}
		if at.last == 0 || at.stale {
			continue
		}
		s.take(name, res, series.Labels(), at)
	}
	return set.Err()
}

// resource identifies what a series is about. Series without a product are of
// the product whose row reads their metric.
func (s *scan) resource(name string, l labels.Labels) (resource, bool) {
	at := placeOf(l)
	r := resource{customer: at.customer, product: l.Get("product"), region: l.Get("region"), instance: at.instance}
	if r.product == "" {
		r.product = s.products[name]
	}
	return r, r.instance != "" && len(rowsOf[r.product]) > 0
}

// reading is what the newest samples of a series say.
type reading struct {
	last, spacing int64
	value         float64
	stale         bool // the series ended
}

// read looks at the newest samples. It seeks near now first: a healthy series
// has its newest there, and old chunks are not decoded.
func (s *scan) read(series storage.Series, it chunkenc.Iterator) (reading, chunkenc.Iterator, error) {
	at, it, err := newest(series, it, s.now.Add(-recent).UnixMilli())
	if err == nil && (at.last == 0 || at.spacing == 0) {
		at, it, err = newest(series, it, s.since)
	}
	if len(s.ended) > 0 {
		end, ok := s.ended[series.Labels().String()]
		at.stale = at.stale || ok && end >= at.last
	}
	return at, it, err
}

func newest(series storage.Series, it chunkenc.Iterator, from int64) (reading, chunkenc.Iterator, error) {
	it = series.Iterator(it)
	var ring [spaced]int64
	n := 0
	var at reading
	for typ := it.Seek(from); typ != chunkenc.ValNone; typ = it.Next() {
		if typ != chunkenc.ValFloat {
			at.last = it.AtT()
			continue
		}
		t, v := it.At()
		if math.IsNaN(v) {
			at.stale = value.IsStaleNaN(v)
			continue // no value, whatever else it says
		}
		at.last, at.value, at.stale = t, v, false
		ring[n%spaced] = t
		n++
	}
	if k := min(n, spaced); k > 1 {
		oldest := slices.Min(ring[:k])
		at.spacing = (at.last - oldest) / int64(k-1)
	}
	return at, it, it.Err()
}

// take notes a live series.
func (s *scan) take(name string, res resource, l labels.Labels, at reading) {
	s.known[res] = true
	for _, sel := range s.selectors[name] {
		if sel.matches(l) {
			sel.add(res, at)
			if s.refused != nil && sel.own != "" {
				sel.note(res, s.refused(sel.own, l.DropReserved(func(n string) bool { return n == model.MetricNameLabel })))
			}
		}
	}
	s.describe(name, res, l, at)
}

func (s *selector) add(res resource, at reading) {
	x := s.seen[res]
	if x == nil {
		x = &sight{}
		s.seen[res] = x
	}
	x.series++
	if at.last > x.last {
		x.last, x.spacing = at.last, at.spacing
	}
}

// note counts a series of the resource that a limit keeps from being judged.
func (s *selector) note(res resource, limit string) {
	if limit != "" {
		s.seen[res].refused++
		s.seen[res].limit = limit
	}
}

// describe takes the facts by which rows do or do not apply.
func (s *scan) describe(name string, res resource, l labels.Labels, at reading) {
	switch name {
	case hostECSInfo:
		s.ecsHosts[host{res.customer, contract.ProductHost, res.instance}] = true
	case contract.AliyunECSRunning:
		s.stopped[res.onHost()] = at.value == 0
	case contract.ProbeHTTPCode:
		if s.vantages[res] == nil {
			s.vantages[res] = map[string]bool{}
		}
		s.vantages[res][l.Get("vantage")] = true
	}
	if !strings.HasSuffix(name, infoSuffix) {
		return
	}
	if strings.Contains(strings.ToLower(l.Get("os")+" "+l.Get("platform")), "windows") {
		s.windows[res.onHost()] = true
	}
	if strings.HasPrefix(name, cloudPrefix) {
		key := [2]string{res.customer, res.product}
		s.listed[res] = max(s.listed[res], at.last)
		s.newest[key] = max(s.newest[key], at.last)
	}
}

// resources lists the resources that exist. One that the cloud's inventory no
// longer lists, while it lists others, is gone.
func (s *scan) resources() []resource {
	out := slices.Collect(maps.Keys(s.known))
	out = slices.DeleteFunc(out, func(r resource) bool {
		at, listed := s.listed[r]
		return listed && s.newest[[2]string{r.customer, r.product}]-at > recent.Milliseconds()
	})
	slices.SortFunc(out, compareResources)
	return out
}
