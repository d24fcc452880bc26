package cli

import (
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/internal/app"
	"watchkeeper/internal/storage"
	"watchkeeper/internal/table"
	"watchkeeper/ruleset/coverage"
)

// coverageFlags are the flags of rules coverage.
type coverageFlags struct {
	src       dataSource
	format    format
	config    string
	overrides string
	customer  string
	all       bool
}

func newRulesCoverage() *cobra.Command {
	var f coverageFlags
	c := &cobra.Command{
		Use:   "coverage",
		Short: "Is every resource watched as the contract says?",
		Long: `Lists the known resources with the contract rows of their product: watched, too sparse
to fire, not applicable and why, overridden, or a hole; then what of the contract's
entitlements is used. The table shows what is not simply watched; --all shows
everything, as JSON does.

A running server answers by the rules it runs; with --data they come from --config
(default: the shipped packs) and --overrides, and the time is that of the newest thing
stored there.

Exit codes: 0 no hole, 1 holes, 2 it could not be told.`,
		Example: `  watchkeeper rules coverage
  watchkeeper rules coverage --all --url http://127.0.0.1:9370
  watchkeeper rules coverage --customer acme
  watchkeeper rules coverage --data ./data --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.src.flags(c)
	f.format.flag(c)
	c.Flags().BoolVar(&f.all, "all", false, "show what is watched, too")
	customerFlag(c, &f.customer, "show this customer alone")
	c.Flags().StringVar(&f.config, "config", "", "with --data: the configuration whose rules and section rules.coverage count")
	c.Flags().StringVar(&f.overrides, "overrides", "", "with --data: file of overrides; default: the configuration's")
	return c
}

func (f *coverageFlags) run(cmd *cobra.Command) error {
	if f.src.data == "" && (f.config != "" || f.overrides != "") {
		return fmt.Errorf("--config and --overrides need --data: a running server answers by the rules it runs")
	}
	r, err := f.report(cmd)
	if err != nil {
		return err
	}
	if f.format == "json" {
		err = printJSON(cmd.OutOrStdout(), r)
	} else {
		err = printCoverage(cmd.OutOrStdout(), r, f.all)
	}
	if err == nil && r.Holes() > 0 {
		err = foundf("%s: a resource is not watched as the contract says", plural(r.Holes(), "hole"))
	}
	return err
}

func (f *coverageFlags) report(cmd *cobra.Command) (r *coverage.Report, err error) {
	if f.src.data == "" {
		cl, err := f.src.client()
		if err != nil {
			return nil, err
		}
		r = &coverage.Report{}
		path := "/api/coverage"
		if f.customer != "" {
			path += "?" + url.Values{"customer": {f.customer}}.Encode()
		}
		return r, cl.get(cmd.Context(), path, r)
	}
	groups, cfg, overrides, err := rulesAndOverrides(f.config, f.overrides)
	if err != nil {
		return nil, err
	}
	err = f.src.withStore(func(store *storage.Store) error {
		now := app.Newest(store)
		groups, applied, err := withOverrides(groups, overrides, now)
		if err != nil {
			return err
		}
		r, err = app.CoverageOf(cmd.Context(), cfg.Rules.Coverage, store, groups, applied, nil, now)
		return err
	})
	if err == nil && f.customer != "" {
		return app.CoverageOfCustomer(r, f.customer)
	}
	return r, err
}

func printCoverage(w io.Writer, r *coverage.Report, all bool) error {
	var rows [][]string
	for _, e := range r.Entries {
		if e.Status == coverage.Watched && !all {
			continue
		}
		last := "never"
		if !e.LastSample.IsZero() {
			last = e.LastSample.Format(time.RFC3339)
		}
		rows = append(rows, []string{string(e.Status), e.Customer, e.Product, e.Instance, e.Row, last, string(e.Verdict), e.Reason})
	}
	if len(rows) > 0 {
		if err := table.Write(w, []string{"STATUS", "CUSTOMER", "PRODUCT", "INSTANCE", "ROW", "LAST SAMPLE", "VERDICT", "REASON"}, rows); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	var totals []string
	for _, s := range coverage.Statuses() {
		totals = append(totals, fmt.Sprintf("%d %s", r.Totals[s], s))
	}
	if _, err := fmt.Fprintf(w, "%s at %s: %s\n\n", plural(r.Resources, "resource"), r.At.Format(time.RFC3339), strings.Join(totals, ", ")); err != nil {
		return err
	}
	rows = nil
	for _, u := range r.Entitlements {
		entitled := "no limit"
		if u.Entitled > 0 {
			entitled = strconv.Itoa(u.Entitled)
		}
		rows = append(rows, []string{u.Customer, u.What, strconv.Itoa(u.Used), entitled, u.Note})
	}
	return table.Write(w, []string{"CUSTOMER", "ENTITLEMENT", "USED", "ENTITLED", "NOTE"}, rows)
}
