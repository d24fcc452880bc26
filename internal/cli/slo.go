package cli

import (
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
	"watchkeeper/internal/storage"
	"watchkeeper/slo"
	"watchkeeper/slo/report"
)

func newSLO() *cobra.Command {
	c := &cobra.Command{
		Use:   "slo",
		Short: "What was promised and what is owed",
	}
	c.AddCommand(newSLOReport())
	return c
}

func newSLOReport() *cobra.Command {
	var src dataSource
	var f format
	var file, cycle, rules string
	c := &cobra.Command{
		Use:   "report",
		Short: "Compute the availability report of a contract for one cycle",
		Long: `Computes the report from the stored samples: exact availability over the cycle's real
seconds, unavailable and unmeasured intervals, exclusions, the allowance and the refund,
each figure with its numerator and denominator.`,
		Example: `  watchkeeper slo report --contract hosting.yml --cycle 2026-10
  watchkeeper slo report --contract hosting.yml --cycle 2026-10 --format json --data ./data`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("contract: %w", err)
			}
			contract, err := slo.Parse(file, text)
			if err != nil {
				return err
			}
			if src.data == "" {
				return reportByServer(cmd, src, f, text, cycle)
			}
			cy, err := contract.ParseCycle(cycle)
			if err != nil {
				return err
			}
			cfg, err := config.Load(rules)
			if err != nil {
				return err
			}
			groups, err := app.Rules(cfg)
			if err != nil {
				return err
			}
			return src.withStore(func(store *storage.Store) error {
				r, err := slo.Compute(cmd.Context(), contract, cy, app.NewVerdictReader(store, groups), time.Now())
				if err != nil {
					return err
				}
				if f == "json" {
					return report.WriteJSON(cmd.OutOrStdout(), r)
				}
				return report.WriteTable(cmd.OutOrStdout(), r)
			})
		},
	}
	src.flags(c)
	f.flag(c)
	c.Flags().StringVar(&file, "contract", "", "contract file")
	c.Flags().StringVar(&cycle, "cycle", "", "YYYY-MM for a month, YYYY for a year")
	c.Flags().StringVar(&rules, "config", "", "with --data: the configuration whose rules judge; default: the shipped packs")
	_ = c.MarkFlagRequired("contract") // both flags exist
	_ = c.MarkFlagRequired("cycle")
	return c
}

func reportByServer(cmd *cobra.Command, src dataSource, f format, contract []byte, cycle string) error {
	cl, err := src.client()
	if err != nil {
		return err
	}
	var out []byte
	q := url.Values{"cycle": {cycle}, "format": {string(f)}}
	if err := cl.do(cmd.Context(), "POST", "/api/slo/report?"+q.Encode(), "application/yaml", contract, &out); err != nil {
		return err
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), string(out))
	return err
}
