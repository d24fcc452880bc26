package loadtest

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"watchkeeper/internal/table"
)

// WriteJSON writes the result, indented.
func WriteJSON(w io.Writer, r Result) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("load test result: %w", err)
	}
	return nil
}

// WriteTable writes the result for a person.
func WriteTable(w io.Writer, r Result) error {
	rows := [][]string{
		{"workload", fmt.Sprintf("%d series, one sample every %gs each, %g%% of them breaching, seed %d", r.Series, r.Interval, r.Breaching*100, r.Seed)},
		{"rate asked", fmt.Sprintf("%.0f samples/s", r.Rate)},
		{"sent", fmt.Sprintf("%.0f samples/s (%d in %.2f s, %d requests)", r.SentPerSecond, r.SamplesSent, r.Elapsed, r.Requests)},
		{"accepted", fmt.Sprintf("%.0f samples/s (%d)", r.AcceptedPerSecond, r.SamplesAccepted)},
		{"latency", fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, max %.1f ms", r.LatencyP50*1000, r.LatencyP99*1000, r.LatencyMax*1000)},
		{"answers", statuses(r.Statuses)},
	}
	if r.FirstFailure != "" {
		rows = append(rows, []string{"first failure", r.FirstFailure})
	}
	if u := r.Receiver; u != nil {
		rows = append(rows, []string{"receiver", fmt.Sprintf("process %d: %.2f CPU s (%.2f cores), RSS %.1f MiB, peak %.1f MiB",
			u.PID, u.CPUSeconds, u.Cores, mebibytes(u.RSSBytes), mebibytes(u.RSSPeakBytes))})
	} else {
		rows = append(rows, []string{"receiver", "not measured: " + r.ReceiverUnknown})
	}
	rows = append(rows, []string{"machine", r.Machine})
	if err := table.Write(w, nil, rows); err != nil {
		return fmt.Errorf("load test result: %w", err)
	}
	return nil
}

func statuses(counts map[string]int64) string {
	var parts []string
	for status, n := range counts {
		parts = append(parts, fmt.Sprintf("%s: %d", status, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func mebibytes(bytes uint64) float64 { return float64(bytes) / (1 << 20) }
