package cli

import (
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/internal/demo"
)

func newDemo(version string) *cobra.Command {
	cfg := demo.Config{Version: version}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole product in one process within 30 seconds",
		Long: `Starts the server with a fresh data folder, a simulated cloud account that had a CPU breach a few minutes
ago, a local web site, this host and a ticket system, imports last month's history, and prints what
happens: samples per source, the alert with the contract's literal text, the incident and the samples that made it, the webhook,
the availability report. It runs until Ctrl-C, or for the time given with --for: then the exit code is 1 unless
everything was seen.`,
		Example: `  watchkeeper demo
  watchkeeper demo --for 40s --dir /var/tmp/watchkeeper-demo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Colour = isTerminal(cmd.OutOrStdout()) && os.Getenv("NO_COLOR") == ""
			if cfg.Dir != "" {
				if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
					return usagef("--dir: %w", err)
				}
				if entries, err := os.ReadDir(cfg.Dir); err != nil || len(entries) > 0 {
					return usagef("--dir %s: must be a new or empty folder", cfg.Dir)
				}
			}
			err := demo.Run(cmd.Context(), cfg, cmd.OutOrStdout())
			if errors.Is(err, demo.ErrIncomplete) && cfg.For == 0 {
				return nil // stopped by hand
			}
			return err
		},
	}
	c.Flags().StringVar(&cfg.Dir, "dir", "", "folder to keep configuration, data and log in; default: a new one that is removed at the end")
	c.Flags().DurationVar(&cfg.For, "for", 0*time.Second, "end after this time; default: at Ctrl-C")
	c.Flags().StringVar(&cfg.API, "api", "127.0.0.1:9370", "API listener; a free port when it is taken")
	c.Flags().StringVar(&cfg.Ingest, "ingest", "127.0.0.1:9371", "remote-write listener; a free port when it is taken")
	return c
}
