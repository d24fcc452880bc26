package aliyun

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Spend adds Amount (CNY, pretax, pay-as-you-go) to the bill of an instance on the
// calendar day, in China, that Day falls on.
type Spend struct {
	Instance string
	Day      time.Time
	Amount   float64
}

// Balance makes the account's balance Amount (CNY; may be negative) from At on. The
// latest At counts.
type Balance struct {
	Amount float64
	At     time.Time
}

func (f Spend) add(s *Server) error {
	if s.estate.byID[f.Instance] == nil {
		return fmt.Errorf("spend: no instance %q", f.Instance)
	}
	if math.IsNaN(f.Amount) || math.IsInf(f.Amount, 0) {
		return fmt.Errorf("spend: Amount %v is no number that JSON has", f.Amount)
	}
	f.Day = chinaMidnight(f.Day)
	s.faults.spends = append(s.faults.spends, f)
	return nil
}

func (f Balance) add(s *Server) error {
	if math.IsNaN(f.Amount) || math.IsInf(f.Amount, 0) {
		return fmt.Errorf("balance: Amount %v is no number", f.Amount)
	}
	s.faults.balances = append(s.faults.balances, f)
	return nil
}

// Bills.
const (
	billMonths = 18  // how far back bills go
	billLag    = day // until all of a day's items are there
	maxBills   = 300 // in a page
)

func chinaMidnight(t time.Time) time.Time {
	y, m, d := t.In(chinaTime).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, chinaTime)
}

// charge is what an instance cost on a day, or in a month.
type charge struct {
	r            *resource
	subscription bool // an order of a subscription, paid for a year at once
	amount       float64
	order        int64 // in the list
}

// chargesOn are the charges of a day, whether or not they show yet. Pay-as-you-go
// costs a little less at weekends; a subscription is paid on its anniversary.
func (s *Server) chargesOn(midnight time.Time, each func(charge)) {
	s.faultMu.RLock()
	extra := map[string]float64{}
	for _, f := range s.faults.spends {
		if f.Day.Equal(midnight) {
			extra[f.Instance] += f.Amount
		}
	}
	s.faultMu.RUnlock()
	for i := range products {
		for _, r := range s.estate.byProduct[products[i].namespace] {
			base := int64(i)<<32 | int64(r.number)<<1
			usual, order := s.usualCharges(r, midnight)
			if usual += extra[r.id]; usual != 0 {
				each(charge{r, false, usual, base})
			}
			if order != 0 {
				each(charge{r, true, order, base + 1})
			}
		}
	}
}

func (s *Server) usualCharges(r *resource, midnight time.Time) (payAsYouGo, order float64) {
	if r.created.After(midnight) || !s.lifeOf(r.id).exists(midnight) {
		return 0, 0
	}
	price := r.product.dailyPrice * (0.5 + unit(mix(r.key, 111)))
	if s.prepaid(r) {
		first := r.firstRenewal()
		if years := midnight.UTC().Year() - first.Year(); years >= 0 && first.AddDate(years, 0, 0).Equal(midnight) {
			order = round2(price * 365 * 0.85)
		}
		return 0, order
	}
	if weekday := midnight.Weekday(); weekday == time.Saturday || weekday == time.Sunday {
		price *= 0.8
	}
	return round2(price * (0.95 + 0.1*unit(mix(mix(r.key, 112), uint64(midnight.Unix()))))), 0
}

// billShows: the items of a day appear one after the other during the day after it.
func (s *Server) billShows(r *resource, midnight time.Time) bool {
	delay := time.Duration(unit(mix(mix(r.key, 113), uint64(midnight.Unix()))) * float64(billLag))
	return !midnight.Add(day + delay).After(s.now())
}

// DailyCost is the ground truth of a calendar day in China: the pretax amount of all
// pay-as-you-go items, and of the orders of subscriptions, in CNY, whether or not the
// bill shows them yet.
func (s *Server) DailyCost(date time.Time) (payAsYouGo, subscriptions float64) {
	s.chargesOn(chinaMidnight(date), func(c charge) {
		if c.subscription {
			subscriptions += c.amount
		} else {
			payAsYouGo += c.amount
		}
	})
	return round2(payAsYouGo), round2(subscriptions)
}

func (s *Server) describeInstanceBill(c *call) (any, *apiError) {
	cycle, e := s.billingCycle(c)
	if e != nil {
		return nil, e
	}
	days := []time.Time{}
	date := ""
	switch c.params["Granularity"] {
	case "", "MONTHLY":
		for d := cycle; d.Month() == cycle.Month() && !d.After(s.now()); d = d.AddDate(0, 0, 1) {
			days = append(days, d)
		}
	case "DAILY":
		date = c.params["BillingDate"]
		if date == "" {
			return nil, missingParameter("BillingDate")
		}
		d, err := time.ParseInLocation(dateLayout, date, chinaTime)
		if err != nil || d.Format(cycleLayout) != c.params["BillingCycle"] {
			return nil, invalidParameter("BillingDate")
		}
		days = append(days, d)
	default:
		return nil, invalidParameter("Granularity")
	}
	rows := s.chargesShown(c, days)
	shown, next, size, e := tokenPage(s, c, rows, func(x charge) int64 { return x.order }, bssPaging.fallback, maxBills)
	if e != nil {
		return nil, e
	}
	data := object{
		"BillingCycle": c.params["BillingCycle"], "AccountID": s.cfg.AccountID, "AccountName": "account", "TotalCount": len(rows), "MaxResults": size,
		"Items": objects(shown, func(x charge) object { return s.billItem(x, c.params["BillingCycle"], date) }),
	}
	if next != "" {
		data["NextToken"] = next
	}
	return bssAnswer(c, data), nil
}

// billingCycle is the month's first midnight.
func (s *Server) billingCycle(c *call) (time.Time, *apiError) {
	text := c.params["BillingCycle"]
	if text == "" {
		return time.Time{}, missingParameter("BillingCycle")
	}
	cycle, err := time.ParseInLocation(cycleLayout, text, chinaTime)
	now := s.now().In(chinaTime)
	if err != nil || cycle.After(now) || cycle.AddDate(0, billMonths, 0).Before(now) {
		return time.Time{}, errorf(http.StatusBadRequest, "InvalidBillingCycle", "The specified BillingCycle is not valid.")
	}
	return cycle, nil
}

// chargesShown sums up what the bill shows of the days, in the order of the list.
func (s *Server) chargesShown(c *call, days []time.Time) []charge {
	rows, at := []charge{}, map[int64]int{}
	for _, d := range days {
		s.chargesOn(d, func(x charge) {
			kind := "PayAsYouGo"
			if x.subscription {
				kind = "Subscription"
			}
			if c.empty || !s.billShows(x.r, d) || !c.filter("ProductCode", x.r.product.billCode) || !c.filter("SubscriptionType", kind) || !c.filter("InstanceID", x.r.id) {
				return
			}
			if i, ok := at[x.order]; ok {
				rows[i].amount += x.amount
				return
			}
			at[x.order] = len(rows)
			rows = append(rows, x)
		})
	}
	if len(days) > 1 { // one day's charges come in order
		sortBy(rows, func(x charge) int64 { return x.order })
	}
	return rows
}

func (s *Server) billItem(x charge, cycle, date string) object {
	amount := round2(x.amount)
	i := object{
		"InstanceID": x.r.id, "NickName": s.nameOf(x.r), "ProductCode": x.r.product.billCode, "ProductName": x.r.product.description, "ProductDetail": x.r.product.description,
		"Region": x.r.region, "Zone": "", "Item": "PayAsYouGoBill", "SubscriptionType": "PayAsYouGo", "Currency": "CNY", "BillingDate": date,
		"PretaxGrossAmount": amount, "InvoiceDiscount": 0, "PretaxAmount": amount, "PaymentAmount": amount, "OutstandingAmount": 0, "CashAmount": amount,
		"OwnerID": s.cfg.AccountID, "BillAccountID": s.cfg.AccountID, "Tag": "", "CostUnit": "default", "Usage": "24", "UsageUnit": "hour", "ServicePeriod": "86400", "ServicePeriodUnit": "second",
	}
	if x.subscription {
		i["Item"], i["SubscriptionType"], i["Usage"], i["UsageUnit"] = "SubscriptionOrder", "Subscription", "", ""
	}
	return i
}

// queryAccountBalance: the balance falls by each full day's pay-as-you-go cost and is
// filled up at the month's begin. Its numbers are texts; that they have separators is
// not confirmed, but a client must cope with them.
func (s *Server) queryAccountBalance(c *call) (any, *apiError) {
	amount := thousands(strconv.FormatFloat(s.balance(), 'f', 2, 64))
	return bssAnswer(c, object{
		"AvailableAmount": amount, "AvailableCashAmount": amount, "CreditAmount": "0.00", "MybankCreditAmount": "0.00", "Currency": "CNY",
	}), nil
}

func (s *Server) balance() float64 {
	now := s.now()
	s.faultMu.RLock()
	var latest *Balance
	for i, f := range s.faults.balances {
		if !f.At.After(now) && (latest == nil || !f.At.Before(latest.At)) {
			latest = &s.faults.balances[i]
		}
	}
	s.faultMu.RUnlock()
	if latest != nil {
		return latest.Amount
	}
	today := chinaMidnight(now)
	first := today.AddDate(0, 0, 1-today.Day())
	usual, _ := s.DailyCost(first)
	amount := 1000 + math.Ceil(usual*40/1000)*1000
	for d := first; d.Before(today); d = d.AddDate(0, 0, 1) {
		spent, _ := s.DailyCost(d)
		amount -= spent
	}
	return round2(amount)
}
