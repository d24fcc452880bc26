package cdn_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/aliyuntest"
	"watchkeeper/exporters/aliyun/cdn"
	sim "watchkeeper/internal/sim/aliyun"
)

var noon = aliyuntest.Noon

type cloud struct{ *aliyuntest.Cloud }

type sink struct{ aliyuntest.Sink }

func newCloud(t *testing.T, domains int) cloud {
	t.Helper()
	return cloud{aliyuntest.New(t, func(cfg *sim.Config) { cfg.Products = map[string]int{"acs_cdn": domains} })}
}

// account reads the simulator through the SDK, from the time that it was read to before.
func account(t *testing.T, address string, readTo time.Time, over func(aliyun.Client) aliyun.Client) *aliyun.Account {
	t.Helper()
	return aliyuntest.Account(t, address, aliyuntest.Options{Resume: aliyuntest.ResumeAt(readTo), Over: over, Config: func(cfg *aliyun.AccountConfig) {
		cfg.Regions, cfg.Products = []string{"cn-hangzhou", "cn-beijing"}, []string{"cdn"}
	}})
}

// counts lists what was delivered after a time, sorted.
func (s *sink) counts(after time.Time) []string {
	var out []string
	for _, b := range s.Batches() {
		for _, x := range b.Samples {
			if x.T > after.UnixMilli() {
				out = append(out, line(x.Labels.Get("__name__"), x.Labels.Get("instance"), x.Labels.Get("class"), time.UnixMilli(x.T), x.V))
			}
		}
	}
	slices.Sort(out)
	return out
}

func line(name, domain, class string, t time.Time, v float64) string {
	return fmt.Sprintf("%s %s %s %s %.0f", domain, t.UTC().Format("15:04:05"), name, class, v)
}

// truth lists the counts by class of every slot that ends in (from, to].
func (c cloud) truth(from, to time.Time) []string {
	var out []string
	for _, domain := range c.Instances("acs_cdn") {
		for end := from.Add(5 * time.Minute); !end.After(to); end = end.Add(5 * time.Minute) {
			for name, source := range map[string]bool{cdn.Requests: false, cdn.OriginRequests: true} {
				classes := map[string]int64{"1xx": 0, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0, "other": 0}
				for code, n := range c.DomainCodes(domain, source, end.Add(-5*time.Minute)) {
					classes[fmt.Sprintf("%dxx", code/100)] += n
				}
				for class, n := range classes {
					out = append(out, line(name, domain, class, end, float64(n)))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// Each slot of each domain comes once, a quarter of an hour late, with the exact
// counts; errors of the CDN can be told from those of the origin.
func TestCountsAreExact(t *testing.T) {
	c := newCloud(t, 4)
	domains := c.Instances("acs_cdn")
	c.Hit(t,
		sim.DomainErrors{Domain: domains[0], From: noon.Add(10 * time.Minute), To: noon.Add(20 * time.Minute), Code: 503, Ratio: 0.2},
		sim.DomainErrors{Domain: domains[1], From: noon.Add(10 * time.Minute), To: noon.Add(20 * time.Minute), Code: 504, Ratio: 0.5, Source: true},
		sim.Outage{Kind: sim.Truncated, When: sim.When{API: "Cdn.DescribeDomainHttpCodeData", From: noon.Add(34 * time.Minute), To: noon.Add(44 * time.Minute)}},
	)
	jobs := cdn.Jobs(account(t, c.Address, noon, nil))
	if len(jobs) != 1 {
		t.Fatalf("%d jobs for an account with two regions, want 1", len(jobs))
	}
	out := &sink{}
	failed := 0
	for at := noon.Add(5*time.Minute + 17*time.Second); at.Before(noon.Add(76 * time.Minute)); at = at.Add(5 * time.Minute) {
		c.Set(at)
		if jobs[0].Collector.Collect(t.Context(), at, out) != nil {
			failed++
		}
	}
	if failed == 0 {
		t.Error("no collection failed in the outage")
	}
	if d := cmp.Diff(c.truth(noon, noon.Add(60*time.Minute)), out.counts(noon)); d != "" {
		t.Error(d)
	}
	last := out.Batches()[len(out.Batches())-2] // the last one is the list's
	if last.Watermark != noon.Add(60*time.Minute).UnixMilli() {
		t.Errorf("watermark %s", time.UnixMilli(last.Watermark).UTC())
	}
	if got := out.Batches()[0].Samples; len(got) > 0 && got[0].Labels.Get("region") != "" {
		t.Errorf("a domain has a region: %s", got[0].Labels)
	}
}

// strange answers are those of a service that changes its mind.
type strange struct {
	aliyun.Client
	body string
}

func (s strange) Do(ctx context.Context, r aliyun.Request) ([]byte, error) {
	if r.Action == "DescribeDomainHttpCodeData" || r.Action == "DescribeDomainSrcHttpCodeData" {
		return []byte(s.body), nil
	}
	return s.Client.Do(ctx, r)
}

// A slot whose counts cannot be read whole is no slot; others are not lost by it.
func TestStrangeAnswers(t *testing.T) {
	const slots = `{"DataInterval":%s,"HttpCodeData":{"UsageData":[
		{"TimeStamp":"2026-11-21T03:30:00Z","Value":{"CodeProportionData":[{"Code":"200","Count":"7"},{"Code":503,"Count":2},{"Code":"0","Count":"1"}]}},
		{"TimeStamp":"2026-11-21T03:35:00Z","Value":{"CodeProportionData":[{"Code":"200","Count":"many"},{"Code":"503","Count":"2"}]}},
		{"TimeStamp":"yesterday","Value":{"CodeProportionData":[{"Code":"200","Count":"1"}]}},
		{"TimeStamp":"2026-11-21T11:30:00Z","Value":{"CodeProportionData":[{"Code":"200","Count":"1"}]}},
		{"TimeStamp":"2026-11-21T03:40:00Z","Value":{"CodeProportionData":null}}]}}`
	for interval, want := range map[string]int{`"300"`: 24, `300`: 24, `"3600"`: 0} {
		c := newCloud(t, 1)
		a := account(t, c.Address, noon.Add(-30*time.Minute), func(client aliyun.Client) aliyun.Client {
			return strange{client, fmt.Sprintf(slots, interval)}
		})
		out := &sink{}
		c.Set(noon.Add(17 * time.Second))
		err := cdn.Jobs(a)[0].Collector.Collect(t.Context(), c.Now(), out)
		if got := out.counts(noon.Add(-40 * time.Minute)); len(got) != want || (want == 0) != (err != nil) {
			t.Errorf("interval %s: %v, %d samples: %v", interval, err, len(got), got)
		}
	}
}

func TestNothingIsCollectedWithoutTheProduct(t *testing.T) {
	if jobs := cdn.Jobs(aliyuntest.Account(t, newCloud(t, 1).Address, aliyuntest.Options{})); len(jobs) != 0 {
		t.Errorf("%d jobs", len(jobs))
	}
}
