package cost

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/aliyuntest"
	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
	sim "watchkeeper/internal/sim/aliyun"
)

// noon in China, a Saturday.
var noon = aliyuntest.Noon

// world is a simulated account and what its collectors delivered at the last check.
type world struct {
	*aliyuntest.Cloud
	t       *testing.T
	account *aliyun.Account
	got     map[string]float64
}

func newWorld(t *testing.T, instances int) *world {
	t.Helper()
	w := &world{t: t, Cloud: aliyuntest.New(t, func(cfg *sim.Config) {
		cfg.ECSInstances, cfg.Products = instances, map[string]int{"acs_rds_dashboard": 6}
	})}
	w.account = aliyuntest.Account(t, w.Address, aliyuntest.Options{Config: func(cfg *aliyun.AccountConfig) { cfg.Cost = aliyun.CostConfig{Read: true} }})
	return w
}

// Append implements exporters.Sink.
func (w *world) Append(_ context.Context, b sample.Batch) error {
	for _, s := range b.Samples {
		ls := s.Labels.Map()
		if ls["customer"] != "acme" || ls["account"] != "main" || ls["currency"] != "CNY" || s.T != w.Now().UnixMilli() {
			w.t.Errorf("sample %v", s)
		}
		key := ls["__name__"]
		for _, dim := range []string{"service", "charge"} {
			if ls[dim] != "" {
				key += " " + ls[dim]
			}
		}
		w.got[key] = s.V
	}
	return nil
}

// collect runs both collectors anew at a time.
func (w *world) collect(at time.Time) {
	w.t.Helper()
	w.Set(at)
	w.got = map[string]float64{}
	for _, j := range Jobs(w.account) {
		if err := j.Collector.Collect(w.t.Context(), at, w); err != nil {
			w.t.Fatal(err)
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 0.005 }

func (w *world) sum(prefix, suffix string) float64 {
	total := 0.0
	for key, v := range w.got {
		if strings.HasPrefix(key, prefix) && strings.HasSuffix(key, suffix) {
			total += v
		}
	}
	return total
}

// The bill's figures are the account's true cost, to the cent.
func TestBillIsTheTrueCost(t *testing.T) {
	w := newWorld(t, 700) // more than a page
	w.collect(noon)
	day := func(back int) float64 {
		cost, _ := w.DailyCost(noon.AddDate(0, 0, -back))
		return cost
	}
	if got := w.got[MetricDay]; !near(got, day(2)) {
		t.Errorf("complete day %v, want %v", got, day(2))
	}
	expected := (day(9) + day(16) + day(23) + day(30)) / 4
	if got := w.got[MetricDayExpected]; !near(got, expected) {
		t.Errorf("expected %v, want %v", got, expected)
	}
	if got := w.got[MetricDayRatio]; math.Abs(got-day(2)/expected) > 1e-9 {
		t.Errorf("ratio %v, want %v", got, day(2)/expected)
	}
	if got, most := w.sum(MetricYesterday, payAsYouGo), day(1); got <= 0 || got >= most {
		t.Errorf("yesterday %v of %v: noon is too early for the whole bill", got, most)
	}
	month, yesterday := 0.0, w.sum(MetricYesterday, "")
	for back := 2; back <= 20; back++ {
		a, b := w.DailyCost(noon.AddDate(0, 0, -back))
		month += a + b
	}
	if got := w.sum(MetricMonth, ""); math.Abs(got-month-yesterday) > 0.01 {
		t.Errorf("month %v, want %v", got, month+yesterday)
	}
	if got := w.sum(MetricService+" ", ""); !near(got, w.got[MetricDay]) {
		t.Errorf("services %v of %v", got, w.got[MetricDay])
	}
	if got := time.Unix(int64(w.got[MetricDayTime]), 0).In(china).Format(time.DateTime); got != "2026-11-19 00:00:00" {
		t.Errorf("day %s", got)
	}
}

// What was spent beyond the usual shows in the ratio when its day is complete.
func TestAbnormalSpending(t *testing.T) {
	w := newWorld(t, 20)
	id := w.Instances("acs_rds_dashboard")[0]
	usual, _ := w.DailyCost(noon)
	if err := w.Inject(sim.Spend{Instance: id, Day: noon, Amount: 3 * usual}); err != nil {
		t.Fatal(err)
	}
	var ratios []string
	for days := range 4 {
		w.collect(noon.AddDate(0, 0, days))
		ratios = append(ratios, fmt.Sprintf("%.0f", w.got[MetricDayRatio]))
	}
	if d := cmp.Diff([]string{"1", "1", "4", "1"}, ratios); d != "" {
		t.Error(d)
	}
}

func TestBalance(t *testing.T) {
	w := newWorld(t, 20)
	if err := w.Inject(sim.Balance{Amount: -12345678.9, At: noon}); err != nil {
		t.Fatal(err)
	}
	w.collect(noon)
	if w.got[MetricAvailable] != -12345678.9 || w.got[MetricCash] != -12345678.9 || w.got[MetricCredit] != 0 {
		t.Errorf("got %v", w.got)
	}
}

// Complete days are read once; a day later only the new ones are.
func TestCompleteDaysAreKept(t *testing.T) {
	w := newWorld(t, 20)
	collector := newBill(newReader(w.account, "bill"))
	collect := func(at time.Time) string {
		w.Set(at)
		w.got = map[string]float64{}
		before := len(w.Requests())
		if err := collector.Collect(t.Context(), at, w); err != nil {
			t.Fatal(err)
		}
		var dates []string
		for _, r := range w.Requests()[before:] {
			if date := r.Parameters["BillingDate"]; date != "" && !slices.Contains(dates, date) {
				dates = append(dates, date)
			}
		}
		return strings.Join(dates, " ")
	}
	for _, step := range []struct {
		at   time.Time
		want string
	}{
		{noon, "2026-11-20 2026-11-19 2026-11-12 2026-11-05 2026-10-29 2026-10-22"},
		{noon.Add(time.Hour), "2026-11-20"},
		{noon.AddDate(0, 0, 1), "2026-11-21 2026-11-20 2026-11-13 2026-11-06 2026-10-30 2026-10-23"},
	} {
		if got := collect(step.at); got != step.want {
			t.Errorf("at %s: %s", step.at, got)
		}
	}
	if len(collector.days) != 5 {
		t.Errorf("%d days are kept", len(collector.days))
	}
}

func TestAmounts(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var a amount
		err := json.Unmarshal([]byte(text), &a)
		if got := a.RatString(); want == "" && err == nil || want != "" && (err != nil || got != want) {
			t.Errorf("%s: got %s, %v, want %q", text, got, err, want)
		}
	}
	f(`0.1`, "1/10")
	f(`"1,234,567.89"`, "123456789/100")
	f(`"-1,000.50"`, "-2001/2")
	f(`1.0E-5`, "1/100000")
	f(`null`, "0")
	f(`""`, "0")
	f(`"1,23"`, "")
	f(`"1/3"`, "")
	f(`"0x10"`, "")
	f(`1e999`, "")
	f(`"NaN"`, "")
	f(`true`, "")
	f(`{}`, "")
}

// Ten cents a thousand times are a hundred, whatever the order.
func TestSumsAreExact(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		cents := rapid.SliceOfN(rapid.Int64Range(-1e12, 1e12), 1, 50).Draw(t, "cents")
		sum, want := &amount{}, int64(0)
		for _, c := range cents {
			sign := ""
			if c < 0 {
				sign = "-"
			}
			a, err := parseAmount(fmt.Sprintf("%s%d.%02d", sign, abs(c)/100, abs(c)%100))
			if err != nil {
				t.Fatal(err)
			}
			sum.add(a)
			want += c
		}
		if got := sum.FloatString(2); got != strings.Replace(fmt.Sprintf("%.2f", float64(want)/100), "-0.00", "0.00", 1) {
			t.Errorf("got %s, want %d cents", got, want)
		}
	})
}

func abs(n int64) int64 { return max(n, -n) }
