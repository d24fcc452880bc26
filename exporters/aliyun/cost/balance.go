package cost

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"watchkeeper/exporters"
)

// balance reads what the account can still spend.
type balance struct{ reader }

var _ exporters.Collector = (*balance)(nil)

// Collect asks for the balance.
func (c *balance) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	const action = "QueryAccountBalance"
	body, err := c.client.Do(ctx, c.request(action, nil))
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			AvailableAmount, AvailableCashAmount, CreditAmount *amount
			Currency                                           string
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return unreadable(action, err)
	}
	if answer.Data.AvailableAmount == nil {
		return unreadable(action, errors.New("no AvailableAmount"))
	}
	b := c.builder(at, currencyOf(answer.Data.Currency))
	for name, a := range map[string]*amount{
		MetricAvailable: answer.Data.AvailableAmount, MetricCash: answer.Data.AvailableCashAmount, MetricCredit: answer.Data.CreditAmount,
	} {
		if a != nil {
			b.Add(name, a.float())
		}
	}
	return sink.Append(ctx, exporters.Looked(c.source, at, b.Samples()))
}
