package aliyun

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/internal/sample"
)

// t0 is a whole minute, from which tests count.
var t0 = time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }

// fakePoint is a point of the fake cloud and when it can be seen.
type fakePoint struct {
	instance  string
	t         time.Time
	published time.Time
	value     float64
}

// fakeClient is a cloud whose points a test lists.
type fakeClient struct {
	Client

	now      func() time.Time
	points   []fakePoint
	pageSize int
	// fail is asked before each call with the number of calls so far.
	fail    func(call int) error
	queries []MetricQuery
	calls   int
}

func (f *fakeClient) MetricList(ctx context.Context, q MetricQuery) (MetricPage, error) {
	f.calls++
	f.queries = append(f.queries, q)
	if f.fail != nil {
		if err := f.fail(f.calls); err != nil {
			return MetricPage{}, err
		}
	}
	var found []map[string]any
	for _, p := range f.points {
		if p.t.After(q.Start) && !p.t.After(q.End) && !p.published.After(f.now()) {
			found = append(found, map[string]any{"timestamp": p.t.UnixMilli(), "userId": "1", "instanceId": p.instance, "Average": p.value, "Maximum": p.value + 1})
		}
	}
	return page(found, q.NextToken, f.pageSize)
}

func page(found []map[string]any, token string, size int) (MetricPage, error) {
	from, _ := strconv.Atoi(token)
	to := len(found)
	next := ""
	if size > 0 && from+size < len(found) {
		to = from + size
		next = strconv.Itoa(to)
	}
	text, err := json.Marshal(append([]map[string]any{}, found[from:to]...))
	return MetricPage{Datapoints: string(text), NextToken: next}, err
}

// memorySink keeps what it was given, and refuses when fail says so.
type memorySink struct {
	batches []sample.Batch
	fail    func() error
}

func (s *memorySink) Append(ctx context.Context, b sample.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.fail != nil {
		if err := s.fail(); err != nil {
			return err
		}
	}
	s.batches = append(s.batches, b)
	return nil
}

// delivered lists all samples as "instance@minute=value", sorted.
func (s *memorySink) delivered() []string {
	var out []string
	for _, b := range s.batches {
		for _, x := range b.Samples {
			out = append(out, fmt.Sprintf("%s@%d=%v", x.Labels.Get("instance"), (x.T-t0.UnixMilli())/60000, x.V))
		}
	}
	slices.Sort(out)
	return out
}

// ups lists the minutes of all up-samples of 1, sorted.
func (s *memorySink) ups() []int {
	var out []int
	for _, b := range s.batches {
		for _, u := range b.Ups {
			if u.OK {
				out = append(out, int((u.T-t0.UnixMilli())/60000))
			}
		}
	}
	slices.Sort(out)
	return out
}

func (s *memorySink) ends() map[string]string {
	out := map[string]string{}
	for _, b := range s.batches {
		for _, e := range b.Ends {
			out[e.Labels.String()] = e.Reason
		}
	}
	return out
}

func (s *memorySink) last() sample.Batch { return s.batches[len(s.batches)-1] }

// testAccount is an account over the fake cloud.
func testAccount(t *testing.T, client Client, resume ResumeFunc, change func(*AccountConfig)) *Account {
	t.Helper()
	cfg := AccountConfig{Name: "main", Regions: []string{"cn-hangzhou"}, AccessKeyID: "testid", AccessKeySecret: NewSecret("testsecret")}
	if change != nil {
		change(&cfg)
	}
	set := metrics.NewSet()
	accounts, err := New(Config{Accounts: []AccountConfig{cfg}}, "acme", Deps{
		NewClient: func(ClientConfig) (Client, error) { return client, nil },
		Budgets:   NewBudgets(set), Resume: resume, Metrics: set, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return accounts[0]
}

// cpuCollector reads CPUUtilization without the caller's retries and limits.
func cpuCollector(t *testing.T, client Client, resume ResumeFunc, change func(*AccountConfig)) *metricCollector {
	t.Helper()
	a := testAccount(t, client, resume, change)
	for _, m := range a.metrics {
		if m.Metric == "CPUUtilization" {
			return a.metric(m, "cn-hangzhou", client)
		}
	}
	t.Fatal("no CPUUtilization in the catalogue")
	return nil
}

// atMinute is a scheduled time within the minute after n, away from the edges.
func atMinute(n int) time.Time { return minute(n).Add(17 * time.Second) }
