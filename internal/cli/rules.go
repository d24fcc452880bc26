package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"watchkeeper/internal/api"
	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
	"watchkeeper/internal/datadir"
	"watchkeeper/internal/table"
	"watchkeeper/ruleset"
)

func newRules() *cobra.Command {
	c := &cobra.Command{
		Use:   "rules",
		Short: "The rules by which samples are judged",
	}
	c.AddCommand(newRulesList(), newRulesTest(), newRulesReplay(), newRulesExplain(), newRulesDiff(),
		newRulesExport(), newRulesCheck(), newRulesCoverage(), newRulesDeviations())
	return c
}

// listedRule is one line of rules list.
type listedRule struct {
	Row         string `json:"contract_row,omitempty"`
	Literal     string `json:"contract_literal,omitempty"`
	Deviation   string `json:"contract_deviation,omitempty"`
	ID          string `json:"id"`
	Alert       string `json:"alert,omitempty"`
	Record      string `json:"record,omitempty"` // the series that a recording rule writes
	Group       string `json:"group"`
	Expr        string `json:"expr"`
	Interval    string `json:"interval"`
	Consecutive int    `json:"consecutive,omitempty"` // of a rule that counts checks
	For         string `json:"for,omitempty"`         // of a Prometheus rule
	Severity    string `json:"severity,omitempty"`
	Mode        string `json:"mode"`
	Reason      string `json:"reason,omitempty"`
	Series      *int   `json:"series,omitempty"` // watched now; of a running server only
	State       string `json:"state,omitempty"`
	Error       string `json:"error,omitempty"` // why it could not be evaluated last
}

func newRulesList() *cobra.Command {
	var src dataSource
	var f format
	var file string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the rules with their contract rows and the contract's own words",
		Long: `Lists the rules of a configuration (default: the shipped packs). With --url it asks a
running server, which also tells how many series each rule watches; with --data the folder of a
stopped one, which holds the rules that were in force last. Mode: streaming and evaluated rules
count checks; plain ones are Prometheus's own and run as they do there.`,
		Example: `  watchkeeper rules list
  watchkeeper rules list --url http://127.0.0.1:9370 --format json
  watchkeeper rules list --config watchkeeper.yml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var groups []api.RuleGroup
			var err error
			live := cmd.Flags().Changed("url")
			switch {
			case live:
				groups, err = rulesOf(cmd, src)
			case src.data != "":
				groups, err = rulesOfStopped(src.data)
			default:
				groups, err = rulesIn(file)
			}
			if err != nil {
				return err
			}
			rules := listRules(groups, live)
			if f == "json" {
				return printJSON(cmd.OutOrStdout(), rules)
			}
			return printRules(cmd.OutOrStdout(), rules, live)
		},
	}
	src.flags(c)
	c.Flags().Lookup("url").DefValue = "" // without it nobody is asked
	f.flag(c)
	c.Flags().StringVar(&file, "config", "", "configuration whose rules are listed")
	c.MarkFlagsMutuallyExclusive("url", "data", "config")
	return c
}

func rulesOf(cmd *cobra.Command, src dataSource) ([]api.RuleGroup, error) {
	cl, err := src.client()
	if err != nil {
		return nil, err
	}
	var out struct {
		Data struct {
			Groups []api.RuleGroup `json:"groups"`
		} `json:"data"`
	}
	err = cl.get(cmd.Context(), "/api/v1/rules", &out)
	return out.Data.Groups, err
}

func rulesOfStopped(data string) ([]api.RuleGroup, error) {
	dir, err := datadir.OpenReadOnly(data)
	if err != nil {
		return nil, err
	}
	groups, err := app.ReadRules(dir)
	return groups, errors.Join(err, dir.Close())
}

func rulesIn(file string) ([]api.RuleGroup, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	groups, err := app.RulesOf(cfg)
	if err != nil {
		return nil, err
	}
	return groups, nil
}

func listRules(groups []api.RuleGroup, live bool) []listedRule {
	var out []listedRule
	for _, g := range groups {
		for _, r := range g.Rules {
			l := listedRule{
				Row: r.Row, Literal: r.Literal, Deviation: r.Deviation, ID: r.ID, Alert: r.Name, Group: g.Name, Expr: r.Query,
				Interval: fmt.Sprintf("%gs", g.Interval), Consecutive: r.Consecutive, Severity: r.Labels.Get("severity"), Mode: r.Mode, Reason: r.Reason,
			}
			if r.Type == api.TypeRecording {
				l.Alert, l.Record = "", r.Name
			}
			if r.Consecutive == 0 && r.Duration > 0 {
				l.For = model.Duration(r.Duration * float64(time.Second)).String()
			}
			if live {
				l.Series, l.State, l.Error = r.Series, r.State, r.LastError
			}
			out = append(out, l)
		}
	}
	return out
}

func printRules(w io.Writer, rules []listedRule, live bool) error {
	header := []string{"ROW", "SEVERITY", "LITERAL", "CONDITION", "MODE"}
	if live {
		header = append(header, "SERIES", "STATE")
	}
	var rows [][]string
	deviations := 0
	for _, r := range rules {
		id := r.ID
		if r.Deviation != "" {
			id += " *"
			deviations++
		}
		condition := table.Shorten(r.Expr, 70)
		if r.For != "" {
			condition += " for " + r.For
		}
		row := []string{id, r.Severity, r.Literal, condition, r.Mode}
		if live {
			series := "" // nobody counts those of a Prometheus rule
			if r.Series != nil {
				series = strconv.Itoa(*r.Series)
			}
			state := r.State
			if r.Error != "" {
				state = strings.TrimSpace(state + " error")
			}
			row = append(row, series, state)
		}
		rows = append(rows, row)
	}
	if err := table.Write(w, header, rows); err != nil {
		return err
	}
	for _, r := range rules {
		if r.Mode == string(ruleset.ModeEvaluated) {
			if _, err := fmt.Fprintf(w, "\n%s: evaluated: %s\n", r.ID, r.Reason); err != nil {
				return err
			}
		}
		if r.Error != "" {
			if _, err := fmt.Fprintf(w, "\n%s: %s\n", r.ID, r.Error); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "\n%s; * %d differ from the contract's literal text for a declared reason ('watchkeeper rules deviations' tells it)\n", plural(len(rules), "rule"), deviations)
	return err
}
