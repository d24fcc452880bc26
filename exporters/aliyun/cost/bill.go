package cost

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
)

const (
	billPage     = "300" // items, the most that a page holds
	maxBillPages = 1000
	// maxServices of a bill have series of their own; more are summed up as "other".
	maxServices = 200
	other       = "other"
)

// china is the zone of billing days and months.
var china = time.FixedZone("UTC+8", 8*60*60)

// Charges.
const (
	payAsYouGo   = "payasyougo"
	subscription = "subscription"
)

// item is what sums are kept by.
type item struct{ service, charge string }

// sums is a day's or a month's bill.
type sums struct {
	by       map[item]*amount
	currency string
	pages    int // that it took to read
}

// bill reads the bill. Days that are complete do not change any more and are
// kept; a restart reads them again.
type bill struct {
	reader
	days     map[string]*sums // complete days, by date
	services map[string]bool  // that have series, at most maxServices
	shown    map[item]bool    // series of month and yesterday: what is no more in the bill costs nothing
}

func newBill(r reader) *bill {
	return &bill{reader: r, days: map[string]*sums{}, services: map[string]bool{}, shown: map[item]bool{}}
}

var _ exporters.Collector = (*bill)(nil)

// Collect reads the running month, yesterday, and the days not yet known of the
// comparison.
func (c *bill) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	y, m, d := at.In(china).Date()
	today := time.Date(y, m, d, 0, 0, 0, 0, china)
	month, err := c.read(ctx, today, "MONTHLY")
	if err != nil {
		return err
	}
	yesterday, err := c.read(ctx, today.AddDate(0, 0, -1), "DAILY")
	if err != nil {
		return err
	}
	complete := today.AddDate(0, 0, -2)
	day, history, err := c.compared(ctx, complete)
	if err != nil {
		return err
	}
	b := c.builder(at, firstOf(month.currency, yesterday.currency, day.currency))
	c.amounts(b, MetricMonth, month)
	c.amounts(b, MetricYesterday, yesterday)
	b.Add(MetricDayTime, float64(complete.Unix()))
	compare(b, day, history)
	return sink.Append(ctx, exporters.Looked(c.source, at, b.Samples()))
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// amounts adds a sample for each service and charge, and zeros for those that
// had one before.
func (c *bill) amounts(b *exporters.Builder, metric string, s *sums) {
	for i := range s.by {
		c.shown[i] = true
	}
	for i := range c.shown {
		value := 0.0
		if a := s.by[i]; a != nil {
			value = a.float()
		}
		b.Add(metric, value, "service", i.service, "charge", i.charge)
	}
}

// compared returns the complete day and those of the same weekday before it.
// Days without any bill, from before the account's time, are left out.
func (c *bill) compared(ctx context.Context, complete time.Time) (day *sums, history []*sums, err error) {
	wanted := map[string]*sums{}
	for week := range c.account.Config().Cost.HistoryWeeks + 1 {
		date := complete.AddDate(0, 0, -7*week)
		key := date.Format(time.DateOnly)
		s := c.days[key]
		if s == nil {
			if s, err = c.read(ctx, date, "DAILY"); err != nil {
				return nil, nil, err
			}
			c.days[key] = s // also when a later day fails: the next check goes on here
		}
		wanted[key] = s
		switch {
		case week == 0:
			day = s
		case len(s.by) > 0:
			history = append(history, s)
		}
	}
	c.days = wanted
	return day, history, nil
}

// compare adds the day's pay-as-you-go spending and how it compares, for all
// services together and for each. Without history there is no comparison.
func compare(b *exporters.Builder, day *sums, history []*sums) {
	total := func(s *sums) *amount {
		sum := &amount{}
		for i, a := range s.by {
			if i.charge == payAsYouGo {
				sum.add(a)
			}
		}
		return sum
	}
	b.Add(MetricDay, total(day).float())
	if expected, ok := expect(history, total); ok {
		b.Add(MetricDayExpected, expected.float())
		if r, ok := ratio(total(day), expected); ok {
			b.Add(MetricDayRatio, r)
		}
	}
	services := map[string]bool{}
	for _, s := range append([]*sums{day}, history...) {
		for i := range s.by {
			services[i.service] = services[i.service] || i.charge == payAsYouGo
		}
	}
	for service, counts := range services {
		if !counts {
			continue
		}
		of := func(s *sums) *amount {
			if a := s.by[item{service, payAsYouGo}]; a != nil {
				return a
			}
			return &amount{}
		}
		b.Add(MetricService, of(day).float(), "service", service)
		if expected, ok := expect(history, of); ok {
			if r, ok := ratio(of(day), expected); ok {
				b.Add(MetricServiceRate, r, "service", service)
			}
		}
	}
}

func expect(history []*sums, of func(*sums) *amount) (*amount, bool) {
	if len(history) == 0 {
		return nil, false
	}
	amounts := make([]*amount, 0, len(history))
	for _, s := range history {
		amounts = append(amounts, of(s))
	}
	return mean(amounts), true
}

// read sums up the bill of a day, or of the day's month.
func (c *bill) read(ctx context.Context, day time.Time, granularity string) (*sums, error) {
	const action = "DescribeInstanceBill"
	query := map[string]string{"BillingCycle": day.Format("2006-01"), "Granularity": granularity, "MaxResults": billPage}
	if granularity == "DAILY" {
		query["BillingDate"] = day.Format(time.DateOnly)
	}
	s := &sums{by: map[item]*amount{}}
	for s.pages = 1; s.pages <= maxBillPages; s.pages++ {
		body, err := c.client.Do(ctx, c.request(action, query))
		if err != nil {
			return nil, err
		}
		next, err := c.page(body, s)
		switch {
		case err != nil:
			return nil, unreadable(action, err)
		case next == "":
			return s, nil
		case next == query["NextToken"]:
			return nil, unreadable(action, errors.New("paging does not end"))
		}
		query = maps.Clone(query)
		query["NextToken"] = next
	}
	return nil, unreadable(action, errors.New("paging does not end"))
}

func (c *bill) page(body []byte, s *sums) (next string, err error) {
	var answer struct {
		Data *struct {
			NextToken string
			Items     []struct {
				ProductCode, SubscriptionType, Currency string
				PretaxAmount                            amount
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	if answer.Data == nil {
		return "", errors.New("no Data")
	}
	for i := range answer.Data.Items {
		x := &answer.Data.Items[i]
		key := item{c.service(x.ProductCode), payAsYouGo}
		if x.SubscriptionType == "Subscription" {
			key.charge = subscription
		}
		if s.by[key] == nil {
			s.by[key] = &amount{}
		}
		s.by[key].add(&x.PretaxAmount)
		if currency := currencyOf(x.Currency); currency != "" {
			if s.currency != "" && s.currency != currency {
				return "", &aliyun.Error{Kind: aliyun.ErrAnswer, Message: "a bill of two currencies, " + s.currency + " and " + currency}
			}
			s.currency = currency
		}
	}
	return answer.Data.NextToken, nil
}

// service is a product's code as a label, bounded in length and in number.
func (c *bill) service(code string) string {
	if len(code) > 64 || code == "" {
		return other
	}
	if !c.services[code] {
		if len(c.services) >= maxServices {
			return other
		}
		c.services[code] = true
	}
	return code
}
