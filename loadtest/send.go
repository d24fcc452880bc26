package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// errNotLoopback stops a run against another machine that was not allowed.
var errNotLoopback = errors.New("not on this machine: a load test of another one must be allowed explicitly")

// newClient connects to this machine only, unless remote ones are allowed. The
// address is looked at when the connection is made, so neither a name nor a
// redirect nor a proxy leads elsewhere.
func newClient(c Config) *http.Client {
	dialer := &net.Dialer{Timeout: time.Duration(c.Timeout)}
	if !c.AllowRemote {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return err
			}
			if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
				return fmt.Errorf("%s: %w", host, errNotLoopback)
			}
			return nil
		}
	}
	return &http.Client{
		Timeout:       time.Duration(c.Timeout),
		Transport:     &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: c.Workers},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// sender owns the series [from, to) and what it measured.
type sender struct {
	cfg        Config
	client     *http.Client
	work       workload
	from, to   int
	identities [][]prompb.Label // of [from, to)
	first      int64            // time of the first round, Unix ms
	tally
}

// tally is what one sender counted.
type tally struct {
	sent, accepted int64
	latencies      []time.Duration
	statuses       map[string]int64 // HTTP status, or "error" without an answer
	failure        string           // the first one
}

// run sends round after round at the sender's share of the rate until stop.
// It fails only when nothing more makes sense: cancelled, or not allowed.
func (s *sender) run(ctx context.Context, start, stop time.Time) error {
	rate := s.cfg.Rate * float64(s.to-s.from) / float64(s.cfg.Series)
	for round := range s.cfg.rounds() {
		at := s.first + int64(round)*s.work.interval
		for from := s.from; from < s.to; from += s.cfg.Batch {
			to := min(from+s.cfg.Batch, s.to)
			due := start.Add(time.Duration(float64(s.sent) / rate * float64(time.Second)))
			if !due.Before(stop) || !time.Now().Before(stop) {
				return nil
			}
			if err := wait(ctx, due); err != nil {
				return err
			}
			if err := s.send(ctx, from, to, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func wait(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (s *sender) send(ctx context.Context, from, to int, at int64) error {
	message, err := s.work.request(from, s.identities[from-s.from:to-s.from], at).Marshal()
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(snappy.Encode(nil, message)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Encoding", "snappy")
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", "watchkeeper-loadtest")
	request.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	s.sent += int64(to - from)
	begun := time.Now()
	response, err := s.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errNotLoopback) {
			return err
		}
		s.fail("error", err.Error())
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, 200))
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	response.Body.Close()
	s.latencies = append(s.latencies, time.Since(begun))
	status := strconv.Itoa(response.StatusCode)
	if response.StatusCode/100 != 2 {
		s.fail(status, fmt.Sprintf("status %s: %q", status, body))
		return nil
	}
	s.accepted += int64(to - from)
	s.statuses[status]++
	return nil
}

// fail counts a request whose samples are not known to be accepted.
func (s *sender) fail(status, text string) {
	s.statuses[status]++
	if s.failure == "" {
		s.failure = text
	}
}
