package aliyun

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	bills   = api{"business.aliyuncs.com", bssVersion, "DescribeInstanceBill"}
	balance = api{"business.aliyuncs.com", bssVersion, "QueryAccountBalance"}
)

// billed reads all pages of a bill: its sum by kind, and the amounts by instance.
func billed(t *testing.T, s *Server, params map[string]string) (payAsYouGo, orders float64, amounts map[string]float64) {
	t.Helper()
	amounts = map[string]float64{}
	params["MaxResults"] = "37"
	for {
		body := bills.get(t, s, params)
		for _, row := range items(t, body, "Data.Items") {
			amount, err := strconv.ParseFloat(fmt.Sprint(row["PretaxAmount"]), 64)
			if err != nil {
				t.Fatal(err)
			}
			amounts[fmt.Sprint(row["InstanceID"])] += amount
			if row["SubscriptionType"] == "Subscription" {
				orders += amount
			} else {
				payAsYouGo += amount
			}
		}
		token, more := body["Data"].(object)["NextToken"]
		if !more {
			return payAsYouGo, orders, amounts
		}
		params["NextToken"] = token.(string)
	}
}

func daily(date time.Time) map[string]string {
	date = date.In(chinaTime)
	return map[string]string{"BillingCycle": date.Format("2006-01"), "Granularity": "DAILY", "BillingDate": date.Format("2006-01-02")}
}

func near(a, b float64) bool { return math.Abs(a-b) < 0.01 }

// The bill of a day is complete a day after its end, and in part before.
func TestBillIsLate(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { allProducts(c); c.Now = func() time.Time { return now } })
	sum := func(date time.Time) float64 {
		payAsYouGo, orders, _ := billed(t, s, daily(date))
		return payAsYouGo + orders
	}
	truth := func(date time.Time) float64 {
		payAsYouGo, orders := s.DailyCost(date)
		return payAsYouGo + orders
	}
	today, yesterday, before := noon, noon.Add(-day), noon.Add(-2*day)
	if got := sum(before); !near(got, truth(before)) {
		t.Errorf("two days ago: %v, want %v", got, truth(before))
	}
	if got := sum(yesterday); got == 0 || got >= truth(yesterday) {
		t.Errorf("yesterday: %v of %v", got, truth(yesterday))
	}
	if got := sum(today); got != 0 {
		t.Errorf("today: %v", got)
	}
	now = noon.Add(2 * day)
	if got := sum(today); !near(got, truth(today)) {
		t.Errorf("two days later: %v, want %v", got, truth(today))
	}
}

func TestAbnormalSpend(t *testing.T) {
	s := newTestServer(t, allProducts)
	id := s.Instances(nsOSS)[3]
	spent := noon.Add(-3 * day)
	_, _, before := billed(t, s, daily(spent))
	inject(t, s, Spend{Instance: id, Day: spent, Amount: 5000})
	_, _, after := billed(t, s, daily(spent))
	_, _, other := billed(t, s, daily(spent.Add(-day)))
	if !near(after[id], before[id]+5000) || other[id] > 100 {
		t.Errorf("%v before, %v after, %v on the day before", before[id], after[id], other[id])
	}
}

// The month's bill is the sum of its days.
func TestMonthlyBill(t *testing.T) {
	s := newTestServer(t, allProducts)
	want := 0.0
	for d := time.Date(2026, 9, 1, 0, 0, 0, 0, chinaTime); d.Month() == 9; d = d.AddDate(0, 0, 1) {
		payAsYouGo, orders := s.DailyCost(d)
		want += payAsYouGo + orders
	}
	payAsYouGo, orders, _ := billed(t, s, map[string]string{"BillingCycle": "2026-09"})
	if got := payAsYouGo + orders; !near(got, want) || orders == 0 {
		t.Errorf("September: %v with orders of %v, want %v", got, orders, want)
	}
	bills.fails(t, s, 400, "MissingParameter", nil)
	bills.fails(t, s, 400, "MissingParameter", map[string]string{"BillingCycle": "2026-09", "Granularity": "DAILY"})
	bills.fails(t, s, 400, "InvalidParameter", map[string]string{"BillingCycle": "2026-09", "Granularity": "DAILY", "BillingDate": "2026-10-01"})
	bills.fails(t, s, 400, "InvalidBillingCycle", map[string]string{"BillingCycle": "2025-04"})
	bills.fails(t, s, 400, "InvalidParameter", map[string]string{"BillingCycle": "2026-09", "MaxResults": "301"})
}

func TestBalance(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { allProducts(c); c.Now = func() time.Time { return now } })
	read := func() float64 {
		t.Helper()
		text := fmt.Sprint(at(t, balance.get(t, s, nil), "Data.AvailableAmount"))
		amount, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
		if err != nil {
			t.Fatal(err)
		}
		return amount
	}
	first := read()
	now = noon.Add(day)
	spent, _ := s.DailyCost(noon)
	if got := read(); !near(first-got, spent) || spent == 0 {
		t.Errorf("%v became %v, spent %v", first, got, spent)
	}
	inject(t, s, Balance{Amount: -1234.5, At: now})
	if text := at(t, balance.get(t, s, nil), "Data.AvailableAmount"); text != "-1,234.50" {
		t.Errorf("balance %v", text)
	}
}

// A subscription is ordered when it ends, also one that began on a leap day.
func TestOrdersOfALeapDay(t *testing.T) {
	end := time.Date(2028, 2, 29, 16, 0, 0, 0, time.UTC)
	s := newTestServer(t, func(c *Config) { c.ECSInstances = 3000; c.Now = func() time.Time { return end.Add(-12 * time.Hour) } })
	ended, ordered := 0, 0
	for _, id := range s.Instances(nsECS) {
		if s.Expiry(id).Equal(end) {
			ended++
		}
	}
	s.chargesOn(chinaMidnight(end), func(c charge) {
		if c.subscription && c.r.product.namespace == nsECS {
			ordered++
		}
	})
	if ended != ordered || ordered == 0 {
		t.Errorf("%d subscriptions end at %s, %d are ordered", ended, end, ordered)
	}
}
