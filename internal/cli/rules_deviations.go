package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
	var file, overrides string
	var f format
	c := &cobra.Command{
		Use:   "deviations",
		Short: "List where rules differ from the contract's literal text, and why",
		Long: `Lists the rules of a configuration (default: the shipped packs) that differ from the contract's literal text, and the
overrides of a file with owner, reason and end. An override that has expired or not begun is listed as such. What
rules.literal of the configuration restores does not deviate and is not listed.`,
		Example: `  watchkeeper rules deviations
  watchkeeper rules deviations --overrides overrides.yml
  watchkeeper rules deviations --config watchkeeper.yml --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			groups, err := groupsOf(cmd, file, nil)
			if err != nil {
				return err
			}
			d := deviations{Shipped: shippedDeviations(groups), Overrides: []override.Applied{}}
			_, applied, err := withOverrides(groups, overrides, time.Now())
			if err != nil {
				return err
			}
			d.Overrides = append(d.Overrides, applied...)
			if f == "json" {
				return printJSON(cmd.OutOrStdout(), d)
			}
			return printDeviations(cmd.OutOrStdout(), d)
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration whose rules are listed")
	c.Flags().StringVar(&overrides, "overrides", "", "file of overrides")
	f.flag(c)
	return c
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
		rows = append(rows, []string{s.Row, s.Literal, table.Shorten(s.LiteralExpr, 50), table.Shorten(s.Expr, 60), s.Reason})
	}
	if err := table.Write(w, []string{"ROW", "LITERAL", "LITERAL CONDITION", "CONDITION", "REASON"}, rows); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "\n%d rules differ from the contract's literal text; rules.literal in the configuration restores a row's\n", len(d.Shipped)); err != nil {
		return err
	}
	if len(d.Overrides) == 0 {
		return nil
	}
	rows = nil
	for _, a := range d.Overrides {
		rows = append(rows, []string{a.Override.Name, string(a.State), a.Rule, a.Override.Match, changeOf(a), a.Override.Owner, a.Override.End.UTC().Format(time.RFC3339), a.Override.Reason})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return table.Write(w, []string{"OVERRIDE", "STATE", "RULE", "MATCH", "CHANGE", "OWNER", "END", "REASON"}, rows)
}

// changeOf says in words what an override changes.
func changeOf(a override.Applied) string {
	o := a.Override
	var s string
	add := func(format string, args ...any) {
		if s != "" {
			s += ", "
		}
		s += fmt.Sprintf(format, args...)
	}
	if o.Off {
		add("off")
	}
	if o.Threshold != nil {
		add("threshold %s", decimals([]float64{*o.Threshold})[0])
	}
	if len(o.Thresholds) > 0 {
		add("thresholds %s", strings.Join(decimals(o.Thresholds), " and "))
	}
	if o.Consecutive != nil {
		add("consecutive %d instead of %d", *o.Consecutive, a.WasConsecutive)
	}
	if o.Severity != "" {
		add("severity %s instead of %s", o.Severity, a.WasSeverity)
	}
	return s
}

// decimals writes numbers as people write them in rules: 104857600, not 1.048576e+08.
func decimals(vs []float64) []string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = strconv.FormatFloat(v, 'f', -1, 64)
	}
	return out
}
