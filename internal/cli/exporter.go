package cli

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"watchkeeper/exporters/exposition"
	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
)

func newExporter() *cobra.Command {
	limits := exposition.DefaultConfig()
	var file, level, listen string
	var open bool
	c := &cobra.Command{
		Use:   "exporter",
		Short: "Serve what the collectors read to any Prometheus",
		Long: `Runs the collectors of a configuration (customers: host, probes, processes, middleware,
cloud accounts, scrape_configs) and serves what they read at /metrics in Prometheus's
text format, with the samples' own timestamps. There is no store, no rule and no alert;
what log files and watches must remember is kept in the folder exporter-state of
data_dir. The configuration's other sections are read and not used. Without a
configuration it watches the host that it runs on. /-/healthy answers while it lives;
SIGHUP reads the configuration again.`,
		Example: `  watchkeeper exporter
  watchkeeper exporter --config watchkeeper.yml --listen 127.0.0.1:9372
  curl http://127.0.0.1:9372/metrics`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(cmd.ErrOrStderr(), level)
			if err != nil {
				return err
			}
			if err := limits.Validate(); err != nil {
				return fmt.Errorf("--%w", err)
			}
			if !config.Loopback(listen) && !open {
				return fmt.Errorf("--listen: others can reach %s and the exporter asks nobody who he is; listen on loopback, or give --allow-unauthenticated", listen)
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			e, err := app.NewExporter(cfg, listen, limits, log)
			if err != nil {
				return err
			}
			defer func() {
				if err := e.Close(); err != nil {
					log.Error("stop", "err", err)
				}
			}()
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			go func() {
				for {
					select {
					case <-cmd.Context().Done():
						return
					case <-hup:
						_ = e.Reload() // it logs its error
					}
				}
			}()
			return e.Run(cmd.Context())
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration file; without one this host is watched")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9372", "address")
	c.Flags().BoolVar(&open, "allow-unauthenticated", false, "permit an address that others can reach")
	c.Flags().DurationVar(&limits.StaleAfter, "stale-after", limits.StaleAfter, "how long a series is shown that is no longer delivered; at least twice its interval")
	c.Flags().IntVar(&limits.MaxSeries, "max-series", limits.MaxSeries, "series that are kept")
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return c
}
