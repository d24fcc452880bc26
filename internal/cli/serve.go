package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
)

func newServe(version string) *cobra.Command {
	var file, level, dataDir string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Runs the server until SIGINT or SIGTERM. Without a configuration it watches the host
that it runs on, keeps its data in ./data and listens on 127.0.0.1:9370 (API) and
127.0.0.1:9371 (remote write). SIGHUP and POST /-/reload read the configuration again
and swap it fully or not at all.`,
		Example: `  watchkeeper serve
  watchkeeper serve --config watchkeeper.yml --log-level debug`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(cmd.ErrOrStderr(), level)
			if err != nil {
				return err
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if dataDir != "" {
				cfg.DataDir = dataDir
			}
			a, err := app.New(cfg, app.Options{Version: version, Log: log})
			if err != nil {
				return err
			}
			defer func() {
				if err := a.Close(); err != nil {
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
						_ = a.Reload(cmd.Context()) // it logs its error
					}
				}
			}()
			return a.Run(cmd.Context())
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration file; without one this host is watched")
	c.Flags().StringVar(&dataDir, "data-dir", "", "data folder, instead of the configuration's")
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return c
}

func newLogger(w io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	h := slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})
	if l <= slog.LevelDebug {
		return slog.New(h), nil
	}
	return slog.New(newFewLines(h)), nil
}

func newCheck() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration without starting anything",
		Long: `Reads the configuration and everything that it names (rule files, contracts, routes, token
files) and builds all parts without starting or opening any. The first mistake is printed in
one line with file, line and path; the exit code is 2 then.`,
		Example: `  watchkeeper check --config watchkeeper.yml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			sum, err := app.Check(cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			name := file
			if name == "" {
				name = "the default configuration"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is good: %s, %s, %s, %s\n", name, plural(sum.Customers, "customer"),
				plural(sum.Collectors, "collector"), plural(sum.Rules, "rule"), plural(sum.Contracts, "contract"))
			return err
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration file")
	return c
}
