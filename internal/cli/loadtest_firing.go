package cli

import (
	"github.com/spf13/cobra"

	"watchkeeper/loadtest/rulebench"
)

func newLoadtestFiring() *cobra.Command {
	cfg := rulebench.DefaultFiringConfig()
	c := &cobra.Command{
		Use:   "firing",
		Short: "Measure the time from a completing sample to the alert, and the memory of many states",
		Long: `Delivers samples in real time through the store to the rule engine, in this process:
half of the sources as they measure, half 150 s later. Prints how long after the moment
that completes it (T of its third check, or the batch's arrival if that is later) an
alert is handed over, the CPU and the memory.`,
		Example: `  watchkeeper loadtest firing
  watchkeeper loadtest firing --series 100000 --rate 20000 --interval 10s
  watchkeeper loadtest firing --series 100000 --rate 20000 --interval 10s --checks 20 --backfill 20000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Validate(); err != nil {
				return err
			}
			r, err := rulebench.RunFiring(cmd.Context(), cfg, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return rulebench.WriteFiring(cmd.OutOrStdout(), r)
		},
	}
	c.Flags().IntVar(&cfg.Series, "series", cfg.Series, "watched series")
	c.Flags().IntVar(&cfg.Rules, "rules", cfg.Rules, "rules that read each series")
	c.Flags().Float64Var(&cfg.Rate, "rate", cfg.Rate, "samples per second")
	c.Flags().DurationVar(&cfg.Interval, "interval", cfg.Interval, "time between checks")
	c.Flags().IntVar(&cfg.Checks, "checks", cfg.Checks, "for how many intervals samples are delivered")
	c.Flags().IntVar(&cfg.Alerts, "alerts", cfg.Alerts, "series that begin to breach at each check")
	c.Flags().DurationVar(&cfg.Lateness, "lateness", cfg.Lateness, "of the rules; below ten seconds every batch may come late")
	c.Flags().Float64Var(&cfg.Backfill, "backfill", cfg.Backfill, "samples per second, beside every other check, of sources that were away for hours")
	c.Flags().BoolVar(&cfg.BackfillLate, "backfill-late", cfg.BackfillLate, "these come too late for their checks")
	c.Flags().StringVar(&cfg.Dir, "dir", "", "empty folder for the store; default: a temporary one")
	return c
}
