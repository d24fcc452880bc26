package cli

import (
	"fmt"
	"io"
	"net/url"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/api"
	"watchkeeper/internal/table"
)

func newIncidents() *cobra.Command {
	c := &cobra.Command{
		Use:   "incidents",
		Short: "List, show and acknowledge incidents",
	}
	c.AddCommand(newIncidentsList(), newIncidentsShow(), newIncidentsAck())
	return c
}

func newIncidentsList() *cobra.Command {
	var src dataSource
	var f format
	var open bool
	var customer, severity, since string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List incidents, newest first",
		Example: `  watchkeeper incidents list --open
  watchkeeper incidents list --customer acme --format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			if open {
				q.Set("open", "true")
			}
			for name, v := range map[string]string{"customer": customer, "severity": severity, "since": since} {
				if v != "" {
					q.Set(name, v)
				}
			}
			list, err := src.incidents(cmd, q)
			if err != nil {
				return err
			}
			if f == "json" {
				return printJSON(cmd.OutOrStdout(), list)
			}
			if len(list.Incidents) == 0 {
				return none(cmd, "incident", len(q) > 1) // limit is always there
			}
			return printIncidents(cmd.OutOrStdout(), list.Incidents)
		},
	}
	src.flags(c)
	f.flag(c)
	c.Flags().BoolVar(&open, "open", false, "open ones only")
	c.Flags().StringVar(&customer, "customer", "", "of one customer")
	c.Flags().StringVar(&severity, "severity", "", "of one severity: disaster, high, average, warning")
	c.Flags().StringVar(&since, "since", "", "opened at or after, RFC 3339")
	c.Flags().IntVar(&limit, "limit", 100, "at most so many")
	return c
}

// none says on standard error that a list is empty: a header alone looks like a fault.
func none(cmd *cobra.Command, what string, filtered bool) error {
	text := "no " + what + "s"
	if filtered {
		text = "no such " + what
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), text)
	return err
}

func printIncidents(w io.Writer, list []incident.Incident) error {
	rows := make([][]string, 0, len(list))
	for _, i := range list {
		ack := ""
		if !i.AcknowledgedAt.IsZero() {
			ack = i.AcknowledgedBy
		}
		rows = append(rows, []string{
			strconv.FormatInt(i.ID, 10), string(i.State), i.Severity, i.Customer, i.Alert, i.RuleID,
			i.Identity.Get("instance"), stamp(i.StartedAt), stamp(i.ResolvedAt), ack,
		})
	}
	return table.Write(w, []string{"ID", "STATE", "SEVERITY", "CUSTOMER", "ALERT", "RULE", "INSTANCE", "STARTED", "RESOLVED", "ACKNOWLEDGED"}, rows)
}

// stamp prints a time in UTC; nothing for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func newIncidentsShow() *cobra.Command {
	var src dataSource
	var f format
	c := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one incident with its samples, event log and delivery ledger",
		Example: `  watchkeeper incidents show 1`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			d, err := src.incident(cmd, id)
			if err != nil {
				return err
			}
			if f == "json" {
				return printJSON(cmd.OutOrStdout(), d)
			}
			return printIncident(cmd.OutOrStdout(), d)
		},
	}
	src.flags(c)
	f.flag(c)
	return c
}

func parseID(s string) (int64, error) {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 1 {
		return 0, fmt.Errorf("incident id %q is no number above 0", s)
	}
	return id, nil
}

func printIncident(w io.Writer, d *incident.Detail) error {
	fmt.Fprintf(w, "incident %d: %s, %s, %s\n", d.ID, d.Alert, d.State, d.Severity)
	facts := [][]string{
		{"  rule", d.RuleID},
		{"  customer", d.Customer},
		{"  identity", d.Identity.String()},
		{"  summary", d.Annotations.Get("summary")},
		{"  contract", strings.TrimSpace(d.ContractRow + "  " + d.ContractLiteral)},
		{"  started", stamp(d.StartedAt) + " (event time of the first firing check)"},
		{"  opened", fmt.Sprintf("%s (%s after it)", stamp(d.OpenedAt), d.DetectionLatency().Round(time.Second))},
		{"  resolved", stamp(d.ResolvedAt)},
		{"  runbook", d.Annotations.Get("runbook_url")},
	}
	facts = slices.DeleteFunc(facts, func(f []string) bool { return f[1] == "" })
	if err := table.Write(w, nil, facts); err != nil {
		return err
	}
	if len(d.Samples) == 0 { // a Prometheus rule or an alert from outside: only a value is known
		fmt.Fprintf(w, "value: %s\n", strconv.FormatFloat(float64(d.Value), 'g', 6, 64))
	} else {
		fmt.Fprintln(w, "samples that made it:")
		if err := table.Write(w, nil, sampleRows(d.Samples)); err != nil {
			return err
		}
	}
	fmt.Fprintln(w, "events:")
	var rows [][]string
	for _, e := range d.Events {
		rows = append(rows, []string{"  " + stamp(e.RecordedAt), string(e.Type), stamp(e.Check), e.Actor, e.Detail})
	}
	if err := table.Write(w, []string{"  RECORDED", "EVENT", "CHECK", "WHO", "DETAIL"}, rows); err != nil {
		return err
	}
	if len(d.Ledger) == 0 {
		_, err := fmt.Fprintln(w, "deliveries: none so far; who is told, alertmanager.route and .receivers in the configuration say")
		return err
	}
	fmt.Fprintln(w, "deliveries:")
	rows = nil
	for _, l := range d.Ledger {
		rows = append(rows, []string{"  " + stamp(l.At), l.Receiver, l.Integration, string(l.Outcome), strconv.Itoa(l.Attempt), l.Duration.Round(time.Millisecond).String(), l.Answer})
	}
	return table.Write(w, []string{"  AT", "RECEIVER", "BY", "OUTCOME", "TRY", "TOOK", "ANSWER"}, rows)
}

// sampleRows prints samples as time, value, verdict and series.
func sampleRows(samples []incident.Sample) [][]string {
	rows := make([][]string, 0, len(samples))
	for _, s := range samples {
		rows = append(rows, []string{"  " + stamp(time.UnixMilli(s.T)), strconv.FormatFloat(s.V, 'g', 6, 64), s.Verdict, s.Labels.String()})
	}
	return rows
}

func newIncidentsAck() *cobra.Command {
	var src dataSource
	var who, comment string
	c := &cobra.Command{
		Use:     "ack ID",
		Short:   "Acknowledge an incident: a person has taken it",
		Example: `  watchkeeper incidents ack 1 --user li.wei --comment "looking at the slow queries"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			if who == "" {
				u, err := user.Current()
				if err != nil {
					return fmt.Errorf("--user is needed: %w", err)
				}
				who = u.Username
			}
			cl, err := src.client()
			if err != nil {
				return err
			}
			var d api.AcknowledgedIncident
			if err := cl.post(cmd.Context(), fmt.Sprintf("/api/incidents/%d/acknowledge", id), api.Acknowledgement{User: who, Comment: comment}, &d); err != nil {
				return err
			}
			text := "incident %d: acknowledged by %s at %s\n"
			if d.Already {
				text = "incident %d: already acknowledged by %s at %s; noted\n"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), text, d.ID, d.AcknowledgedBy, stamp(d.AcknowledgedAt))
			return err
		},
	}
	src.urlFlag(c)
	c.Flags().StringVar(&who, "user", "", "who takes it; default: the user who runs this")
	c.Flags().StringVar(&comment, "comment", "", "what is being done")
	return c
}
