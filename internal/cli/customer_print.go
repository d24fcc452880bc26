package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"watchkeeper/exporters/aliyun/onboard"
	"watchkeeper/internal/table"
)

// print writes the report for people.
func (r *customerReport) print(w io.Writer) error {
	p := &printer{w: w}
	p.linef("The key is good: account %s, %s", r.Identity.Account, r.Identity.ARN)
	if r.Identity.Type == "Account" {
		p.linef("It is the account's own key, which may do everything: use one of a RAM user that may only read.")
	}
	r.printPermissions(p)
	r.printUses(p)
	r.printCoverage(p)
	if r.Plan != nil {
		for _, t := range r.Plan.Totals {
			p.linef("\nIn 30 days: %d calls, of which %d count for the quota of %d.", t.Calls, t.CountedCalls, t.Limit)
			if t.CountedCalls > t.Limit {
				p.linef("Cut to keep within it: %s.", t.Cut)
			}
		}
	}
	if r.Configuration != "" {
		p.linef("\nThe customer in the configuration:\n\n%s", strings.TrimSuffix(r.Configuration, "\n"))
	}
	switch {
	case r.Written:
		p.linef("\nAdded to %s. Reload the server (SIGHUP, or POST /-/reload) to begin.", r.File)
	case r.DryRun:
		p.linef("\nNothing was written.")
	}
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) linef(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) table(header []string, rows [][]string) {
	if p.err == nil && len(rows) > 0 {
		p.linef("")
		p.err = table.Write(p.w, header, rows)
	}
}

func (r *customerReport) printPermissions(p *printer) {
	var rows [][]string
	for _, x := range r.Permissions {
		if x.Status != onboard.Granted {
			rows = append(rows, []string{x.Action, x.Product, string(x.Status), table.Shorten(x.Message, 100)})
		}
	}
	if len(rows) == 0 {
		p.linef("It may make all %d readings.", len(r.Permissions))
		return
	}
	p.linef("It may make %d of %d readings. Not, or not for certain:", len(r.Permissions)-len(rows), len(r.Permissions))
	p.table([]string{"PERMISSION", "FOR", "STATUS", ""}, rows)
	policy, err := json.MarshalIndent(r.MissingPolicy, "", "  ")
	if err != nil {
		p.err = err
		return
	}
	p.linef("\nThe RAM policy that is missing (RAM console, Policies, Create, JSON):\n\n%s", policy)
}

func (r *customerReport) printUses(p *printer) {
	var rows [][]string
	for _, u := range r.Uses {
		region := u.Region
		if region == "" {
			region = "global"
		}
		rows = append(rows, []string{u.Product, region, fmt.Sprint(u.Resources)})
	}
	p.table([]string{"PRODUCT", "REGION", "RESOURCES"}, rows)
	for _, text := range r.Unread {
		p.linef("not listed: %s", text)
	}
}

func (r *customerReport) printCoverage(p *printer) {
	var rows [][]string
	for _, c := range r.Coverage {
		after := fmt.Sprint(c.Resources * c.Rows)
		if !c.Collected {
			after = "0 (no metrics in the catalogue)"
		}
		rows = append(rows, []string{c.Product, fmt.Sprint(c.Resources), fmt.Sprint(c.Rows), "0", after})
	}
	p.table([]string{"PRODUCT", "RESOURCES", "CONTRACT ROWS", "WATCHED BEFORE", "WATCHED AFTER"}, rows)
	if len(rows) > 0 {
		p.linef("A row that is not for a resource (an engine, an architecture) is counted; 'watchkeeper rules coverage' tells holes from those.")
	}
}
