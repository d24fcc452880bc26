//go:build unix

package aliyunsoak

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// calls tells and checks what an account's calls came to: by API, within a second.
func (c *customer) calls(t *testing.T) [][]string {
	t.Helper()
	var rows [][]string
	total, peaks := c.cloud.total(), c.cloud.peaks()
	for _, api := range slices.Sorted(maps.Keys(total)) {
		allowed := c.cfg.Rate(api)
		rows = append(rows, []string{c.name, api, strconv.Itoa(total[api]), strconv.Itoa(peaks[api]), fmt.Sprint(allowed)})
		// Within any second: what the rate allows, and the one that may come at once.
		if limit := int(math.Ceil(allowed)) + 1; peaks[api] > limit {
			t.Errorf("%s: %d calls of %s within a second, allowed are %v", c.name, peaks[api], api, allowed)
		}
	}
	return rows
}

// month tells and checks what an account's metric queries of the month came to.
func (c *customer) month(t *testing.T, p *process, s schedule) []string {
	t.Helper()
	own := p.own(t)
	of := func(name string) float64 {
		v, ok := own[fmt.Sprintf("watchkeeper_aliyun_%s{customer=%q,account=%q}", name, c.name, c.cfg.Name)]
		if !ok {
			t.Errorf("no own metric %s of %s", name, c.name)
		}
		return v
	}
	used, counted, forecast, level := float64(c.cloud.QuotaUsed()), of("month_calls"), of("month_calls_forecast"), of("degrade_level")
	// Each crash forgets the calls of at most the ten seconds since the counts were
	// saved; those that failed count for us and not for the provider.
	forgotten := 0.0
	for _, e := range s.events {
		if e.kind == crash {
			forgotten += 10 * c.cfg.Rate("Cms.DescribeMetricList")
		}
	}
	if counted < used-forgotten {
		t.Errorf("%s: %v calls of the month counted, the provider counted %v", c.name, counted, used)
	}
	limit := float64(c.cfg.CallsPerMonth)
	if used > limit {
		t.Errorf("%s: %v calls, %v allowed", c.name, used, limit)
	}
	left := time.Until(monthEnd(time.Now()))
	planned := float64(c.plan.Totals[0].CountedCalls) / (30 * 24 * time.Hour).Seconds()
	if want := counted + planned*left.Seconds(); math.Abs(forecast-want) > 0.05*want {
		t.Errorf("%s: forecast %.0f, by the plan %.0f", c.name, forecast, want)
	}
	if over := forecast > limit; over != (level > 0) || over != c.plan.Over() {
		t.Errorf("%s: forecast %.0f with a limit of %.0f at level %v; over by the plan: %v", c.name, forecast, limit, level, c.plan.Over())
	}
	return []string{c.name, fmt.Sprintf("%.0f", used), fmt.Sprintf("%.0f", counted), fmt.Sprintf("%.0f", forecast), fmt.Sprintf("%.0f", limit), fmt.Sprint(level)}
}

// monthEnd in the provider's zone.
func monthEnd(now time.Time) time.Time {
	zone := time.FixedZone("UTC+8", 8*60*60)
	y, m, _ := now.In(zone).Date()
	return time.Date(y, m+1, 1, 0, 0, 0, 0, zone)
}

// own are the process' own metrics.
func (p *process) own(t *testing.T) map[string]float64 {
	t.Helper()
	var text bytes.Buffer
	p.set.WritePrometheus(&text)
	out := map[string]float64{}
	for line := range strings.Lines(text.String()) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		out[name+"}"] = v
	}
	return out
}
