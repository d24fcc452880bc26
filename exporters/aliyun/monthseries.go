package aliyun

import (
	"context"
	"time"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// Metrics of an account itself (product aliyun, instance the account's name), by
// which the rules of the pack watch tell that its calls run out.
const (
	MetricMonthCalls    = "aliyun_account_month_calls"          // metric queries made in the month
	MetricMonthForecast = "aliyun_account_month_calls_forecast" // at the month's end, if nothing is skipped
	MetricMonthLimit    = "aliyun_account_month_calls_limit"    // calls_per_month
	MetricDegradeLevel  = "aliyun_account_degrade_level"        // a DegradeLevel
)

// monthInterval is how often an account's month is told.
const monthInterval = time.Minute

// monthCollector tells how an account's calls of the month are doing, so that
// rules can judge it like anything else. It calls nothing.
type monthCollector struct {
	source  sample.Source
	account string
	budget  *budget
}

var _ exporters.Collector = (*monthCollector)(nil)

func (c *monthCollector) Source() sample.Source { return c.source }

func (c *monthCollector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	s := c.budget.state(time.Now())
	b := exporters.NewBuilder(at, "customer", c.source.Customer, "product", "aliyun", "instance", c.account)
	b.Add(MetricMonthCalls, float64(s.calls))
	b.Add(MetricMonthForecast, s.forecast)
	b.Add(MetricMonthLimit, float64(s.limit))
	b.Add(MetricDegradeLevel, float64(s.level))
	return sink.Append(ctx, exporters.Looked(c.source, at, b.Samples()))
}
