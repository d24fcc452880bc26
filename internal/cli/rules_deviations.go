package cli

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
	"watchkeeper/internal/table"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/override"
)

// deviations is what rules deviations prints as JSON.
type deviations struct {
	Shipped   []shippedDeviation `json:"shipped"`
	Overrides []override.Applied `json:"overrides"`
}

// shippedDeviation is a rule that differs from the contract's literal text.
type shippedDeviation struct {
	Row         string `json:"row"`
	Alert       string `json:"alert"`
	Literal     string `json:"literal"`
	Expr        string `json:"expr"`
	LiteralExpr string `json:"literal_expr,omitempty"`
	Reason      string `json:"reason"`
}

func newRulesDeviations() *cobra.Command {
	var file, overrides, customer string
	var f format
	c := &cobra.Command{
		Use:   "deviations",
		Short: "List where rules differ from the contract's literal text, and why",
		Long: `Lists the rules of a configuration (default: the shipped packs) that differ from the
contract's literal text, and the overrides of a file (default: the configuration's) with
owner, reason and end. An override that has expired or not begun is listed as such. What
rules.literal of the configuration restores does not deviate and is not listed.

Exit codes: 0 done; 2 not done: wrong flags, files or configuration.`,
		Example: `  watchkeeper rules deviations
  watchkeeper rules deviations --overrides overrides.yml
  watchkeeper rules deviations --config watchkeeper.yml --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := deviationsOf(file, overrides)
			if err != nil {
				return err
			}
			if customer != "" {
				d.Overrides = slices.DeleteFunc(d.Overrides, func(a override.Applied) bool { return a.Override.Customer() != customer })
			}
			if f == "json" {
				return printJSON(cmd.OutOrStdout(), d)
			}
			if err := printDeviations(cmd.OutOrStdout(), d); err != nil || customer == "" || len(d.Overrides) > 0 {
				return err
			}
			return none(cmd, "override", true)
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration whose rules are listed")
	c.Flags().StringVar(&overrides, "overrides", "", "file of overrides")
	f.flag(c)
	customerFlag(c, &customer, "list the overrides of this customer alone")
	return c
}

// deviationsOf reads the rules of a configuration, and overrides from a file or else
// those that the configuration names.
func deviationsOf(file, overrides string) (deviations, error) {
	groups, _, overrides, err := rulesAndOverrides(file, overrides)
	if err != nil {
		return deviations{}, err
	}
	_, applied, err := withOverrides(groups, overrides, time.Now())
	if err != nil {
		return deviations{}, err
	}
	return deviations{Shipped: shippedDeviations(groups), Overrides: append([]override.Applied{}, applied...)}, nil
}

// rulesAndOverrides reads the rules of a configuration before overrides, and names the
// file of those: overrides, else that of the configuration, if it has one.
func rulesAndOverrides(file, overrides string) ([]ruleset.Group, *config.Config, string, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return nil, nil, "", err
	}
	overrides = cmp.Or(overrides, cfg.Path(cfg.Rules.Overrides))
	cfg.Rules.Overrides = ""
	groups, err := app.Rules(cfg)
	return groups, cfg, overrides, err
}

// withOverrides applies an override file; without one the groups stay.
func withOverrides(groups []ruleset.Group, file string, now time.Time) ([]ruleset.Group, []override.Applied, error) {
	if file == "" {
		return groups, nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("overrides: %w", err)
	}
	os, err := override.Parse(file, text)
	if err != nil {
		return nil, nil, err
	}
	groups, applied, err := override.Apply(groups, os, now)
	if err != nil {
		return nil, nil, err
	}
	return groups, applied, nil
}

func shippedDeviations(groups []ruleset.Group) []shippedDeviation {
	out := []shippedDeviation{}
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Contract == nil || r.Contract.Deviation == nil {
				continue
			}
			d := r.Contract.Deviation
			out = append(out, shippedDeviation{Row: r.Contract.Row, Alert: r.Alert, Literal: r.Contract.Literal, Expr: r.Expr, LiteralExpr: d.Expr, Reason: d.Reason})
		}
	}
	return out
}

func printDeviations(w io.Writer, d deviations) error {
	var rows [][]string
	for _, s := range d.Shipped {
		rows = append(rows, []string{s.Row, s.Literal, s.LiteralExpr, s.Expr, s.Reason})
	}
	if len(rows) > 0 {
		if err := table.Write(w, []string{"ROW", "LITERAL", "LITERAL CONDITION", "CONDITION", "REASON"}, rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if _, err := fmt.Fprintf(w, "rules that differ from the contract's literal text: %d; rules.literal in the configuration restores a row's\n", len(d.Shipped)); err != nil {
		return err
	}
	if len(d.Overrides) == 0 {
		return nil
	}
	rows = nil
	for _, a := range d.Overrides {
		rows = append(rows, []string{a.Override.Name, string(a.State), a.Rule, a.Override.Match, a.Change(), a.Override.Owner, a.Override.End.UTC().Format(time.RFC3339), a.Override.Reason})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return table.Write(w, []string{"OVERRIDE", "STATE", "RULE", "MATCH", "CHANGE", "OWNER", "END", "REASON"}, rows)
}
