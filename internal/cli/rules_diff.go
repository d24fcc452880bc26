package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"watchkeeper/internal/api"
	"watchkeeper/internal/table"
	"watchkeeper/ruleset/replay"
)

func newRulesDiff() *cobra.Command {
	var src dataSource
	var f format
	var until instant
	var customer string
	since := span{model.Duration(90 * 24 * time.Hour)}
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "What would have fired differently with other rules",
		Long: `Judges the stored samples by two rule files and lists the alerts that only one of them
raises and those that begin or end otherwise. Rules are told apart by their ids
(contract row, else group/alert). Only settled checks count. Samples that came too late
for the rules that were in force come as late for a rule that only one file has.

Exit codes: 0 both judge alike, 1 they differ, 2 they could not be compared.`,
		Example: `  watchkeeper rules diff ecs.yml ecs-new.yml --since 30d
  watchkeeper rules diff ecs.yml ecs-new.yml --since 90d --data ./data --format json
  watchkeeper rules diff ecs.yml ecs-new.yml --customer acme`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := diffRules(cmd, src, args[0], args[1], time.Duration(since.Duration), api.DiffRequest{Until: until.Time, Customer: customer})
			if err != nil {
				return err
			}
			if !until.IsZero() && d.StoredSince.After(d.Until) {
				return fmt.Errorf("nothing is stored of the time from %s to %s: samples begin at %s", d.Since.Format(time.RFC3339), d.Until.Format(time.RFC3339), d.StoredSince.Format(time.RFC3339))
			}
			if f == "json" {
				err = printJSON(cmd.OutOrStdout(), d)
			} else {
				err = printDifference(cmd.OutOrStdout(), d)
			}
			if err == nil && !d.Empty() {
				err = foundf("the rules judge differently")
			}
			return err
		},
	}
	src.flags(c)
	f.flag(c)
	customerFlag(c, &customer, "compare the alerts of this customer alone")
	c.Flags().Var(&since, "since", "how far back, before --until")
	c.Flags().Var(&until, "until", "end of the time compared; default: now, of a stopped server when it last stored something")
	return c
}

func diffRules(cmd *cobra.Command, src dataSource, oldFile, newFile string, since time.Duration, q api.DiffRequest) (d replay.Difference, err error) {
	if since <= 0 {
		return d, fmt.Errorf("--since %s: must be more than 0", model.Duration(since))
	}
	if q.Old, _, err = readRuleFiles(cmd, oldFile); err != nil {
		return d, err
	}
	if q.New, _, err = readRuleFiles(cmd, newFile); err != nil {
		return d, err
	}
	var out bytes.Buffer
	if src.data == "" {
		cl, err := src.client()
		if err != nil {
			return d, err
		}
		if q.Until.IsZero() {
			q.Until = time.Now()
		}
		q.Since = q.Until.Add(-since)
		if err := cl.ask(cmd.Context(), "/api/rules/diff", q, &out); err != nil {
			return d, err
		}
		return d, json.Unmarshal(out.Bytes(), &d)
	}
	err = src.withRuleTools(nil, func(tools api.RuleTools, newest time.Time) error {
		if q.Until.IsZero() {
			q.Until = newest
		}
		q.Since = q.Until.Add(-since)
		return tools.Diff(cmd.Context(), &out, q)
	})
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal(out.Bytes(), &d)
}

func printDifference(w io.Writer, d replay.Difference) error {
	var rows [][]string
	row := func(what string, e replay.Episode, start, end string) {
		rows = append(rows, []string{what, e.Rule, e.Alert + e.Labels.String(), start, end})
	}
	for _, e := range d.OnlyOld {
		row("- only old", e, e.Start.Format(time.RFC3339), endText(e))
	}
	for _, e := range d.OnlyNew {
		row("+ only new", e, e.Start.Format(time.RFC3339), endText(e))
	}
	for _, c := range d.Changed {
		row("~ changed", c.New, changed(c.Old.Start.Format(time.RFC3339), c.New.Start.Format(time.RFC3339)), changed(endText(c.Old), endText(c.New)))
	}
	if len(rows) > 0 {
		if err := table.Write(w, []string{"", "RULE", "ALERT", "FIRED", "CLOSED"}, rows); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if !d.StoredSince.IsZero() {
		fmt.Fprintf(w, "samples are stored since %s; what was before could not be judged\n", d.StoredSince.Format(time.RFC3339))
	}
	_, err := fmt.Fprintf(w, "%s to %s: %d only old, %d only new, %d changed, %d the same\n",
		d.Since.Format(time.RFC3339), d.Until.Format(time.RFC3339), len(d.OnlyOld), len(d.OnlyNew), len(d.Changed), d.Unchanged)
	return err
}

func changed(before, after string) string {
	if before == after {
		return before
	}
	return before + " -> " + after
}

func endText(e replay.Episode) string {
	if e.End.IsZero() {
		return "still stands"
	}
	return e.End.Format(time.RFC3339) + " " + e.How
}
