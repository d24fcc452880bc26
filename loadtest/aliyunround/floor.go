//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// floor reads the answers of the rounds once more, as plainly as can be done: one
// request after the other over one connection, encoding/json into structs.
func floor(ctx context.Context, address string) (figures, error) {
	n, err := get(ctx, "http://"+address+"/floor/calls")
	if err != nil {
		return figures{}, err
	}
	var calls int
	if _, err := fmt.Sscan(string(n), &calls); err != nil {
		return figures{}, err
	}
	f := figures{calls: int64(calls)}
	cpu, began := cpuTime(), time.Now()
	for i := range calls {
		body, err := get(ctx, fmt.Sprintf("http://%s/floor/page?n=%d", address, i))
		if err != nil {
			return f, err
		}
		f.bytes += int64(len(body))
		var answer struct {
			Success                     bool
			Code, NextToken, Datapoints string
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return f, err
		}
		var points []struct {
			Timestamp                             int64  `json:"timestamp"`
			InstanceID                            string `json:"instanceId"`
			Average, Minimum, Maximum, Value, Sum float64
		}
		if err := json.Unmarshal([]byte(answer.Datapoints), &points); err != nil {
			return f, err
		}
		f.points += int64(len(points))
		f.samples += int64(len(points))
	}
	f.took, f.cpu, f.peak = time.Since(began), cpuTime()-cpu, peakRSS()
	return f, nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// cpuTime of this process, user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakRSS of this process in bytes; 0 where /proc has none.
func peakRSS() uint64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kb uint64
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		return 0
	}
	return kb << 10
}
