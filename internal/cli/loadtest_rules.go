package cli

import (
	"github.com/spf13/cobra"

	"watchkeeper/loadtest/rulebench"
)

func newLoadtestRules() *cobra.Command {
	cfg := rulebench.DefaultConfig()
	c := &cobra.Command{
		Use:   "rules",
		Short: "Measure what judging costs, side by side with Prometheus's rules package",
		Long: `Writes some minutes of the contract's series into a store and judges them in this
process by our rule engine and by Prometheus's rules package in its two usual forms
(for: 2m; min_over_time and count_over_time), and measures the floor that the machine
sets. Prints the CPU time per minute of data and per check, memory per series, and the
ratios.`,
		Example: `  watchkeeper loadtest rules
  watchkeeper loadtest rules --series 1000000 --minutes 5`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Validate(); err != nil {
				return err
			}
			r, err := rulebench.Run(cmd.Context(), cfg, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return rulebench.Write(cmd.OutOrStdout(), r)
		},
	}
	c.Flags().IntVar(&cfg.Series, "series", cfg.Series, "watched series, one rule each")
	c.Flags().Float64Var(&cfg.Breaching, "breaching", cfg.Breaching, "share of series that breach at every check")
	c.Flags().IntVar(&cfg.Minutes, "minutes", cfg.Minutes, "minutes of data that our engine is measured over")
	c.Flags().IntVar(&cfg.PrometheusMinutes, "prometheus-minutes", cfg.PrometheusMinutes, "minutes that each form of Prometheus's is measured over")
	c.Flags().StringVar(&cfg.Dir, "dir", "", "empty folder for the store; default: a temporary one")
	return c
}
