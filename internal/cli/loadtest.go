package cli

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"watchkeeper/loadtest"
)

func newLoadtest() *cobra.Command {
	cfg := loadtest.DefaultConfig()
	interval, duration := time.Duration(cfg.Interval), time.Duration(cfg.Duration)
	var f format
	c := &cobra.Command{
		Use:   "loadtest",
		Short: "Write a seeded workload to a remote-write address and measure the receiver",
		Long: `Sends contract-shaped series by remote write at a given rate and prints samples per
second, latencies and the receiver's CPU and memory. It writes to this machine only,
unless --allow-remote is given.

Exit codes: 0 all was accepted, 1 a part was not, 2 nothing was, or it could not be sent.`,
		Example: `  watchkeeper loadtest --series 10000 --rate 50000 --duration 30s`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Interval, cfg.Duration = model.Duration(interval), model.Duration(duration)
			if err := cfg.Validate(); err != nil {
				return err
			}
			r, err := loadtest.Run(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if f == "json" {
				err = loadtest.WriteJSON(cmd.OutOrStdout(), r)
			} else {
				err = loadtest.WriteTable(cmd.OutOrStdout(), r)
			}
			switch {
			case err != nil:
				return err
			case r.SamplesAccepted == 0 && r.FirstFailure != "":
				return fmt.Errorf("nothing was accepted: %s", r.FirstFailure)
			case r.FirstFailure != "":
				return foundf("not everything was accepted: %s", r.FirstFailure)
			}
			return nil
		},
	}
	c.AddCommand(newLoadtestRules(), newLoadtestFiring())
	f.flag(c)
	c.Flags().StringVar(&cfg.URL, "to", cfg.URL, "remote-write address")
	c.Flags().BoolVar(&cfg.AllowRemote, "allow-remote", false, "permit an address that is not on this machine")
	c.Flags().IntVar(&cfg.Series, "series", cfg.Series, "number of series")
	c.Flags().DurationVar(&interval, "interval", interval, "time between two samples of a series")
	c.Flags().Float64Var(&cfg.Rate, "rate", cfg.Rate, "samples per second")
	c.Flags().DurationVar(&duration, "duration", duration, "how long to send")
	c.Flags().IntVar(&cfg.Batch, "batch", cfg.Batch, "samples in a request")
	c.Flags().IntVar(&cfg.Workers, "workers", cfg.Workers, "concurrent senders")
	c.Flags().Float64Var(&cfg.Breaching, "breaching", cfg.Breaching, "share of series that breach")
	c.Flags().Uint64Var(&cfg.Seed, "seed", cfg.Seed, "fixes names and values")
	c.Flags().Int32Var(&cfg.PID, "pid", 0, "process to measure; default: the one that listens at the address")
	return c
}
