// Package report renders what slo computed: JSON, complete and for machines,
// and a table for terminals. It computes nothing; each printed figure stands
// in the JSON.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"watchkeeper/internal/table"
	"watchkeeper/slo"
)

// maxLines bounds each list of the table; the JSON holds all of it.
const maxLines = 40

// JSON is the whole report, indented, with a newline at its end.
func JSON(r *slo.Report) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return text.Bytes(), nil
}

// WriteJSON writes what JSON makes.
func WriteJSON(w io.Writer, r *slo.Report) error {
	text, err := JSON(r)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// WriteTable writes the report for a person at a terminal. Columns stay
// aligned under wide characters; control characters become spaces.
func WriteTable(w io.Writer, r *slo.Report) error {
	p := &page{}
	p.head(r)
	p.figures(r)
	p.outages(r)
	p.gaps(r)
	p.exclusions(r)
	p.disputes(r)
	p.foot(r)
	if _, err := io.WriteString(w, p.text.String()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

type page struct{ text strings.Builder }

// table writes rows with aligned columns under a title. A titled table whose
// only row is its heading is left out.
func (p *page) table(title string, rows [][]string) {
	heading := title != "" && len(rows) > 0 && len(rows[0]) > 1
	if len(rows) == 0 || heading && len(rows) == 1 {
		return
	}
	if title != "" {
		p.line("")
		p.line("%s", title)
	}
	dropped := len(rows) - maxLines - 1
	if dropped > 0 {
		rows = rows[:maxLines+1]
	}
	_ = table.Write(&p.text, nil, rows) // a strings.Builder never fails
	if dropped > 0 {
		p.line("and %d more: see the JSON", dropped)
	}
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

func (p *page) head(r *slo.Report) {
	p.table("", [][]string{{r.Contract.Title}})
	rows := [][]string{
		{"contract", r.Contract.ID + ", customer " + r.Contract.Customer},
		{"cycle", fmt.Sprintf("%s %s (%s): %s to %s, %s s", r.Cycle.Kind, r.Cycle.Name, r.Cycle.Zone, moment(r.Cycle.From), moment(r.Cycle.To), seconds(r.Cycle.Length))},
		{"state", string(r.State)},
		{"judgement", strings.ReplaceAll(string(r.Judgement), "_", " ")},
	}
	for _, note := range r.Notes {
		rows = append(rows, []string{"note", note})
	}
	rows = append(rows, [][]string{
		{"measured by", fmt.Sprintf("rule %s on %s, combine %s, unmeasured time: %s", r.Contract.Rule, r.Contract.Selector, r.Contract.Combine, r.Contract.Treatment)},
		{"covered", fmt.Sprintf("%s of %s; unmeasured %s; uncovered %s", r.Period.Covered, r.Period.Length, r.Period.Unmeasured, r.Period.Uncovered)},
	}...)
	for _, clause := range r.Contract.Literal {
		rows = append(rows, []string{"literal", clause.Name + ": " + clause.Text})
	}
	p.table("", rows)
}

// captions are the figures' names in words.
var captions = map[string]string{
	slo.FigureContract:          "by the contract",
	slo.FigureWithoutExclusions: "without exclusions",
	slo.FigureDisputesAccepted:  "if open disputes are accepted",
	slo.FigureUnmeasuredDown:    "if unmeasured time was down",
}

func (p *page) figures(r *slo.Report) {
	rows := [][]string{{"FIGURE", "UNAVAILABLE", "AVAILABILITY", "AVAILABLE/COVERED s", "OBJECTIVE " + r.Contract.Objective, "ALLOWANCE", "BEYOND s", "UNITS", "REFUND"}}
	for _, f := range r.Figures {
		row := []string{captions[f.Name], f.Unavailable.String(), "no data", "-", "-"}
		if a := f.Available; a != nil {
			met := "missed"
			if a.Met {
				met = "met"
			}
			row = []string{captions[f.Name], f.Unavailable.String(), a.Decimal, seconds(a.Numerator) + "/" + seconds(a.Denominator), met}
		}
		use := "within"
		if f.Allowance.Breached {
			use = string(f.Allowance.Boundary)
		}
		row = append(row, use+" ("+f.Allowance.Seconds.Decimal()+" s)", f.Allowance.Beyond.Decimal(), "-", "-")
		if f.Refund != nil {
			row[7], row[8] = f.Refund.Units.RatString(), f.Refund.Rounded+" "+f.Refund.Currency
		}
		rows = append(rows, row)
	}
	p.table("Figures", rows)
	var steps [][]string
	if basis := r.Contract.Allowance; basis != "" {
		steps = append(steps, []string{"allowance: " + basis})
	}
	if due := r.ContractFigure().Refund; due != nil {
		for _, step := range due.Steps {
			steps = append(steps, []string{step})
		}
		if due.AppliedTo != "" && due.Amount.Sign() > 0 {
			steps = append(steps, []string{"reduces " + due.AppliedTo})
		}
	}
	p.table("Arithmetic", steps)
}

func (p *page) outages(r *slo.Report) {
	rows := [][]string{{"FROM", "TO", "LENGTH", "EXCLUDED", "COUNTED", "DISPUTED", "CHECKS good/breach/missing/unobserved"}}
	for _, o := range r.Outages {
		rows = append(rows, []string{moment(o.From), moment(o.To), o.Length.String(), o.Excluded.String(), o.Counted.String(), o.Disputed.String(), checks(o.Evidence)})
	}
	p.table("Outages", rows)
}

func (p *page) gaps(r *slo.Report) {
	rows := [][]string{{"FROM", "TO", "LENGTH", "CHECKS good/breach/missing/unobserved"}}
	for _, g := range r.Unmeasured {
		rows = append(rows, []string{moment(g.From), moment(g.To), g.Length.String(), checks(g.Evidence)})
	}
	p.table("Unmeasured", rows)
	rows = [][]string{{"FROM", "TO", "LENGTH"}}
	for _, s := range r.Uncovered {
		rows = append(rows, []string{moment(s.From), moment(s.To), s.Length.String()})
	}
	p.table("Uncovered", rows)
}

func (p *page) exclusions(r *slo.Report) {
	rows := [][]string{{"FROM", "TO", "CATEGORY", "REMOVES", "OWNER", "REASON", "EVIDENCE"}}
	for _, e := range r.Exclusions {
		removes := e.Removed.String()
		if !e.Applied {
			removes = "refused: " + e.Refused
		}
		rows = append(rows, []string{moment(e.From), moment(e.To), e.Category, removes, e.Owner, e.Reason, e.Evidence})
	}
	p.table("Exclusions", rows)
}

func (p *page) disputes(r *slo.Report) {
	rows := [][]string{{"FROM", "TO", "CLAIM", "STATE", "OWNER", "REASON", "EVIDENCE"}}
	for _, d := range r.Disputes {
		rows = append(rows, []string{moment(d.From), moment(d.To), string(d.Claim), string(d.State), d.Owner, d.Reason, d.Evidence})
	}
	p.table("Disputes", rows)
}

func (p *page) foot(r *slo.Report) {
	asOf := "none"
	if r.DataAsOf != nil {
		asOf = moment(*r.DataAsOf)
	}
	p.line("")
	p.line("data as of %s; computed %s; inputs %s", asOf, moment(r.ComputedAt), r.InputsHash)
	p.line("rounding: %s", r.Rounding)
}

func moment(t time.Time) string {
	if t.Nanosecond() != 0 {
		return t.Format("2006-01-02 15:04:05.000 -07:00")
	}
	return t.Format("2006-01-02 15:04:05 -07:00")
}

func seconds(d slo.Duration) string {
	text, _ := d.MarshalJSON() // never fails
	return string(text)
}

// checks adds up the verdicts of all series.
func checks(facts []slo.SliceFact) string {
	var sum slo.Counts
	for _, f := range facts {
		sum.Good, sum.Breach = sum.Good+f.Good, sum.Breach+f.Breach
		sum.Missing, sum.Unobserved = sum.Missing+f.Missing, sum.Unobserved+f.Unobserved
	}
	return fmt.Sprintf("%d/%d/%d/%d", sum.Good, sum.Breach, sum.Missing, sum.Unobserved)
}
