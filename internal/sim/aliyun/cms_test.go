package aliyun

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

func window(from, to time.Time) map[string]string {
	return map[string]string{"StartTime": ms(from), "EndTime": ms(to), "Period": "60"}
}

func TestMetricListIsWhatIsPublished(t *testing.T) {
	s := newTestServer(t, func(c *Config) {
		c.ECSInstances = 400
		c.MissingRatio = 0.1
		c.PointDelay = &Delay{Min: time.Minute, Max: 5 * time.Minute, LateRatio: 0.2, LateMax: 15 * time.Minute}
	})
	from := noon.Add(-20 * time.Minute)
	pages := allPages(t, s, "DescribeMetricList", window(from, noon))
	if len(pages) < 4 || len(pages[0]) != defaultLength || len(pages[len(pages)-1]) == 0 {
		t.Fatalf("%d pages, the first of %d points", len(pages), len(pages[0]))
	}
	want := truthKeys(s, "CPUUtilization", from, noon, noon)
	if diff := cmp.Diff(want, pointKeys(pages...)); diff != "" {
		t.Errorf("points (-published +answered):\n%s", diff)
	}
	if full := 400 * 20; len(want) > full*9/10 || len(want) < full/2 {
		t.Errorf("%d of %d points are out: delay or missing points do not act", len(want), full)
	}
}

func TestPointsAreAFunctionOfTheSeed(t *testing.T) {
	list := func(seed uint64) string {
		s := newTestServer(t, func(c *Config) { c.Seed = seed; c.MissingRatio = 0.2 })
		a := cms(t, s, "DescribeMetricList", window(noon.Add(-10*time.Minute), noon))
		return a.Datapoints + a.NextToken
	}
	if first := list(7); first != list(7) {
		t.Error("two servers of one seed differ")
	}
	if list(7) == list(8) {
		t.Error("seeds make no difference")
	}
}

// What was answered once stays: a later query shows the same points and more.
func TestPointsArriveLateAndStay(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) {
		c.Now = func() time.Time { return now }
		c.PointDelay = &Delay{Min: time.Minute, Max: 10 * time.Minute}
	})
	from, to := noon.Add(-10*time.Minute), noon
	seen := map[string]string{}
	overtaken := false
	for ; now.Before(noon.Add(11 * time.Minute)); now = now.Add(30 * time.Second) {
		newest := map[any]float64{}
		for _, p := range cms(t, s, "DescribeMetricList", window(from, to)).points(t) {
			key, text := fmt.Sprintf("%v %.0f", p["instanceId"], p["timestamp"]), fmt.Sprint(p)
			if old, ok := seen[key]; ok && old != text {
				t.Fatalf("point changed from %s to %s", old, text)
			} else if !ok && newest[p["instanceId"]] > 0 {
				overtaken = true
			}
			seen[key] = text
			newest[p["instanceId"]] = math.Max(newest[p["instanceId"]], p["timestamp"].(float64))
		}
	}
	if len(seen) != 30*10 {
		t.Errorf("%d points came in the end, want 300", len(seen))
	}
	if !overtaken {
		t.Error("no point was published after a younger one")
	}
}

func TestIntervalIsOpenOnTheLeft(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.ECSInstances = 1; c.PointDelay = &Delay{} })
	f := func(from, to time.Time, want int) {
		t.Helper()
		if got := cms(t, s, "DescribeMetricList", window(from, to)).points(t); len(got) != want {
			t.Errorf("(%s, %s]: %d points, want %d", from, to, len(got), want)
		}
	}
	f(noon.Add(-2*time.Minute), noon.Add(-time.Minute), 1)
	f(noon.Add(-2*time.Minute-time.Second), noon.Add(-time.Minute), 2)
	f(noon.Add(-2*time.Minute), noon.Add(-time.Minute-time.Second), 0)
	for _, times := range []map[string]string{
		{"StartTime": "2026-11-21 11:58:00", "EndTime": "2026-11-21 11:59:00"}, // China's time
		{"StartTime": "2026-11-21T03:58:00Z", "EndTime": "2026-11-21T03:59:00Z"},
	} {
		points := cms(t, s, "DescribeMetricList", times).points(t)
		if len(points) != 1 || points[0]["timestamp"] != float64(noon.Add(-time.Minute).UnixMilli()) {
			t.Errorf("%v: %v", times, points)
		}
	}
}

func TestMetricListRefuses(t *testing.T) {
	s := newTestServer(t, nil)
	many := "[" + strings.TrimSuffix(strings.Repeat(`{"instanceId":"i-1"},`, 51), ",") + "]"
	f := func(name, value string, status int, code string) {
		t.Helper()
		params := window(noon.Add(-time.Hour), noon)
		params[name] = value
		cms(t, s, "DescribeMetricList", params).wantCode(t, status, code)
	}
	f("Namespace", "-", 400, "MissingParameter")
	f("MetricName", "-", 400, "MissingParameter")
	f("MetricName", "NoSuchMetric", 404, "ResourceNotFound")
	f("Length", "1440", 200, "200")
	f("Length", "1441", 400, "ParameterInvalid")
	f("Length", "0", 400, "ParameterInvalid")
	f("Period", "90", 400, "ParameterInvalid")
	f("Period", "x", 400, "ParameterInvalid")
	f("StartTime", ms(noon), 400, "ParameterInvalid")
	f("StartTime", "yesterday", 400, "ParameterInvalid")
	f("StartTime", ms(noon.Add(-32*day)), 400, "ParameterInvalid")
	f("Dimensions", many, 400, "ParameterInvalid")
	f("NextToken", "abc", 400, "ParameterInvalid")
	f("Dimensions", "{", 200, "400")
	a := cms(t, s, "DescribeMetricList", map[string]string{"Dimensions": `[{"instanceId":1}]`})
	if a.Success != "false" || !strings.HasPrefix(a.Message, "parse param dimensions error") || a.Datapoints != "" {
		t.Errorf("malformed Dimensions: %s", a.Raw)
	}
}

func TestNextTokenBelongsToItsQuery(t *testing.T) {
	s := newTestServer(t, nil)
	params := window(noon.Add(-10*time.Minute), noon)
	params["Length"] = "5"
	token := cms(t, s, "DescribeMetricList", params).NextToken
	if token == "" {
		t.Fatal("no NextToken")
	}
	params["NextToken"] = token
	cms(t, s, "DescribeMetricList", params).wantCode(t, 200, "200")
	params["MetricName"] = "InternetInRate"
	cms(t, s, "DescribeMetricList", params).wantCode(t, 400, "ParameterInvalid")
}

func TestDimensions(t *testing.T) {
	s := newTestServer(t, nil)
	ids := s.Instances(nsECS)
	instances := func(metric, dimensions string) int {
		t.Helper()
		params := window(noon.Add(-6*time.Minute), noon.Add(-5*time.Minute))
		params["MetricName"], params["Dimensions"] = metric, dimensions
		a := cms(t, s, "DescribeMetricList", params)
		a.wantCode(t, 200, "200")
		return len(a.points(t))
	}
	all := instances("CPUUtilization", "[]")
	if all < 28 {
		t.Fatalf("%d points in a minute of 30 instances", all)
	}
	f := func(dimensions string, want int) {
		t.Helper()
		if got := instances("CPUUtilization", dimensions); got != want {
			t.Errorf("%s: %d points, want %d", dimensions, got, want)
		}
	}
	f(fmt.Sprintf(`[{"instanceId":%q}]`, ids[3]), 1)
	f(fmt.Sprintf(`{"instanceId":%q}`, ids[3]), 1)
	f(fmt.Sprintf(`[{"instanceId":%q},{"instanceId":%q},{"instanceId":%q}]`, ids[9], ids[3], ids[3]), 2)
	f(`[{"instanceId":"i-nobody"}]`, 0)
	f(fmt.Sprintf(`[{"InstanceID":%q}]`, ids[3]), all) // misspelt: ignored, as the real service does
	f(`[{"userId":"1234567890123456"}]`, all)
	f(`[{"userId":"1"}]`, 0)
	byDevice := instances("diskusage_utilization", `[{"device":"/dev/vda1"}]`)
	if every := instances("diskusage_utilization", ""); byDevice == 0 || byDevice >= every {
		t.Errorf("%d series of one device, %d of all", byDevice, every)
	}
}

func TestStatisticsAndKeysAreTheCataloguesOwn(t *testing.T) {
	counts := map[string]int{}
	for _, p := range products {
		if p.namespace != nsECS {
			counts[p.namespace] = 12
		}
	}
	s := newTestServer(t, func(c *Config) { c.Products = counts })
	for _, m := range catalog {
		params := window(noon.Add(-3*time.Hour), noon)
		params["Namespace"], params["MetricName"], params["Period"], params["Length"] = m.namespace, m.name, "-", "1"
		points := cms(t, s, "DescribeMetricList", params).points(t)
		if len(points) == 0 {
			t.Errorf("%s %s: no points", m.namespace, m.name)
			continue
		}
		want := append([]string{"timestamp"}, m.allKeys()...)
		for i := range len(m.statistics) {
			want = append(want, statisticNames[m.statistics[i]])
		}
		for _, key := range want {
			if _, ok := points[0][key]; !ok {
				t.Errorf("%s %s: point lacks %s: %v", m.namespace, m.name, key, points[0])
			}
		}
		if len(points[0]) != len(want) {
			t.Errorf("%s %s: point has other keys than %v: %v", m.namespace, m.name, want, points[0])
		}
	}
}

func TestPeriods(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.PointDelay = &Delay{} })
	var agent string
	for _, id := range s.Instances(nsECS) {
		if s.estate.byID[id].agent() == currentAgent {
			agent = id
			break
		}
	}
	f := func(metric, period string, want int) {
		t.Helper()
		params := window(noon.Add(-time.Hour), noon)
		params["MetricName"], params["Period"] = metric, period
		params["Dimensions"] = fmt.Sprintf(`[{"instanceId":%q}]`, agent)
		a := cms(t, s, "DescribeMetricList", params)
		if got := len(a.points(t)); got != want {
			t.Errorf("%s at %s: %d points, want %d", metric, period, got, want)
		}
	}
	// At noon the period that has just begun is out already where nothing is late,
	// but a coarser one is only once its last minute is.
	f("CPUUtilization", "60", 60)
	f("CPUUtilization", "300", 11)
	f("CPUUtilization", "900", 3)
	f("CPUUtilization", "3600", 0)
	f("CPUUtilization", "15", 0) // below its smallest
	f("memory_usedutilization", "15", 240)
	f("memory_usedutilization", "60", 60)
	f("memory_usedutilization", "-", 240)
}

func TestRetention(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.ECSInstances = 1 })
	f := func(period string, age time.Duration, some bool) {
		t.Helper()
		params := window(noon.Add(-age-time.Hour), noon.Add(-age))
		params["Period"] = period
		if got := len(cms(t, s, "DescribeMetricList", params).points(t)); (got > 0) != some {
			t.Errorf("period %s, %s old: %d points", period, age, got)
		}
	}
	f("60", 30*day, true)
	f("60", 31*day, false)
	f("300", 90*day, true)
	f("300", 91*day, false)
}

func TestMetricLast(t *testing.T) {
	s := newTestServer(t, nil)
	points := cms(t, s, "DescribeMetricLast", nil).points(t)
	got := map[string]float64{}
	for _, p := range points {
		got[p["instanceId"].(string)] = p["timestamp"].(float64)
	}
	if len(points) != 30 || len(got) != 30 {
		t.Fatalf("%d points of %d instances, want one of each of 30", len(points), len(got))
	}
	for id, at := range got {
		newest := int64(0)
		for _, p := range s.Published(id, "CPUUtilization", noon.Add(-2*time.Hour), noon) {
			if !p.PublishedAt.After(noon) {
				newest = max(newest, p.Time.UnixMilli())
			}
		}
		if int64(at) != newest {
			t.Errorf("%s: newest %v, want %v", id, at, newest)
		}
	}
	pages := allPages(t, s, "DescribeMetricLast", map[string]string{"Length": "7"})
	if len(pages) != 5 || len(pointKeys(pages...)) != 30 {
		t.Errorf("%d pages with %d instances", len(pages), len(pointKeys(pages...)))
	}
}

// Whatever window and page length are asked for, the pages together hold each
// published point of the window once.
func TestPagingLosesAndDoublesNothing(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.MissingRatio = 0.05; c.ECSInstances = 12 })
	property.Check(t, func(rt *rapid.T) {
		width := time.Duration(rapid.IntRange(1, 1200).Draw(rt, "seconds")) * time.Second
		from := noon.Add(-time.Duration(rapid.IntRange(0, 3600).Draw(rt, "ago"))*time.Second - width)
		params := window(from, from.Add(width))
		params["Length"] = fmt.Sprint(rapid.IntRange(4, 200).Draw(rt, "length"))
		pages := allPages(t, s, "DescribeMetricList", params)
		want := truthKeys(s, "CPUUtilization", from, from.Add(width), noon)
		if diff := cmp.Diff(want, pointKeys(pages...)); diff != "" {
			rt.Errorf("points (-published +answered):\n%s", diff)
		}
	})
}

func TestHealthyValuesStayBelowAlarms(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Products = map[string]int{nsRDS: 8, nsES: 2, nsCDN: 2, nsMongoDB: 6} })
	f := func(namespace, metric string, ok func(low, high float64) bool) {
		t.Helper()
		low, high := math.Inf(1), math.Inf(-1)
		for _, id := range s.Instances(namespace) {
			for _, p := range s.Published(id, metric, noon.Add(-2*day), noon) {
				for _, v := range p.Statistics {
					low, high = min(low, v), max(high, v)
				}
			}
		}
		if !ok(low, high) {
			t.Errorf("%s: values lie in %v..%v", metric, low, high)
		}
	}
	percent := func(low, high float64) bool { return low >= 0 && high <= 75 && high-low > 5 }
	f(nsECS, "CPUUtilization", percent)
	f(nsECS, "memory_usedutilization", percent)
	f(nsECS, "diskusage_utilization", percent)
	f(nsRDS, "CpuUsage", percent)
	f(nsRDS, "DataDelay", func(low, high float64) bool { return low >= 0 && high < 5 })
	f(nsMongoDB, "ShardingCPUUtilization", percent)
	f(nsES, "ClusterStatus", func(low, high float64) bool { return low == 0 && high == 0 })
	f(nsCDN, "hitRate", func(low, high float64) bool { return low > 20 && high <= 100 })
}

func TestMetaLists(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.ECSInstances = 100 })
	a := cms(t, s, "DescribeMetricMetaList", map[string]string{"MetricName": "diskusage_utilization"})
	for _, part := range []string{`"TotalCount":"1"`, `"Statistics":"Average,Maximum,Minimum"`, `"Dimensions":"userId,instanceId,device"`, `"Periods":"15,60,300,900,3600"`} {
		if !strings.Contains(a.Raw, part) {
			t.Errorf("meta list lacks %s: %s", part, a.Raw)
		}
	}
	projects := cms(t, s, "DescribeProjectMeta", nil)
	if got := strings.Count(projects.Raw, `"Namespace":"acs_`); got != len(products) {
		t.Errorf("%d projects, want %d: %s", got, len(products), projects.Raw)
	}
	hosts := cms(t, s, "DescribeMonitoringAgentHosts", map[string]string{"PageSize": "100"})
	want := 0
	for _, id := range s.Instances(nsECS) {
		if s.estate.byID[id].agent() != noAgent {
			want++
		}
	}
	if got := strings.Count(hosts.Raw, `"isAliyunHost":true`); got != want || want == 100 {
		t.Errorf("%d hosts with an agent, want %d", got, want)
	}
}
