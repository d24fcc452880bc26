package slo

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/calendar"
)

// Contract is one contract file. See docs/contracts.md for the meaning.
type Contract struct {
	// ID names the contract in commands, reports and metrics. Required.
	ID string `yaml:"id"`
	// Customer is the tenant whose series count; no other's are ever read. Required.
	Customer string `yaml:"customer"`
	// Title is the heading of the report. Required.
	Title string `yaml:"title"`
	// Literal holds the contract's own words, quoted in the report under their names.
	Literal []Clause `yaml:"literal"`
	// Zone is the IANA zone in which the cycle's days begin. Required.
	Zone string `yaml:"zone"`
	// Cycle is the accounting period: month or year. Required.
	Cycle calendar.Kind `yaml:"cycle"`
	// Effective bounds the contract's life by whole days; absent means always.
	Effective Effective `yaml:"effective"`
	// Objective is the promised share of available time, e.g. 99.9%. Required.
	Objective Percent `yaml:"objective"`
	// Unavailable says which verdicts make outages. Required.
	Unavailable Unavailable `yaml:"unavailable"`
	// Allowance says how much unavailable time a cycle may have. Required.
	Allowance Allowance `yaml:"allowance"`
	// Refund says what is owed beyond it; absent means nothing.
	Refund *Refund `yaml:"refund"`
	// Categories are the contract's reasons for not counting an outage.
	Categories []Category `yaml:"exclusion_categories"`
	// Exclusions are the times that were not counted, each with its provenance.
	Exclusions []Exclusion `yaml:"exclusions"`
	// Disputes are outages on which provider and customer differ or differed.
	Disputes []Dispute `yaml:"disputes"`

	location *time.Location
	hash     string
}

// Clause is one passage of the contract, in its own language.
type Clause struct {
	Name string `yaml:"name" json:"name"` // what the passage is about
	Text string `yaml:"text" json:"text"` // word for word
}

// Effective is the contract's life. Both days belong to it.
type Effective struct {
	From Date `yaml:"from"` // first day; absent means from ever
	To   Date `yaml:"to"`   // last day; absent means open end
}

// UnavailableKind says how outages are found.
type UnavailableKind string

// KindVerdicts takes the breaching checks of one rule as outages.
const KindVerdicts UnavailableKind = "verdicts"

// Combine says when a service that several series watch is down.
type Combine string

// The ways to combine series. Only series that have a check at the moment
// count as existing.
const (
	CombineAny Combine = "any"    // one of them is down
	CombineAll Combine = "all"    // all that exist are down
	CombineK   Combine = "k_of_n" // at least k are down
)

// Unmeasured says how time without a measurement counts.
type Unmeasured string

// The treatments of unmeasured time. Under show the report gives both figures
// and says whether the judgement depends on it.
const (
	UnmeasuredShow        Unmeasured = "show"        // not as down, and with what it could change
	UnmeasuredAvailable   Unmeasured = "available"   // agreed to be up
	UnmeasuredUnavailable Unmeasured = "unavailable" // agreed to be down
)

// Unavailable says which verdicts make outages.
type Unavailable struct {
	// Kind is how outages are found: verdicts. Required.
	Kind UnavailableKind `yaml:"kind"`
	// Rule is the id of the rule whose breaches are outages, e.g. port-down. Required.
	Rule string `yaml:"rule"`
	// Selector chooses the series as in PromQL, e.g. {instance="www:443"}. Required.
	Selector Selector `yaml:"selector"`
	// Combine is any, all or k_of_n. Default any.
	Combine Combine `yaml:"combine"`
	// K is the number of series of k_of_n; absent otherwise.
	K int `yaml:"k"`
	// Unmeasured is show, available or unavailable. Default show.
	Unmeasured Unmeasured `yaml:"unmeasured"`
}

// AllowanceKind says how the allowance is computed.
type AllowanceKind string

// The kinds of allowance.
const (
	AllowanceFixed AllowanceKind = "fixed"          // the contract's own number, whatever the cycle's length
	AllowanceShare AllowanceKind = "share_of_cycle" // (1 − objective) of the cycle's real seconds
)

// Boundary says what happens exactly at the allowance.
type Boundary string

// The boundaries.
const (
	Reached  Boundary = "reached"  // at the allowance or more ("达到")
	Exceeded Boundary = "exceeded" // strictly more
)

// Allowance is the unavailable time that a cycle may have.
type Allowance struct {
	// Kind is fixed or share_of_cycle. Required.
	Kind AllowanceKind `yaml:"kind"`
	// Minutes is the allowance of kind fixed, a decimal; absent otherwise.
	Minutes Decimal `yaml:"minutes"`
	// Basis is the contract's arithmetic behind the number, quoted in the report.
	Basis string `yaml:"basis"`
	// Breached says when the contract is broken: reached (>=) or exceeded (>). Required.
	Breached Boundary `yaml:"breached"`
}

// RefundKind says how a refund is computed.
type RefundKind string

// KindFeePerStartedUnit refunds a fraction of the fee for each started unit of
// time beyond the allowance.
const KindFeePerStartedUnit RefundKind = "fee_per_started_unit"

// Refund is what the provider owes once the allowance is used up.
type Refund struct {
	// Kind is how it is computed: fee_per_started_unit. Required.
	Kind RefundKind `yaml:"kind"`
	// Fee is the fee of one cycle. Required.
	Fee Money `yaml:"fee"`
	// Divisor: each started unit refunds Fee/Divisor. Required, 1 to 1,000,000.
	Divisor int64 `yaml:"divisor"`
	// UnitMinutes is the length of the unit in minutes, 60 for hours. Required.
	UnitMinutes int64 `yaml:"unit_minutes"`
	// Cap is the most that is refunded, as a share of the fee. Default 100%.
	Cap Percent `yaml:"cap"`
	// AppliedTo says in words what is reduced, e.g. "the fee of the next month".
	AppliedTo string `yaml:"applied_to"`
}

// Notice is the reading of a clause on the announcement of maintenance.
type Notice string

// The two readings of "told 24 hours before".
const (
	AtLeast24h Notice = "at_least_24h" // announced 24 hours or more before it begins
	Within24h  Notice = "within_24h"   // announced during the 24 hours before it begins
)

// Category is one of the contract's reasons for not counting an outage.
type Category struct {
	// ID is the name that exclusions use. Required.
	ID string `yaml:"id" json:"id"`
	// Literal is the contract's wording. Required.
	Literal string `yaml:"literal" json:"literal"`
	// Announced: the exclusion counts only if the customer was told, see Notice.
	Announced bool `yaml:"announced" json:"announced,omitempty"`
	// Notice is at_least_24h or within_24h, only with announced. Default at_least_24h.
	Notice Notice `yaml:"notice" json:"notice,omitempty"`
}

// Exclusion is a time whose outages are not counted.
type Exclusion struct {
	From Timestamp `yaml:"from"` // begin, RFC 3339 with offset. Required.
	To   Timestamp `yaml:"to"`   // end, after From. Required.
	// Category is the ID of one of exclusion_categories. Required.
	Category string `yaml:"category"`
	// Owner is who answers for it; Reason says why. Required.
	Owner  string `yaml:"owner"`
	Reason string `yaml:"reason"`
	// Evidence is where the proof is: a ticket, a mail, an announcement. Required.
	Evidence string `yaml:"evidence"`
	// AnnouncedAt is when the customer was told; required by announced categories.
	AnnouncedAt Timestamp `yaml:"announced_at"`
	// Selector limits it to some series of the contract; absent means all.
	Selector Selector `yaml:"selector"`
}

// DisputeState says how far the parties are.
type DisputeState string

// The states of a dispute.
const (
	Disputed DisputeState = "disputed" // open: the report shows both figures
	Accepted DisputeState = "accepted" // settled as claimed: counted so
	Rejected DisputeState = "rejected" // settled as measured: listed only
)

// Claim is what the disputing party says the service was.
type Claim string

// The claims.
const (
	ClaimUnavailable Claim = "unavailable"
	ClaimAvailable   Claim = "available"
)

// Dispute says that somebody claims a time to have been otherwise than measured.
type Dispute struct {
	From     Timestamp    `yaml:"from"`     // begin, RFC 3339 with offset. Required.
	To       Timestamp    `yaml:"to"`       // end, after From. Required.
	Claim    Claim        `yaml:"claim"`    // unavailable or available. Required.
	Owner    string       `yaml:"owner"`    // who claims it. Required.
	Reason   string       `yaml:"reason"`   // why. Required.
	Evidence string       `yaml:"evidence"` // where the proof is. Required.
	State    DisputeState `yaml:"state"`    // disputed, accepted or rejected. Required.
}

// Location is the contract's zone.
func (c *Contract) Location() *time.Location { return c.location }

// Hash is the SHA-256 of the file that the contract was read from.
func (c *Contract) Hash() string { return c.hash }

// ParseCycle reads the name of one of the contract's cycles, e.g. "2026-10".
func (c *Contract) ParseCycle(name string) (calendar.Cycle, error) {
	return calendar.ParseCycle(c.Cycle, name, c.location)
}

// CycleAt is the contract's cycle in which t lies.
func (c *Contract) CycleAt(t time.Time) (calendar.Cycle, error) {
	return calendar.CycleAt(c.Cycle, t, c.location)
}

// life is the part of the cycle in which the contract was in force.
func (c *Contract) life(cycle calendar.Interval) calendar.Interval {
	life := cycle
	if d := c.Effective.From; !d.IsZero() {
		life.From = max(life.From, calendar.FirstInstant(d.Year, d.Month, d.Day, c.location).UnixMilli())
	}
	if d := c.Effective.To; !d.IsZero() {
		life.To = min(life.To, calendar.FirstInstant(d.Year, d.Month, d.Day+1, c.location).UnixMilli())
	}
	return life
}

// matchers are the selector's and the one that keeps other tenants out.
func (c *Contract) matchers() ([]*labels.Matcher, error) {
	tenant, err := labels.NewMatcher(labels.MatchEqual, "customer", c.Customer)
	if err != nil {
		return nil, fmt.Errorf("customer matcher: %w", err)
	}
	return append([]*labels.Matcher{tenant}, c.Unavailable.Selector.Matchers...), nil
}

func (c *Contract) category(id string) (Category, bool) {
	for _, category := range c.Categories {
		if category.ID == id {
			return category, true
		}
	}
	return Category{}, false
}
