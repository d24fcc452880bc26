package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
	"watchkeeper/internal/table"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/aliyunaccount"
	"watchkeeper/ruleset/contract"
	"watchkeeper/ruleset/dbpolicy"
	"watchkeeper/ruleset/expiry"
	"watchkeeper/ruleset/lint"
	"watchkeeper/ruleset/promrules"
	"watchkeeper/ruleset/vantage"
	"watchkeeper/ruleset/watch"
)

func newRulesCheck() *cobra.Command {
	var file string
	var f format
	c := &cobra.Command{
		Use:   "check [FILE…]",
		Short: "Read rules for mistakes that parse",
		Long: `Reads rule files, or the rules of a configuration (default: the shipped packs), for
conditions that never or always hold, unknown metrics, units that do not go together,
sources slower than the rule allows, rules that repeat or contradict one another,
missing texts and labels. Warnings are for a person to judge. With --config the
intervals of its hosts, probes and servers count, too: a rule must get by with the
longest.

Exit codes: 0 no error, 1 errors, 2 rules or configuration could not be read.`,
		Example: `  watchkeeper rules check
  watchkeeper rules check ecs.yml hosts.yml
  watchkeeper rules check --config watchkeeper.yml --format json`,
		RunE: func(cmd *cobra.Command, files []string) error {
			groups, err := groupsOf(cmd, file, files)
			if err != nil {
				return err
			}
			intervals, err := intervalsOf(file)
			if err != nil {
				return err
			}
			cfg, err := lintConfig(intervals)
			if err != nil {
				return err
			}
			found := lint.Check(cfg, groups)
			if f == "json" {
				if found == nil {
					found = []lint.Finding{}
				}
				err = printJSON(cmd.OutOrStdout(), found)
			} else {
				err = printFindings(cmd.OutOrStdout(), found, rulesOfGroups(groups))
			}
			if err != nil {
				return err
			}
			if n := lint.Errors(found); n > 0 {
				return foundf("%s", plural(n, "error"))
			}
			return nil
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration whose rules are read")
	f.flag(c)
	return c
}

// parseRuleFiles reads rule files; a file that is no rule file is wrong usage.
func parseRuleFiles(names []string) ([]ruleset.Group, error) {
	var groups []ruleset.Group
	for _, name := range names {
		text, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
		gs, err := ruleset.Parse(name, text)
		if err != nil {
			if _, other := config.Load(name); other == nil {
				err = fmt.Errorf("%w; it is a configuration: give it by --config", err)
			}
			return nil, err
		}
		// The server reads the plain groups as Prometheus does, and takes none of both kinds.
		if _, err := promrules.Groups([]promrules.File{{Name: name, Data: text}}); err != nil {
			return nil, err
		}
		if len(gs) == 0 {
			return nil, fmt.Errorf("rules: %s holds no rule group", name)
		}
		groups = append(groups, gs...)
	}
	return groups, nil
}

// ownPrefix begins the names of this program's own metrics.
const ownPrefix = "watchkeeper_"

// intervalsOf tells the intervals of a configuration's collectors; nil without one.
func intervalsOf(file string) (func(metric string) (lint.Period, bool), error) {
	if file == "" {
		return nil, nil
	}
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	return app.Intervals(cfg)
}

// lintConfig knows the metrics that collectors deliver, how often the cloud has a
// point of each, and how often the other sources are read.
func lintConfig(intervals func(metric string) (lint.Period, bool)) (lint.Config, error) {
	cat, err := catalog.Load()
	if err != nil {
		return lint.Config{}, err
	}
	periods := map[string]time.Duration{}
	for _, m := range cat.Metrics() {
		if m.Lane != catalog.Off {
			periods[m.Name] = max(periods[m.Name], time.Duration(m.Period())*time.Second)
		}
	}
	counted, err := countedMetrics(cat)
	if err != nil {
		return lint.Config{}, err
	}
	return lint.Config{
		Period: func(metric string) (lint.Period, bool) {
			if d, ok := periods[metric]; ok {
				return lint.Period{Every: d, Source: "CloudMonitor"}, true
			}
			if intervals == nil {
				return lint.Period{}, false
			}
			return intervals(metric)
		},
		Delivered: func(metric string) bool {
			_, cloud := periods[metric]
			_, policy := dbpolicy.Lookup(metric)
			return cloud || policy || counted[metric] || aliyunaccount.Reads(metric) || strings.HasPrefix(metric, ownPrefix)
		},
		Shipped: func(file string) bool {
			return strings.HasPrefix(file, contract.Name+"/") || strings.HasPrefix(file, dbpolicy.Name) || file == aliyunaccount.File || file == vantage.File || file == watch.File || file == expiry.File
		},
	}, nil
}

func rulesOfGroups(groups []ruleset.Group) (n int) {
	for _, g := range groups {
		n += len(g.Rules)
	}
	return n
}

func printFindings(w io.Writer, found []lint.Finding, rules int) error {
	warnings := len(found) - lint.Errors(found)
	for _, f := range found {
		if _, err := fmt.Fprintf(w, "%s:%d: %s: %s: %s (%s)\n", f.File, f.Line, f.Severity, f.Rule, table.Shorten(f.Message, 300), f.Code); err != nil {
			return err
		}
		if f.Fix != "" {
			if _, err := fmt.Fprintf(w, "    %s\n", f.Fix); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "%s: %s, %s\n", plural(rules, "rule"), plural(lint.Errors(found), "error"), plural(warnings, "warning"))
	return err
}
