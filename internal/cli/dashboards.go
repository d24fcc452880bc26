package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"watchkeeper/dashboards"
	"watchkeeper/internal/table"
)

// grafanaTokenEnv names the environment variable with Grafana's token.
const grafanaTokenEnv = "GRAFANA_TOKEN"

func newDashboards() *cobra.Command {
	c := &cobra.Command{
		Use:   "dashboards",
		Short: "Grafana dashboards",
	}
	c.AddCommand(newDashboardsBuild(), newDashboardsPublish())
	return c
}

func newDashboardsBuild() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:     "build",
		Short:   "Write the dashboards as JSON files",
		Example: `  watchkeeper dashboards build --out dashboards-json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := dashboards.Build(out)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.Join(files, "\n"))
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "folder; it is made when it is not there")
	_ = c.MarkFlagRequired("out") // the flag exists
	return c
}

func newDashboardsPublish() *cobra.Command {
	cfg := dashboards.DefaultConfig()
	var tokenFile string
	var f format
	c := &cobra.Command{
		Use:   "publish",
		Short: "Put folder, data source and dashboards on a Grafana server",
		Long: `Puts the folder, the Prometheus data source and all dashboards on a Grafana server. It
may be called any number of times. The service account token comes from
$` + grafanaTokenEnv + ` or --token-file.`,
		Example: `  GRAFANA_TOKEN=… watchkeeper dashboards publish --grafana http://127.0.0.1:3000`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token := os.Getenv(grafanaTokenEnv)
			if tokenFile != "" {
				b, err := os.ReadFile(tokenFile)
				if err != nil {
					return fmt.Errorf("token: %w", err)
				}
				token = strings.TrimSpace(string(b))
			}
			cfg.Key = dashboards.Secret(token)
			if err := cfg.Validate(); err != nil {
				return err
			}
			done, err := dashboards.Publish(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if f == "json" {
				return printJSON(cmd.OutOrStdout(), done)
			}
			rows := [][]string{{"folder", done.Folder}, {"data source", done.DataSource}}
			for uid, address := range done.Dashboards {
				rows = append(rows, []string{"dashboard " + uid, address})
			}
			return table.Write(cmd.OutOrStdout(), nil, rows)
		},
	}
	f.flag(c)
	c.Flags().StringVar(&cfg.URL, "grafana", cfg.URL, "Grafana's address")
	c.Flags().StringVar(&cfg.PrometheusURL, "prometheus", cfg.PrometheusURL, "where Grafana reaches this server")
	c.Flags().StringVar(&tokenFile, "token-file", "", "file with the service account token")
	return c
}
