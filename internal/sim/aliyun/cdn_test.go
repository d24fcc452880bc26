package aliyun

import (
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	httpCodes   = api{"cdn.aliyuncs.com", cdnVersion, "DescribeDomainHttpCodeData"}
	originCodes = api{"cdn.aliyuncs.com", cdnVersion, "DescribeDomainSrcHttpCodeData"}
)

func codeRange(domain string, from, to time.Time, interval string) map[string]string {
	return map[string]string{"DomainName": domain, "StartTime": from.UTC().Format(secondLayout), "EndTime": to.UTC().Format(secondLayout), "Interval": interval}
}

// codesOf reads the counts of an answer by its intervals.
func codesOf(t *testing.T, body object) map[string]map[int]int64 {
	t.Helper()
	out := map[string]map[int]int64{}
	for _, slot := range items(t, body, "HttpCodeData.UsageData") {
		counts := map[int]int64{}
		for _, row := range items(t, slot, "Value.CodeProportionData") {
			code, err := strconv.Atoi(row["Code"].(string))
			if err != nil {
				t.Fatal(err)
			}
			if counts[code], err = strconv.ParseInt(row["Count"].(string), 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		out[fmt.Sprint(slot["TimeStamp"])] = counts
	}
	return out
}

func TestStatusCodesAreLateAndTrue(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Products = map[string]int{nsCDN: 5} })
	domain := s.Instances(nsCDN)[1]
	from := noon.Add(-time.Hour)
	inject(t, s, DomainErrors{Domain: domain, From: from, To: from.Add(10 * time.Minute), Code: 504, Ratio: 0.25})
	for _, source := range []bool{false, true} {
		a := map[bool]api{false: httpCodes, true: originCodes}[source]
		got := codesOf(t, a.get(t, s, codeRange(domain, from, noon, "300")))
		want := map[string]map[int]int64{}
		for slot := from; !slot.Add(20 * time.Minute).After(noon); slot = slot.Add(5 * time.Minute) { // the newest 15 minutes are missing
			want[slot.Format(secondLayout)] = s.DomainCodes(domain, source, slot)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", a.action, diff)
		}
		first := got[from.Format(secondLayout)]
		total := int64(0)
		for n := range maps.Values(first) {
			total += n
		}
		if failing := first[504] > total/5; failing == source { // visitors alone are hit
			t.Errorf("%s: 504 for %d of %d", a.action, first[504], total)
		}
	}
	hours := codesOf(t, httpCodes.get(t, s, codeRange(domain, noon.Add(-3*time.Hour), noon, "3600")))
	if len(hours) != 2 || hours[noon.Add(-3*time.Hour).Format(secondLayout)][200] < 10*s.DomainCodes(domain, false, noon.Add(-3*time.Hour))[200] {
		t.Errorf("hours %v", hours)
	}
	httpCodes.fails(t, s, 400, "InvalidTimeSpan", codeRange(domain, noon.Add(-4*day), noon, "300"))
	httpCodes.fails(t, s, 400, "InvalidParameter", codeRange(domain, noon.Add(-day), noon, "60"))
	httpCodes.fails(t, s, 404, "InvalidDomain.NotFound", codeRange("nobody.example.com", noon.Add(-day), noon, "300"))
	httpCodes.fails(t, s, 400, "InvalidEndTime.Mismatch", codeRange(domain, noon, noon, "300"))
}
