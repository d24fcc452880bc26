package loadtest

import (
	"fmt"

	"github.com/prometheus/prometheus/prompb"
)

// shape is one kind of series of the contract: a percentage with its limit.
type shape struct {
	metric, product string
	dimension       string // a further label, or none
	limit           float64
}

var shapes = []shape{
	{"aliyun_ecs_cpu_utilization_percent", "ecs", "", 90},
	{"aliyun_ecs_memory_utilization_percent", "ecs", "", 90},
	{"aliyun_ecs_disk_utilization_percent", "ecs", "mountpoint", 90},
	{"aliyun_ecs_iowait_percent", "ecs", "", 60},
	{"aliyun_rds_cpu_utilization_percent", "rds", "", 80},
	{"aliyun_rds_disk_utilization_percent", "rds", "", 80},
	{"host_cpu_used_percent", "host", "", 90},
	{"host_memory_used_percent", "host", "", 90},
}

var regions = []string{"cn-hangzhou", "cn-shanghai", "cn-beijing", "cn-shenzhen"}

// episode is how many checks a breaching series is above its limit, and then
// below it: long enough for a rule of three checks to fire and to resolve.
const episode = 5

// workload makes series and values from a seed. A value depends on the seed,
// the series and the time only: what is sent twice is equal.
type workload struct {
	seed      uint64
	breaching float64
	interval  int64 // milliseconds
}

// labels are the series' identity, sorted by name as remote write asks.
func (w workload) labels(series int) []prompb.Label {
	s := shapes[series%len(shapes)]
	list := []prompb.Label{
		{Name: "__name__", Value: s.metric},
		{Name: "instance", Value: fmt.Sprintf("load-%d-%07d", w.seed, series/len(shapes))},
	}
	if s.dimension != "" {
		list = append(list, prompb.Label{Name: s.dimension, Value: "/data"})
	}
	return append(list,
		prompb.Label{Name: "product", Value: s.product},
		prompb.Label{Name: "region", Value: regions[series/len(shapes)%len(regions)]},
	)
}

// breaches says whether a series is one of those that break their limit.
func (w workload) breaches(series int) bool {
	return w.share(series, 0) < w.breaching
}

// value is the series' sample at a time in milliseconds.
func (w workload) value(series int, at int64) float64 {
	limit := shapes[series%len(shapes)].limit
	share := w.share(series, at)
	if w.breaches(series) && at/w.interval/episode%2 == 0 {
		return limit + share*(100-limit)
	}
	return limit * 0.8 * share
}

// share is an even spread over [0, 1): the finalizer of SplitMix64 over the
// seed, the series and the time. A generator for each value would cost more
// than the rest of the sender.
func (w workload) share(series int, at int64) float64 {
	x := w.seed
	for _, part := range []uint64{uint64(series), uint64(at)} {
		x += part + 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return float64(x>>11) / (1 << 53)
}

// identities are the labels of the series [from, to), made once.
func (w workload) identities(from, to int) [][]prompb.Label {
	all := make([][]prompb.Label, 0, to-from)
	for series := from; series < to; series++ {
		all = append(all, w.labels(series))
	}
	return all
}

// request is one sample at a time for the series from `from` on, one for each
// identity.
func (w workload) request(from int, identities [][]prompb.Label, at int64) *prompb.WriteRequest {
	r := &prompb.WriteRequest{Timeseries: make([]prompb.TimeSeries, 0, len(identities))}
	for n, labels := range identities {
		r.Timeseries = append(r.Timeseries, prompb.TimeSeries{
			Labels:  labels,
			Samples: []prompb.Sample{{Value: w.value(from+n, at), Timestamp: at}},
		})
	}
	return r
}
