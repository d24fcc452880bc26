package cli

import (
	"bytes"
	"encoding/json"
	"errors"
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
	since := model.Duration(90 * 24 * time.Hour)
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "What would have fired differently with other rules",
		Long: `Judges the stored samples by two rule files and lists the alerts that only one of them raises and those that begin or end
otherwise. Rules are told apart by their ids (contract row, else group/alert). Only settled checks count.
Exit code 0 when both judge alike, 1 when they differ.`,
		Example: `  watchkeeper rules diff ecs.yml ecs-new.yml --since 30d
  watchkeeper rules diff ecs.yml ecs-new.yml --since 90d --data ./data --format json`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := diffRules(cmd, src, args[0], args[1], time.Duration(since), until.Time)
			if err != nil {
				return err
			}
			if f == "json" {
				err = printJSON(cmd.OutOrStdout(), d)
			} else {
				err = printDifference(cmd.OutOrStdout(), d)
			}
			if err == nil && !d.Empty() {
				err = errors.New("the rules judge differently")
			}
			return err
		},
	}
	src.flags(c)
	f.flag(c)
	c.Flags().Var(&since, "since", "how far back, before --until")
	c.Flags().Var(&until, "until", "end of the time compared; default: now, of a stopped server when it last stored something")
	return c
}

func diffRules(cmd *cobra.Command, src dataSource, oldFile, newFile string, since time.Duration, until time.Time) (d replay.Difference, err error) {
	if since <= 0 {
		return d, usagef("--since %s: must be more than 0", model.Duration(since))
	}
	q := api.DiffRequest{Until: until}
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
