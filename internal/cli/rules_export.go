package cli

import (
	"fmt"
	"github.com/spf13/cobra"

	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/export"
)

func newRulesExport() *cobra.Command {
	var to, file string
	c := &cobra.Command{
		Use:   "export --to prometheus|vmalert|mimir [FILE…]",
		Short: "Write the rules as a rule file of Prometheus, vmalert or Mimir",
		Long: `Writes rule files, or the rules of a configuration (default: the shipped packs), for
another ruler: the nearest PromQL, with the differences in comments. For data without
gaps that arrive in time the exported rules fire at the same checks; what is lost
otherwise (late data, gaps, no-data) is said in the file. The file goes to standard
output.

Exit codes: 0 done; 2 not done: wrong flags, files or configuration.`,
		Example: `  watchkeeper rules export --to prometheus > watchkeeper.rules.yml
  watchkeeper rules export --to vmalert --config watchkeeper.yml
  watchkeeper rules export --to mimir ecs.yml`,
		RunE: func(cmd *cobra.Command, files []string) error {
			target, err := export.ParseTarget(to)
			if err != nil {
				return fmt.Errorf("--to: %w", err)
			}
			groups, err := groupsOf(cmd, file, files)
			if err != nil {
				return err
			}
			return export.Write(cmd.OutOrStdout(), target, groups)
		},
	}
	c.Flags().StringVar(&to, "to", "", "prometheus, vmalert or mimir; required")
	c.Flags().StringVar(&file, "config", "", "configuration whose rules are written")
	return c
}

// groupsOf reads rule files, or else the rules of a configuration (the shipped
// packs without one). Rules of Prometheus's own meaning are among them.
func groupsOf(cmd *cobra.Command, configFile string, files []string) ([]ruleset.Group, error) {
	if len(files) > 0 {
		if configFile != "" {
			return nil, fmt.Errorf("rule files and --config: give one of them")
		}
		return parseRuleFiles(files)
	}
	cfg, err := config.Load(configFile)
	if err != nil {
		return nil, err
	}
	groups, err := app.Rules(cfg)
	if err != nil {
		return nil, err
	}
	return groups, nil
}
