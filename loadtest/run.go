package loadtest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Result is what a run measured. Times are seconds.
type Result struct {
	Series    int     `json:"series"`
	Interval  float64 `json:"interval_seconds"`
	Rate      float64 `json:"rate_asked"` // samples a second
	Breaching float64 `json:"breaching_ratio"`
	Seed      uint64  `json:"seed"`

	Elapsed           float64          `json:"elapsed_seconds"`
	Requests          int64            `json:"requests"`
	Statuses          map[string]int64 `json:"statuses"` // by HTTP status; "error" without an answer
	SamplesSent       int64            `json:"samples_sent"`
	SamplesAccepted   int64            `json:"samples_accepted"` // of requests answered 2xx; of the others none is counted
	SentPerSecond     float64          `json:"sent_per_second"`
	AcceptedPerSecond float64          `json:"accepted_per_second"`
	LatencyP50        float64          `json:"latency_p50_seconds"` // of answered requests, exact
	LatencyP99        float64          `json:"latency_p99_seconds"`
	LatencyMax        float64          `json:"latency_max_seconds"`
	FirstFailure      string           `json:"first_failure,omitempty"`

	Receiver *Usage `json:"receiver,omitempty"` // nil when its process is not known
	// ReceiverUnknown says why Receiver is nil.
	ReceiverUnknown string `json:"receiver_unknown,omitempty"`
	Machine         string `json:"machine"`
}

// Usage is what the receiver's process used during the run.
type Usage struct {
	PID          int32   `json:"pid"`
	CPUSeconds   float64 `json:"cpu_seconds"` // user and system
	Cores        float64 `json:"cores"`       // CPU seconds a second
	RSSBytes     uint64  `json:"rss_bytes"`   // at the end
	RSSPeakBytes uint64  `json:"rss_peak_bytes"`
}

// Run sends the workload and measures. Requests that fail are counted, not
// repeated, and are no error; a wrong configuration, a target that is not
// allowed and a cancelled context are. A cancelled run returns what it has.
func Run(ctx context.Context, cfg Config) (Result, error) {
	if err := cfg.Validate(); err != nil {
		return Result{}, fmt.Errorf("load test: %w", err)
	}
	senders := newSenders(cfg, time.Now())
	meter, unknown := newMeter(ctx, cfg)
	start := time.Now()
	err := runAll(ctx, senders, meter, start, start.Add(time.Duration(cfg.Duration)))
	result := summary(cfg, senders, time.Since(start))
	result.Receiver, result.ReceiverUnknown = meter.usage(result.Elapsed), unknown
	if err != nil {
		return result, fmt.Errorf("load test: %w", err)
	}
	return result, nil
}

// newSenders share the series. Times end at now, so that no sample lies in the
// receiver's future however fast it is sent.
func newSenders(cfg Config, now time.Time) []*sender {
	interval := time.Duration(cfg.Interval).Milliseconds()
	last := now.UnixMilli() / interval * interval
	client := newClient(cfg)
	count := min(cfg.Workers, cfg.Series)
	work := workload{seed: cfg.Seed, breaching: cfg.Breaching, interval: interval}
	senders := make([]*sender, count)
	for n := range senders {
		from, to := n*cfg.Series/count, (n+1)*cfg.Series/count
		senders[n] = &sender{
			cfg: cfg, client: client, work: work, from: from, to: to, identities: work.identities(from, to),
			first: last - int64(cfg.rounds()-1)*interval,
			tally: tally{statuses: map[string]int64{}},
		}
	}
	return senders
}

// runAll returns after all senders and the meter have ended.
func runAll(ctx context.Context, senders []*sender, meter *meter, start, stop time.Time) error {
	metering, stopMeter := context.WithCancel(ctx)
	metered := make(chan struct{})
	go func() { defer close(metered); meter.run(metering) }()
	group, sending := errgroup.WithContext(ctx)
	for _, s := range senders {
		group.Go(func() error { return s.run(sending, start, stop) })
	}
	err := group.Wait()
	stopMeter()
	<-metered
	senders[0].client.CloseIdleConnections()
	return err
}

func summary(cfg Config, senders []*sender, elapsed time.Duration) Result {
	r := Result{
		Series: cfg.Series, Interval: time.Duration(cfg.Interval).Seconds(), Rate: cfg.Rate, Breaching: cfg.Breaching, Seed: cfg.Seed,
		Elapsed: elapsed.Seconds(), Statuses: map[string]int64{},
		Machine: fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
	}
	var latencies []time.Duration
	for _, s := range senders {
		r.SamplesSent += s.sent
		r.SamplesAccepted += s.accepted
		latencies = append(latencies, s.latencies...)
		for status, n := range s.statuses {
			r.Statuses[status] += n
			r.Requests += n
		}
		if r.FirstFailure == "" {
			r.FirstFailure = s.failure
		}
	}
	r.SentPerSecond, r.AcceptedPerSecond = float64(r.SamplesSent)/r.Elapsed, float64(r.SamplesAccepted)/r.Elapsed
	slices.Sort(latencies)
	r.LatencyP50, r.LatencyP99, r.LatencyMax = quantile(latencies, 50), quantile(latencies, 99), quantile(latencies, 100)
	return r
}

// quantile is the smallest value that percent of the sorted values do not exceed.
func quantile(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1].Seconds()
}
