package cli

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
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
	File        string `json:"file,omitempty"`

	Override *api.RuleOverride `json:"override,omitempty"` // with --customer: what makes the rule so for it
}

func newRulesList() *cobra.Command {
	var src dataSource
	var f format
	var file, customer string
	c := &cobra.Command{
		Use:   "list",
		Short: "List the rules with their contract rows and the contract's own words",
		Long: `Lists the rules of a configuration (default: the shipped packs). With --url it asks a
running server, which also tells how many series each rule watches; with --data the
folder of a stopped one, which holds the rules that were in force last. With --customer
it lists the rules as that customer gets them, with its overrides (threshold, severity,
off), and counts its series alone.

Rule is the rule's id: the contract's row, else GROUP/ALERT. Checked is how often, and
how many breaches in a row or how long; of a contract's row in the contract's words.
Mode: streaming and evaluated rules count checks; plain ones are Prometheus's own and
run as they do there; what is off, an override switches off.`,
		Example: `  watchkeeper rules list
  watchkeeper rules list --url http://127.0.0.1:9370 --format json
  watchkeeper rules list --url http://127.0.0.1:9370 --customer acme
  watchkeeper rules list --config watchkeeper.yml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var groups []api.RuleGroup
			var err error
			live := cmd.Flags().Changed("url")
			switch {
			case live:
				groups, err = rulesOf(cmd, src, customer)
			case src.data != "":
				groups, err = rulesOfStopped(cmd, src, customer)
			default:
				groups, err = rulesIn(file, customer)
			}
			if err != nil {
				return err
			}
			rules := listRules(groups, live)
			if f == "json" {
				return printJSON(cmd.OutOrStdout(), rules)
			}
			if len(rules) == 0 {
				return none(cmd, "rule", customer != "")
			}
			return printRules(cmd.OutOrStdout(), rules, live, customer != "")
		},
	}
	src.flags(c)
	c.Flags().Lookup("url").DefValue = "" // without it nobody is asked
	f.flag(c)
	c.Flags().StringVar(&file, "config", "", "configuration whose rules are listed")
	customerFlag(c, &customer, "list the rules as this customer gets them")
	c.MarkFlagsMutuallyExclusive("url", "data", "config")
	return c
}

func rulesOf(cmd *cobra.Command, src dataSource, customer string) ([]api.RuleGroup, error) {
	cl, err := src.client()
	if err != nil {
		return nil, err
	}
	var out struct {
		Data struct {
			Groups []api.RuleGroup `json:"groups"`
		} `json:"data"`
	}
	path := "/api/v1/rules"
	if customer != "" {
		path += "?" + url.Values{"customer": {customer}}.Encode()
	}
	err = cl.get(cmd.Context(), path, &out)
	return out.Data.Groups, err
}

// ofCustomer keeps the rules that are for a customer, or for no one else when none
// is named.
func ofCustomer(groups []api.RuleGroup, customer string) []api.RuleGroup {
	if customer == "" {
		return app.ShownToAll(groups)
	}
	return app.RulesOfCustomer(groups, customer)
}

func rulesOfStopped(cmd *cobra.Command, src dataSource, customer string) ([]api.RuleGroup, error) {
	dir, err := datadir.OpenReadOnly(src.data)
	if err != nil {
		return nil, err
	}
	groups, err := app.ReadRules(dir)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	if customer != "" {
		err = src.knowsCustomer(cmd, customer)
	}
	return ofCustomer(groups, customer), err
}

func rulesIn(file, customer string) ([]api.RuleGroup, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	if customer != "" && !slices.Contains(cfg.CustomerNames(), customer) {
		return nil, fmt.Errorf("no customer %q is configured; of a running server's rules ask with --url, of a stopped one's with --data", customer)
	}
	groups, err := app.RulesOf(cfg)
	return ofCustomer(groups, customer), err
}

func listRules(groups []api.RuleGroup, live bool) []listedRule {
	out := []listedRule{}
	for _, g := range groups {
		for _, r := range g.Rules {
			l := listedRule{
				Row: r.Row, Literal: r.Literal, Deviation: r.Deviation, ID: r.ID, Alert: r.Name, Group: g.Name, Expr: r.Query,
				Interval: fmt.Sprintf("%gs", g.Interval), Consecutive: r.Consecutive, Severity: r.Labels.Get("severity"), Mode: r.Mode, Reason: r.Reason,
				File: g.File, Override: r.Override,
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

// checked says when a rule's condition is looked at and how long it must hold: in the
// contract's words, if it has any.
func (r listedRule) checked() string {
	if r.Literal != "" {
		return r.Literal
	}
	every := "every " + r.Interval
	if d, err := model.ParseDuration(r.Interval); err == nil {
		every = "every " + d.String() // 1m, not 60s
	}
	switch {
	case r.Consecutive > 0:
		return fmt.Sprintf("%s, %d in a row", every, r.Consecutive)
	case r.For != "":
		return every + ", for " + r.For
	}
	return every
}

// row is a rule's line in the table.
func (r listedRule) row(live, ofCustomer bool) []string {
	id := r.ID
	if r.Deviation != "" {
		id += " *"
	}
	alert := r.Alert
	if r.Record != "" {
		alert = "(records " + r.Record + ")"
	}
	row := []string{id, alert, r.Severity, r.checked(), r.Expr, r.Mode}
	if ofCustomer {
		changed := ""
		if o := r.Override; o != nil {
			changed = fmt.Sprintf("%s: %s until %s", o.Name, o.Change, o.End.Format(time.DateOnly))
		}
		row = append(row, changed)
	}
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
	return row
}

func printRules(w io.Writer, rules []listedRule, live, ofCustomer bool) error {
	header := []string{"RULE", "ALERT", "SEVERITY", "CHECKED", "CONDITION", "MODE"}
	if ofCustomer {
		header = append(header, "OVERRIDE")
	}
	if live {
		header = append(header, "SERIES", "STATE")
	}
	var rows [][]string
	deviations := 0
	for _, r := range rules {
		if r.Deviation != "" {
			deviations++
		}
		rows = append(rows, r.row(live, ofCustomer))
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
	more := ""
	if deviations > 0 {
		more = fmt.Sprintf("; * %d differ from the contract's literal text for a declared reason ('watchkeeper rules deviations' tells it)", deviations)
	}
	_, err := fmt.Fprintf(w, "\n%s%s\n", plural(len(rules), "rule"), more)
	return err
}
