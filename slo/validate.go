package slo

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/calendar"
)

// maxRecords bounds the exclusions and the disputes of one contract.
const maxRecords = 10_000

// fieldErrors are the mistakes of a contract file; each begins with its path.
type fieldErrors []error

func (f *fieldErrors) add(path, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
}

// require reports each path whose text is empty. Pairs of path and text.
func (f *fieldErrors) require(pairs ...string) {
	for n := 0; n+1 < len(pairs); n += 2 {
		if strings.TrimSpace(pairs[n+1]) == "" {
			f.add(pairs[n], "required")
		}
	}
}

// oneOf reports a word outside its closed vocabulary.
func oneOf[T ~string](f *fieldErrors, path string, got T, allowed ...T) {
	words := make([]string, len(allowed))
	for n, a := range allowed {
		if got == a {
			return
		}
		words[n] = string(a)
	}
	if got == "" {
		f.add(path, "required: one of %s", strings.Join(words, ", "))
		return
	}
	f.add(path, "%q is not one of %s", string(got), strings.Join(words, ", "))
}

func (c *Contract) setDefaults() {
	if c.Unavailable.Combine == "" {
		c.Unavailable.Combine = CombineAny
	}
	if c.Unavailable.Unmeasured == "" {
		c.Unavailable.Unmeasured = UnmeasuredShow
	}
	if c.Refund != nil && c.Refund.Cap.IsZero() {
		c.Refund.Cap, _ = ParsePercent("100%")
	}
	for n := range c.Categories {
		if c.Categories[n].Announced && c.Categories[n].Notice == "" {
			c.Categories[n].Notice = AtLeast24h
		}
	}
}

var identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func requireName(f *fieldErrors, path, name string) {
	if !identifier.MatchString(name) {
		f.add(path, "%q is not a name (letters, digits, '.', '_', '-')", name)
	}
}

func (c *Contract) validate() fieldErrors {
	var f fieldErrors
	requireName(&f, "id", c.ID)
	requireName(&f, "customer", c.Customer)
	f.require("title", c.Title)
	for n, clause := range c.Literal {
		f.require(fmt.Sprintf("literal[%d].name", n), clause.Name, fmt.Sprintf("literal[%d].text", n), clause.Text)
	}
	loc, err := calendar.LoadZone(c.Zone)
	if err != nil {
		f.add("zone", "%v", err)
	}
	c.location = loc
	oneOf(&f, "cycle", c.Cycle, calendar.Month, calendar.Year)
	if from, to := c.Effective.From, c.Effective.To; !from.IsZero() && !to.IsZero() && to.String() < from.String() {
		f.add("effective.to", "%s is before effective.from %s", to, from)
	}
	if c.Objective.IsZero() {
		f.add("objective", "required, e.g. 99.9%%")
	}
	c.Unavailable.validate(&f, c.Customer)
	c.Allowance.validate(&f)
	if c.Allowance.Breached == Reached && c.Allowance.Kind != "" && c.allowance(1).Sign() == 0 {
		f.add("allowance.breached", "an allowance of nothing is always %s: use %s", Reached, Exceeded)
	}
	if c.Refund != nil {
		c.Refund.validate(&f)
	}
	c.validateCategories(&f)
	c.validateExclusions(&f)
	c.validateDisputes(&f)
	return f
}

func (u *Unavailable) validate(f *fieldErrors, customer string) {
	oneOf(f, "unavailable.kind", u.Kind, KindVerdicts)
	f.require("unavailable.rule", u.Rule)
	if u.Selector.IsZero() {
		f.add("unavailable.selector", `required, e.g. {instance="www:443"}`)
	}
	for _, m := range u.Selector.Matchers {
		if m.Name == "customer" && (m.Type != labels.MatchEqual || m.Value != customer) {
			f.add("unavailable.selector", "customer is set by the contract's customer, %q", customer)
		}
	}
	oneOf(f, "unavailable.combine", u.Combine, CombineAny, CombineAll, CombineK)
	if u.Combine == CombineK && u.K < 1 {
		f.add("unavailable.k", "combine %s needs k of 1 or more", CombineK)
	}
	if u.Combine != CombineK && u.K != 0 {
		f.add("unavailable.k", "only with combine %s", CombineK)
	}
	oneOf(f, "unavailable.unmeasured", u.Unmeasured, UnmeasuredShow, UnmeasuredAvailable, UnmeasuredUnavailable)
}

func (a *Allowance) validate(f *fieldErrors) {
	oneOf(f, "allowance.kind", a.Kind, AllowanceFixed, AllowanceShare)
	oneOf(f, "allowance.breached", a.Breached, Reached, Exceeded)
	if a.Kind == AllowanceFixed && a.Minutes.IsZero() {
		f.add("allowance.minutes", "required with kind %s", AllowanceFixed)
	}
	if a.Kind == AllowanceShare && !a.Minutes.IsZero() {
		f.add("allowance.minutes", "only with kind %s: the number follows from the objective", AllowanceFixed)
	}
}

var currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)

func (r *Refund) validate(f *fieldErrors) {
	oneOf(f, "refund.kind", r.Kind, KindFeePerStartedUnit)
	if r.Fee.Amount.IsZero() {
		f.add("refund.fee.amount", "required")
	}
	if !currencyForm.MatchString(r.Fee.Currency) {
		f.add("refund.fee.currency", "%q is not a currency such as CNY", r.Fee.Currency)
	}
	if r.Divisor < 1 || r.Divisor > 1_000_000 {
		f.add("refund.divisor", "%d is not in 1 to 1000000", r.Divisor)
	}
	if r.UnitMinutes < 1 || r.UnitMinutes > 366*24*60 {
		f.add("refund.unit_minutes", "%d is not in 1 to 527040", r.UnitMinutes)
	}
}

func (c *Contract) validateCategories(f *fieldErrors) {
	seen := map[string]bool{}
	for n, category := range c.Categories {
		path := fmt.Sprintf("exclusion_categories[%d]", n)
		f.require(path+".id", category.ID, path+".literal", category.Literal)
		if seen[category.ID] {
			f.add(path+".id", "%q is there twice", category.ID)
		}
		seen[category.ID] = true
		if category.Announced {
			oneOf(f, path+".notice", category.Notice, AtLeast24h, Within24h)
		} else if category.Notice != "" {
			f.add(path+".notice", "only with announced: true")
		}
	}
}

func (c *Contract) validateExclusions(f *fieldErrors) {
	if len(c.Exclusions) > maxRecords {
		f.add("exclusions", "%d are more than %d", len(c.Exclusions), maxRecords)
		return
	}
	for n, e := range c.Exclusions {
		path := fmt.Sprintf("exclusions[%d]", n)
		validateSpan(f, path, e.From, e.To)
		f.require(path+".owner", e.Owner, path+".reason", e.Reason, path+".evidence", e.Evidence)
		category, known := c.category(e.Category)
		switch {
		case !known:
			f.add(path+".category", "%q is not in exclusion_categories", e.Category)
		case category.Announced && e.AnnouncedAt.IsZero():
			f.add(path+".announced_at", "required by category %s", e.Category)
		}
	}
}

func (c *Contract) validateDisputes(f *fieldErrors) {
	if len(c.Disputes) > maxRecords {
		f.add("disputes", "%d are more than %d", len(c.Disputes), maxRecords)
		return
	}
	for n, d := range c.Disputes {
		path := fmt.Sprintf("disputes[%d]", n)
		validateSpan(f, path, d.From, d.To)
		oneOf(f, path+".claim", d.Claim, ClaimUnavailable, ClaimAvailable)
		oneOf(f, path+".state", d.State, Disputed, Accepted, Rejected)
		f.require(path+".owner", d.Owner, path+".reason", d.Reason, path+".evidence", d.Evidence)
	}
}

func validateSpan(f *fieldErrors, path string, from, to Timestamp) {
	switch {
	case from.IsZero():
		f.add(path+".from", "required")
	case to.IsZero():
		f.add(path+".to", "required")
	case !from.Before(to.Time):
		f.add(path+".to", "%s is not after from", to.Format("2006-01-02T15:04:05Z07:00"))
	}
}
