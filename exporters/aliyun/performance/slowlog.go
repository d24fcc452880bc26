package performance

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/fleet"
	"watchkeeper/internal/sample"
)

// Slow queries are counted by slots of five minutes, that of (T-5m, T] at T.
const (
	slowSlot = 5 * time.Minute
	// slowChunk bounds how much history one call asks for.
	slowChunk = 6 * time.Hour
	// slowPageSize and maxSlowPages bound what is read of one window; a slot with
	// more queries is counted by the answer's total.
	slowPageSize = 100
	maxSlowPages = 20
)

// Metrics of slow queries.
const (
	SlowQueries = "aliyun_rds_slow_queries"
	SlowLongest = "aliyun_rds_slow_query_longest_seconds"
)

// slowReader counts slow queries.
type slowReader struct {
	database
	keys     *Keys
	identity labels.Labels
}

func newSlowReader(a *aliyun.Account, d database, region string, keys *Keys) *slowReader {
	return &slowReader{database: d, keys: keys, identity: identity(a, region)}
}

var _ fleet.Reader = (*slowReader)(nil)

// List implements fleet.Reader: the instances of engines with a slow log.
func (r *slowReader) List(ctx context.Context) ([]fleet.Resource, error) {
	return r.list(ctx, func(engine string) bool {
		e := r.keys.engine(engine)
		return e != nil && e.SlowLog
	})
}

// slot is what is known of the slow queries of one.
type slot struct {
	count   int
	longest float64 // seconds
	partial bool    // longest is not known: not all were read
}

// Read implements fleet.Reader. Its windows begin and end with slots.
func (r *slowReader) Read(ctx context.Context, res fleet.Resource, from, to time.Time) ([]sample.Sample, error) {
	slots := map[time.Time]slot{}
	if err := r.count(ctx, res.ID, from, to, slots); err != nil {
		return nil, err
	}
	b := labels.NewBuilder(r.identity).Set("instance", res.ID)
	count := b.Set(model.MetricNameLabel, SlowQueries).Labels()
	longest := b.Set(model.MetricNameLabel, SlowLongest).Labels()
	var out []sample.Sample
	for end := from.Add(slowSlot); !end.After(to); end = end.Add(slowSlot) {
		s := slots[end]
		out = append(out, sample.Sample{Labels: count, T: end.UnixMilli(), V: float64(s.count)})
		if !s.partial {
			out = append(out, sample.Sample{Labels: longest, T: end.UnixMilli(), V: s.longest})
		}
	}
	return out, nil
}

// count adds the queries that began in [from, to) to their slots, by the end of
// the slot. More than can be read are counted slot by slot.
func (r *slowReader) count(ctx context.Context, id string, from, to time.Time, slots map[time.Time]slot) error {
	total, records, err := r.page(ctx, id, from, to, 1)
	if err != nil {
		return err
	}
	if total > slowPageSize*maxSlowPages {
		if to.Sub(from) <= slowSlot {
			slots[to] = slot{count: total, partial: true}
			return nil
		}
		middle := from.Add(to.Sub(from) / 2).Truncate(slowSlot)
		if !middle.After(from) {
			middle = from.Add(slowSlot)
		}
		if err := r.count(ctx, id, from, middle, slots); err != nil {
			return err
		}
		return r.count(ctx, id, middle, to, slots)
	}
	for page := 2; ; page++ {
		for _, q := range records {
			q.addTo(slots, from, to)
		}
		if len(records) == 0 || (page-1)*slowPageSize >= total {
			return nil
		}
		if _, records, err = r.page(ctx, id, from, to, page); err != nil {
			return err
		}
	}
}

// record is one slow query.
type record struct {
	ExecutionStartTime fleet.Scalar
	QueryTimes         fleet.Scalar // seconds
	QueryTimeMS        fleet.Scalar
}

// addTo counts the query if it began in [from, to): whether the service means
// EndTime to be included is not documented.
func (q record) addTo(slots map[time.Time]slot, from, to time.Time) {
	began, ok := parseTime(q.ExecutionStartTime)
	if !ok || began.Before(from) || !began.Before(to) {
		return
	}
	end := began.UTC().Truncate(slowSlot).Add(slowSlot)
	s := slots[end]
	s.count++
	seconds, ok := parseValue(string(q.QueryTimeMS))
	seconds /= 1000
	if !ok || seconds == 0 {
		seconds, _ = parseValue(string(q.QueryTimes))
	}
	s.longest = max(s.longest, seconds)
	slots[end] = s
}

func (r *slowReader) page(ctx context.Context, id string, from, to time.Time, page int) (total int, records []record, err error) {
	body, err := r.do(ctx, "DescribeSlowLogRecords", id, map[string]string{
		"StartTime": from.UTC().Format(requestLayout), "EndTime": to.UTC().Format(requestLayout),
		"PageSize": strconv.Itoa(slowPageSize), "PageNumber": strconv.Itoa(page),
	})
	if err != nil {
		return 0, nil, err
	}
	var a struct {
		TotalRecordCount fleet.Scalar
		Items            struct{ SQLSlowRecord []record }
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return 0, nil, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: "DescribeSlowLogRecords: " + err.Error()}
	}
	n, _ := a.TotalRecordCount.Int()
	return int(n), a.Items.SQLSlowRecord, nil
}
