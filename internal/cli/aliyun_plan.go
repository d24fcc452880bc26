package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/exporters/aliyun/plan"
	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
	"watchkeeper/internal/table"
)

// planFlags are the flags of aliyun plan.
type planFlags struct {
	format    format
	config    string
	account   string
	resources []string
	live      bool
}

func newAliyunPlan() *cobra.Command {
	var f planFlags
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what a configuration will cost in API calls, before anything is called",
		Long: `Prints the calls of every collector by round and by month of 30 days, pages included:
metrics, lists of resources and their details, counters of databases and domains,
events, backups, bills; the total against the account's calls_per_month (default: the
free quota of 1,000,000), and the calls per second. "2 (4 each 5th)" are the calls of a
round, and of each fifth, which looks back further for late points. When an account
needs more than its quota the plan says what will be polled less often.

How much there is comes from --resources, or with --live from the accounts themselves:
that takes one round of calls, which count for the quota. --resources holds for the
first region of every account; REGION/PRODUCT=N names another. Parts of products:
rds-postgresql=N and the like say which engines there are (else all are MySQL),
rds-readonly those without backups (none), mongodb-sharding (none), slb-prepaid (all),
ecs-disks (two an instance), ecs-snapshots (seven a disk), ecs-events system events of
30 days (none). metric:NAME=N is how many series a metric has; otherwise a resource has
one, and two for each further dimension (disk, listener, node).

Exit codes: 0 within the quota, 1 over it, 2 it could not be told.`,
		Example: `  watchkeeper aliyun plan --config watchkeeper.yml --resources ecs=200,rds=10,slb=12
  watchkeeper aliyun plan --config watchkeeper.yml --resources ecs=200,cn-beijing/ecs=40,metric:diskusage_utilization=650 --format json
  watchkeeper aliyun plan --config watchkeeper.yml --live --account main`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.format.flag(c)
	c.Flags().StringVar(&f.config, "config", "", "configuration file")
	c.Flags().StringVar(&f.account, "account", "", "only this account")
	c.Flags().StringSliceVar(&f.resources, "resources", nil, "how much there is: PRODUCT=N, REGION/PRODUCT=N, metric:NAME=N")
	c.Flags().BoolVar(&f.live, "live", false, "ask the accounts how much there is")
	c.MarkFlagsMutuallyExclusive("resources", "live")
	_ = c.MarkFlagRequired("config") // the flag exists
	return c
}

func (f *planFlags) run(cmd *cobra.Command) error {
	cfg, err := config.Load(f.config)
	if err != nil {
		return err
	}
	accounts, err := app.AliyunAccounts(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if f.account != "" {
		accounts = slices.DeleteFunc(accounts, func(a *aliyun.Account) bool { return a.Name() != f.account })
	}
	if len(accounts) == 0 {
		return fmt.Errorf("%s has no Aliyun account %s", f.config, f.account)
	}
	sizes, err := f.sizes(cmd.Context(), accounts)
	if err != nil {
		return err
	}
	p, err := plan.New(accounts, sizes)
	if err != nil {
		return err
	}
	p.Sort()
	if f.format == "json" {
		err = printJSON(cmd.OutOrStdout(), p)
	} else {
		err = printPlan(cmd.OutOrStdout(), p)
	}
	if err == nil && p.Over() {
		err = foundf("more calls than calls_per_month allows")
	}
	return err
}

// sizes come from the flags or from the accounts.
func (f *planFlags) sizes(ctx context.Context, accounts []*aliyun.Account) (plan.SizesFunc, error) {
	if f.live {
		return plan.Live(ctx, accounts, time.Now())
	}
	known, err := catalog.Load()
	if err != nil {
		return nil, err
	}
	byRegion := map[string][]string{}
	for _, text := range f.resources {
		region, rest := "", text
		// A metric's name may hold a slash, before the number or in its namespace.
		if before, after, ok := strings.Cut(text, "/"); ok && !strings.Contains(before, ":") {
			region, rest = before, after
		}
		byRegion[region] = append(byRegion[region], rest)
	}
	sizes := map[string]plan.Sizes{}
	for region, texts := range byRegion {
		used := func(a *aliyun.Account) bool { return slices.Contains(a.Config().Regions, region) }
		if region != "" && !slices.ContainsFunc(accounts, used) {
			return nil, fmt.Errorf("--resources: no account has the region %q", region)
		}
		if sizes[region], err = plan.ParseSizes(texts, known.Products()); err != nil {
			return nil, fmt.Errorf("--resources: %w", err)
		}
	}
	first := map[string]string{}
	for _, a := range accounts {
		first[a.Name()] = a.Config().Regions[0]
	}
	return func(account, region string) plan.Sizes {
		if s, ok := sizes[region]; ok {
			return s
		}
		if region == first[account] {
			return sizes[""]
		}
		return plan.Sizes{}
	}, nil
}

func printPlan(w io.Writer, p plan.Plan) error {
	var rows [][]string
	for _, r := range p.Rows {
		what, counts := r.Metric, "yes"
		if what == "" {
			what = r.API
		}
		if !r.Counts {
			counts = "no"
		}
		every := (time.Duration(r.Interval) * time.Second).String()
		rows = append(rows, []string{
			r.Account, r.Region, r.Product, what, r.Lane, every, strconv.Itoa(r.Resources), strconv.Itoa(r.Series), callsOf(r),
			strconv.FormatInt(r.MonthCalls, 10), counts,
		})
	}
	header := []string{"ACCOUNT", "REGION", "PRODUCT", "METRIC OR API", "LANE", "EVERY", "RESOURCES", "SERIES", "CALLS", "CALLS A MONTH", "COUNTS"}
	if err := table.Write(w, header, rows); err != nil {
		return err
	}
	for _, t := range p.Totals {
		if _, err := fmt.Fprintf(w, "\naccount %s: %d calls a month, of which %d count for the quota of %d (%.0f%%)\n",
			t.Account, t.Calls, t.CountedCalls, t.Limit, 100*float64(t.CountedCalls)/float64(t.Limit)); err != nil {
			return err
		}
		if t.CountedCalls > t.Limit {
			if _, err := fmt.Fprintf(w, "over the quota; what is cut: %s\n", t.Cut); err != nil {
				return err
			}
		}
		rows = nil
		for _, a := range t.APIs {
			rows = append(rows, []string{a.API, fmt.Sprintf("%.2f", a.Mean), fmt.Sprintf("%.2f", a.Peak), fmt.Sprintf("%g", a.Limit), fmt.Sprintf("%.0f", a.Seconds)})
		}
		if err := table.Write(w, []string{"API", "CALLS/S", "PEAK", "LIMIT", "SECONDS A ROUND"}, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(p.Notes, "\n"))
	return err
}

// callsOf are a round's calls, and those of rounds that look back further.
func callsOf(r plan.Row) string {
	if r.LateCalls == r.Calls || r.LateEvery == 0 {
		return strconv.Itoa(r.Calls)
	}
	suffix := "th"
	if r.LateEvery == 2 || r.LateEvery == 3 {
		suffix = map[int]string{2: "nd", 3: "rd"}[r.LateEvery]
	}
	return fmt.Sprintf("%d (%d each %d%s)", r.Calls, r.LateCalls, r.LateEvery, suffix)
}
