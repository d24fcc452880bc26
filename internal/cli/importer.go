package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/internal/config"
	"watchkeeper/internal/datadir"
	"watchkeeper/internal/storage"

	"github.com/VictoriaMetrics/metrics"
)

func newImport() *cobra.Command {
	var data, customer, file string
	c := &cobra.Command{
		Use:   "import FILE.om",
		Short: "Import history from an OpenMetrics file as blocks",
		Long: `Writes the samples of an OpenMetrics text file (with timestamps, closed by "# EOF") as
blocks into the data folder of a stopped server. The samples are stored, not judged. A
sample that conflicts with a stored one is left out and counted; any other bad sample
fails the whole import and nothing is stored. FILE may be - for standard input.`,
		Example: `  watchkeeper import history.om --data ./data --customer acme`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if data != "" {
				cfg.DataDir = data
			}
			in := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("%w", err)
				}
				defer f.Close()
				in = f
			}
			return importInto(cmd, cfg, in, customer)
		},
	}
	c.Flags().StringVar(&data, "data", "", "data folder of the stopped server; default: the configuration's")
	c.Flags().StringVar(&customer, "customer", config.DefaultCustomer, "customer who owns the samples")
	c.Flags().StringVar(&file, "config", "", "configuration file")
	return c
}

func importInto(cmd *cobra.Command, cfg *config.Config, in io.Reader, customer string) error {
	dir, err := datadir.Open(cfg.DataDir)
	if err != nil {
		return err
	}
	sc := cfg.Storage
	sc.Dir = dir.Path()
	set := metrics.NewSet()
	store, err := storage.Open(sc, slog.New(slog.DiscardHandler), set, time.Now)
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	progress := newProgress(cmd.ErrOrStderr())
	stats, err := store.Import(cmd.Context(), in, customer, func(n int) { progress.print(fmt.Sprintf("%d samples read", n)) })
	progress.end()
	if err = errors.Join(err, store.Close(), dir.Close()); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s of %d series in %s, %s to %s", plural(stats.Samples, "sample"), stats.Series, plural(stats.Blocks, "block"),
		stamp(time.UnixMilli(stats.MinT)), stamp(time.UnixMilli(stats.MaxT)))
	if stats.Duplicates > 0 {
		fmt.Fprintf(out, "; %d were there before", stats.Duplicates)
	}
	if stats.Conflicts > 0 {
		fmt.Fprintf(out, "; %d conflict with stored ones and were left out, the first: %s", stats.Conflicts, stats.Refused[0].Labels)
	}
	_, err = fmt.Fprintln(out)
	return err
}
