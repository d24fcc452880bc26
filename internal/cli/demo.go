package cli

import (
	"errors"
	"fmt"
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
		Long: `Starts the server with a fresh data folder, a simulated cloud account that had a CPU
breach a few minutes ago, a local web site, this host and a ticket system, imports last
month's history, and prints what happens: samples per source, the alert with the
contract's literal text, the incident and the samples that made it, the webhook, the
availability report. It runs until Ctrl-C, or for the time given with --for.

Exit codes: 0 everything was seen, or it was stopped by hand, 1 with --for: not
everything was seen, 2 it could not start.`,
		Example: `  watchkeeper demo
  watchkeeper demo --for 40s --dir /var/tmp/watchkeeper-demo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Colour = isTerminal(cmd.OutOrStdout()) && os.Getenv("NO_COLOR") == ""
			if cfg.Dir != "" {
				if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
					return fmt.Errorf("--dir: %w", err)
				}
				if entries, err := os.ReadDir(cfg.Dir); err != nil || len(entries) > 0 {
					return fmt.Errorf("--dir %s: must be a new or empty folder", cfg.Dir)
				}
			}
			err := demo.Run(cmd.Context(), cfg, cmd.OutOrStdout())
			switch incomplete := errors.Is(err, demo.ErrIncomplete); {
			case incomplete && cfg.For == 0:
				return nil // stopped by hand
			case incomplete:
				return finding{err}
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
