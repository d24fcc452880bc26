// Package cost reads an Alibaba Cloud account's money: its balance and credit,
// what the month and yesterday have cost by service, and how the spending of the
// newest complete day compares with the same weekday's of the weeks before.
//
// Amounts are parsed and added exactly; only the samples are floats. Days and
// months are those of China, in which the provider bills. A bill is a day late:
// the newest complete day is the one before yesterday, and only complete days
// are compared. Subscriptions are paid for months at once and are left out of
// the comparison.
package cost

import (
	"log/slog"
	"time"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/internal/sample"
)

// Names of the series; amounts are in the currency of the label. Package
// ruleset/aliyunaccount judges some of them.
const (
	MetricAvailable   = "aliyun_account_available_amount"        // what can be spent: cash and credit
	MetricCash        = "aliyun_account_cash_amount"             // of it, cash
	MetricCredit      = "aliyun_account_credit_amount"           // the credit line
	MetricMonth       = "aliyun_bill_month_to_date_amount"       // by service and charge
	MetricYesterday   = "aliyun_bill_yesterday_amount"           // by service and charge; grows during the day after
	MetricDay         = "aliyun_bill_day_amount"                 // pay-as-you-go of the newest complete day
	MetricDayExpected = "aliyun_bill_day_expected_amount"        // mean of the same weekday's in earlier weeks
	MetricDayRatio    = "aliyun_bill_day_ratio"                  // the one by the other
	MetricDayTime     = "aliyun_bill_day_timestamp_seconds"      // when that day began
	MetricService     = "aliyun_bill_service_day_amount"         // as MetricDay, by service
	MetricServiceRate = "aliyun_bill_service_day_expected_ratio" // as MetricDayRatio, by service
)

// Metrics names all series of this package.
func Metrics() []string {
	return []string{
		MetricAvailable, MetricCash, MetricCredit, MetricMonth, MetricYesterday, MetricDay, MetricDayExpected, MetricDayRatio, MetricDayTime,
		MetricService, MetricServiceRate,
	}
}

// Jobs returns the collectors of the account's balance and bill: none unless
// cost.read is set.
func Jobs(a *aliyun.Account) []exporters.Job {
	cfg := a.Config()
	if !cfg.Cost.Read {
		return nil
	}
	interval := time.Duration(cfg.Cost.Interval)
	return []exporters.Job{
		a.Job(&balance{newReader(a, "balance")}, interval),
		a.Job(newBill(newReader(a, "bill")), interval),
	}
}

// reader is what both collectors share.
type reader struct {
	account *aliyun.Account
	client  aliyun.Client
	source  sample.Source
	log     *slog.Logger
}

func newReader(a *aliyun.Account, name string) reader {
	source := a.Source("global", "cost", name)
	return reader{account: a, client: a.Client(), source: source, log: a.Log().With("source", source.Name)}
}

// Source names the collector.
func (r *reader) Source() sample.Source { return r.source }

func (r *reader) request(action string, query map[string]string) aliyun.Request {
	region := r.account.Config().Regions[0]
	return aliyun.Request{
		Product: "BssOpenApi", Version: "2017-12-14", Action: action, Region: region, Host: aliyun.Host("BssOpenApi", region), Query: query,
	}
}

func (r *reader) builder(at time.Time, currency string) *exporters.Builder {
	return exporters.NewBuilder(at, "customer", r.account.Customer(), "product", "bss", "account", r.account.Name(), "currency", currency)
}

func unreadable(action string, err error) error {
	return &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: "unexpected answer of " + action + ": " + err.Error()}
}
