package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/internal/api"
	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
	"watchkeeper/internal/table"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

// explainFlags are the flags of rules explain.
type explainFlags struct {
	src    dataSource
	format format
	rules  []string
	config string
	at     instant
	checks int

	customer string
}

func newRulesExplain() *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use:   "explain ALERT{labels}",
		Short: "Why an alert fired or did not, check by check",
		Long: `Judges the last checks of an alert again from the stored samples and says of each: the
samples of its slot with their times (the latest of a series counts), the verdict, the
run, the state, and what that did. ALERT is a rule's alert or id; the labels choose
among its series. A sample that came after its check had settled is marked with its
arrival. A server explains by the rules it runs; with --data they come from --rules or
--config (default: the shipped packs), and it is not known whether a limit on the number
of series kept the server from judging the alert; a server says so.

Exit codes: 0 explained, 2 there is no such alert, or the samples could not be read.`,
		Example: `  watchkeeper rules explain 'ECSCPUUtilizationHigh{instance="i-2ze1"}'
  watchkeeper rules explain ecs-cpu --customer acme --at 2026-03-01T10:05:00Z --checks 10 --format json
  watchkeeper rules explain 'CPUHigh{instance="a"}' --data ./data --rules ecs.yml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.src.flags(c)
	f.format.flag(c)
	c.Flags().Var(&f.at, "at", "the last check shown stands at or before this time; default: now")
	c.Flags().IntVar(&f.checks, "checks", 20, "how many checks are shown")
	customerFlag(c, &f.customer, "explain the alerts of this customer alone")
	c.Flags().StringArrayVar(&f.rules, "rules", nil, "with --data: rule file; may be given several times")
	c.Flags().StringVar(&f.config, "config", "", "with --data: the configuration whose rules judge; default: the shipped packs")
	c.MarkFlagsMutuallyExclusive("rules", "config")
	for _, only := range []string{"rules", "config"} {
		c.MarkFlagsMutuallyExclusive("url", only)
	}
	return c
}

func (f *explainFlags) run(cmd *cobra.Command, alert string) error {
	if f.checks < 1 {
		return fmt.Errorf("--checks %d: must be at least 1", f.checks)
	}
	if f.src.data == "" && (len(f.rules) > 0 || f.config != "") {
		return fmt.Errorf("--rules and --config need --data: a running server explains by the rules it runs")
	}
	if f.customer != "" {
		alert = withLabel(alert, "customer", f.customer)
	}
	var out bytes.Buffer
	if err := f.ask(cmd, alert, &out); err != nil {
		return err
	}
	var es []replay.Explanation
	if err := json.Unmarshal(out.Bytes(), &es); err != nil {
		return fmt.Errorf("explanation: %w", err)
	}
	if f.format == "json" {
		return printJSON(cmd.OutOrStdout(), es)
	}
	return printExplanations(cmd.OutOrStdout(), es)
}

// withLabel adds a label to ALERT{labels}.
func withLabel(alert, name, value string) string {
	alert, rest, _ := strings.Cut(alert, "{")
	if strings.TrimSpace(strings.TrimSuffix(rest, "}")) == "" {
		return fmt.Sprintf("%s{%s=%q}", alert, name, value)
	}
	return fmt.Sprintf("%s{%s=%q,%s", alert, name, value, rest)
}

func (f *explainFlags) ask(cmd *cobra.Command, alert string, out *bytes.Buffer) error {
	if f.src.data == "" {
		cl, err := f.src.client()
		if err != nil {
			return err
		}
		q := url.Values{"alert": {alert}, "checks": {strconv.Itoa(f.checks)}}
		if !f.at.IsZero() {
			q.Set("at", f.at.Format(time.RFC3339))
		}
		var raw []byte
		if err := cl.get(cmd.Context(), "/api/rules/explain?"+q.Encode(), &raw); err != nil {
			return err
		}
		_, err = out.Write(raw)
		return err
	}
	groups, err := f.groups(cmd)
	if err != nil {
		return err
	}
	return f.src.withRuleTools(groups, func(tools api.RuleTools, _ time.Time) error {
		return tools.Explain(cmd.Context(), out, alert, f.at.Time, f.checks)
	})
}

func (f *explainFlags) groups(cmd *cobra.Command) ([]ruleset.Group, error) {
	if len(f.rules) > 0 {
		_, groups, err := readRuleFiles(cmd, f.rules...)
		return groups, err
	}
	cfg, err := config.Load(f.config)
	if err != nil {
		return nil, err
	}
	groups, err := app.Rules(cfg)
	if err != nil {
		return nil, err
	}
	return groups, nil
}

func printExplanations(w io.Writer, es []replay.Explanation) error {
	for i, e := range es {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s%s\n%s\n", e.Alert, e.Labels, e.Expr)
		if e.Literal != "" {
			fmt.Fprintf(w, "contract %s: %s\n", e.Rule, e.Literal)
		}
		fmt.Fprintf(w, "every %s, %s, missing: %s, max_gap %d; %s\n\n", e.Interval, firesAfter(e.Consecutive), e.Missing, e.MaxGap, standing(e))
		var rows [][]string
		for _, c := range e.Checks {
			final := ""
			if c.Settled {
				final = "yes"
			}
			rows = append(rows, []string{c.Check.Format(time.RFC3339), samplesText(c), c.Verdict, strconv.Itoa(c.Run), string(c.State), final, c.Why})
		}
		if err := table.Write(w, []string{"CHECK", "SAMPLES", "VERDICT", "RUN", "STATE", "FINAL", "WHY"}, rows); err != nil {
			return err
		}
	}
	return nil
}

// standing says how the alert stands after the last check.
func standing(e replay.Explanation) string {
	if e.NotJudged != "" {
		return "not judged: " + e.NotJudged + " (the checks are what its samples say)"
	}
	return fmt.Sprintf("now %s, run %d of %d", e.State, e.Run, e.Consecutive)
}

// firesAfter says how many breaches in a row fire.
func firesAfter(n int) string {
	if n == 1 {
		return "1 breach fires"
	}
	return fmt.Sprintf("%d breaches fire", n)
}

// samplesText prints the samples of a check in one cell: value at time, and the
// metric where there are several series.
func samplesText(c replay.Check) string {
	var parts []string
	several := false
	for _, s := range c.Samples {
		several = several || s.Series != c.Samples[0].Series
	}
	for _, s := range c.Samples {
		text := s.Value.String() + " at " + s.Time.Format("15:04:05.999")
		if several {
			name, _, _ := strings.Cut(s.Series, "{")
			text = name + " " + text
		}
		if s.TooLate {
			text += " (too late: came " + s.Arrived.Format("15:04:05") + ")"
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}
