// Package loadtest measures a receiver of remote write: it makes a seeded
// workload of contract-shaped series, sends it at a given rate and says what
// was accepted, how long answers took and what the receiver used meanwhile.
//
// Run is what to call. It writes to this machine only, unless told otherwise.
package loadtest

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"time"

	"github.com/prometheus/common/model"
)

// maxHistory is how far back the first sample may lie: the receiver's
// out-of-order window.
const maxHistory = 24 * time.Hour

// maxRequests bounds the latencies that are kept.
const maxRequests = 5_000_000

// Config describes one run.
type Config struct {
	// URL is the remote-write address. Default http://127.0.0.1:9371/api/v1/write.
	URL string `yaml:"url"`
	// AllowRemote permits a URL that is not on this machine. Default false.
	AllowRemote bool `yaml:"allow_remote"`
	// Series is the number of series. Default 1000, at most 1,000,000.
	Series int `yaml:"series"`
	// Interval is the time between two samples of a series. Default 1m.
	Interval model.Duration `yaml:"interval"`
	// Rate is the number of samples to send in a second. Default 10000.
	Rate float64 `yaml:"rate"`
	// Duration is how long to send. Default 10s, at most 24h.
	Duration model.Duration `yaml:"duration"`
	// Batch is the largest number of samples in a request. Default 1000, at most 20,000.
	Batch int `yaml:"batch"`
	// Workers is the number of concurrent senders; each owns its share of the
	// series, so that no series is sent out of order. Default 4, at most 256.
	Workers int `yaml:"workers"`
	// Breaching is the share of series that break their contract's limit, five
	// checks out of ten. Default 0.01.
	Breaching float64 `yaml:"breaching"`
	// Seed fixes every name and value. Default 1.
	Seed uint64 `yaml:"seed"`
	// Timeout bounds a request. Default 10s.
	Timeout model.Duration `yaml:"timeout"`
	// PID is the receiver's process. Default 0: the one that listens at URL, if it is on this machine.
	PID int32 `yaml:"pid"`
}

// DefaultConfig is a small run against a server on this machine.
func DefaultConfig() Config {
	return Config{
		URL: "http://127.0.0.1:9371/api/v1/write", Series: 1000, Interval: model.Duration(time.Minute),
		Rate: 10_000, Duration: model.Duration(10 * time.Second), Batch: 1000, Workers: 4, Breaching: 0.01,
		Seed: 1, Timeout: model.Duration(10 * time.Second),
	}
}

// Validate names the first field that is wrong.
func (c Config) Validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("url: %q is not an http or https address", c.URL)
	}
	for _, bound := range []struct {
		path            string
		value, min, max float64
	}{
		{"series", float64(c.Series), 1, 1_000_000},
		{"interval", time.Duration(c.Interval).Seconds(), 0.001, 86_400},
		{"rate", c.Rate, 0.001, 100_000_000},
		{"duration", time.Duration(c.Duration).Seconds(), 0.001, 86_400},
		{"batch", float64(c.Batch), 1, 20_000},
		{"workers", float64(c.Workers), 1, 256},
		{"breaching", c.Breaching, 0, 1},
		{"timeout", time.Duration(c.Timeout).Seconds(), 0.001, 3600},
	} {
		// Written so that NaN fails.
		if !(bound.value >= bound.min && bound.value <= bound.max) {
			return fmt.Errorf("%s: %v is not in %v to %v", bound.path, bound.value, bound.min, bound.max)
		}
	}
	if time.Duration(c.Interval)%time.Millisecond != 0 {
		return errors.New("interval: not whole milliseconds")
	}
	if history := float64(c.rounds()) * time.Duration(c.Interval).Seconds(); history > maxHistory.Seconds() {
		return fmt.Errorf("rate: needs %.0f s of history, more than %.0f s: take more series, a shorter interval or a lower rate", history, maxHistory.Seconds())
	}
	if c.rounds()*c.requestsPerRound() > maxRequests {
		return fmt.Errorf("batch: makes %d requests, more than %d", c.rounds()*c.requestsPerRound(), maxRequests)
	}
	return nil
}

// rounds is how often each series is sent a sample, at most.
func (c Config) rounds() int {
	return int(math.Ceil(c.Rate * time.Duration(c.Duration).Seconds() / float64(c.Series)))
}

func (c Config) requestsPerRound() int { return c.Series/c.Batch + c.Workers }
