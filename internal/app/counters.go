package app

import (
	"fmt"
	"log/slog"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/cdn"
	"watchkeeper/exporters/aliyun/performance"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/config"
)

// callsFile holds the calls of the month of every account, in the data folder.
const callsFile = "aliyun-calls.json"

// counterJobs makes the collectors of what products tell beside CloudMonitor:
// RDS' counters and slow queries, CDN requests by status.
func counterJobs(a *aliyun.Account) ([]exporters.Job, error) {
	jobs, err := performance.Jobs(a)
	if err != nil {
		return nil, err
	}
	return append(jobs, cdn.Jobs(a)...), nil
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
