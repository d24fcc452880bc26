package app

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/cdn"
	"watchkeeper/exporters/aliyun/cost"
	"watchkeeper/exporters/aliyun/events"
	"watchkeeper/exporters/aliyun/inventory"
	"watchkeeper/exporters/aliyun/performance"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/config"
)

// callsFile holds the calls of the month of every account, in the data folder.
const callsFile = "aliyun-calls.json"

// AccountJobs makes all collectors of an account; recall may be nil.
func AccountJobs(a *aliyun.Account, recall inventory.RecallFunc) ([]exporters.Job, error) {
	listed, err := inventory.Jobs(a, recall)
	if err != nil {
		return nil, err
	}
	counters, err := performance.Jobs(a)
	if err != nil {
		return nil, err
	}
	return slices.Concat(a.Jobs(), events.Jobs(a), cost.Jobs(a), listed, counters, cdn.Jobs(a)), nil
}

// AliyunAccounts builds the accounts of all customers of a configuration, for
// commands that plan or check them; it calls nothing.
func AliyunAccounts(cfg *config.Config, log *slog.Logger) ([]*aliyun.Account, error) {
	set := metrics.NewSet()
	var out []*aliyun.Account
	for i, cu := range cfg.Customers {
		accounts, err := aliyun.New(resolvePaths(cfg, cu.Aliyun), cu.Name, aliyun.Deps{
			NewClient: sdk.New, Budgets: aliyun.NewBudgets(set), Metrics: set, Log: log,
		})
		if err != nil {
			return nil, fmt.Errorf("customers[%d].%w", i, err)
		}
		out = append(out, accounts...)
	}
	return out, nil
}
