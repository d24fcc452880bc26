package slo

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"watchkeeper/internal/calendar"
)

// State says how much of the cycle a report speaks for.
type State string

// The states.
const (
	Final       State = "final"       // the whole cycle, all of it checked and settled
	Provisional State = "provisional" // the cycle runs, or ended less than 24 h ago: its last checks may still settle
	Partial     State = "partial"     // contract or checks cover a part of the cycle: reported, not judged
)

// Judgement says whether the promise of a cycle was kept.
type Judgement string

// The judgements.
const (
	Met       Judgement = "met"
	Breached  Judgement = "breached"
	Undecided Judgement = "undecided"  // the cycle is complete, but the outcome depends on unmeasured time
	NotJudged Judgement = "not_judged" // the report does not speak for the whole cycle, or not yet
)

// Duration is an exact length of time in milliseconds; in JSON it is a decimal
// number of seconds.
type Duration int64

// MarshalJSON writes seconds with as many decimals as needed.
func (d Duration) MarshalJSON() ([]byte, error) { return []byte(d.seconds()), nil }

func (d Duration) seconds() string {
	sign, ms := "", int64(d)
	if ms < 0 {
		sign, ms = "-", -ms
	}
	text := fmt.Sprintf("%s%d.%03d", sign, ms/1000, ms%1000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// String is the form 26:03:07.5, hours without bound.
func (d Duration) String() string {
	sign, ms := "", int64(d)
	if ms < 0 {
		sign, ms = "-", -ms
	}
	text := fmt.Sprintf("%s%02d:%02d:%02d", sign, ms/3_600_000, ms/60_000%60, ms/1000%60)
	if ms%1000 != 0 {
		text += strings.TrimRight(fmt.Sprintf(".%03d", ms%1000), "0")
	}
	return text
}

// Exact is an exact number; in JSON it is the text "a/b", or "a" for integers.
type Exact struct{ *big.Rat }

// MarshalJSON writes the reduced fraction.
func (e Exact) MarshalJSON() ([]byte, error) { return json.Marshal(e.RatString()) }

// Decimal is the number for a reader: rounded half up to three decimals, for
// seconds to the millisecond, without trailing zeros.
func (e Exact) Decimal() string {
	return strings.TrimSuffix(strings.TrimRight(e.FloatString(3), "0"), ".")
}

// Report is what a contract's cycle came to. Its JSON is complete: every
// printed figure is in it with what it was computed from.
type Report struct {
	Contract   ContractFacts `json:"contract"`
	Cycle      CycleFacts    `json:"cycle"`
	State      State         `json:"state"`
	Judgement  Judgement     `json:"judgement"`
	Notes      []string      `json:"notes"` // what a reader must know to use the figures
	Period     PeriodFacts   `json:"period"`
	Figures    []Figure      `json:"figures"` // the first one is the contract's
	Outages    []Outage      `json:"outages"`
	Unmeasured []Gap         `json:"unmeasured"`
	Uncovered  []Span        `json:"uncovered"`
	Exclusions []Excluded    `json:"exclusions"`
	Disputes   []Claimed     `json:"disputes"`
	Series     []SeriesFacts `json:"series"`
	Rounding   string        `json:"rounding"`
	// DataAsOf is the time of the latest check that was used; nil without one.
	DataAsOf   *time.Time `json:"data_as_of"`
	ComputedAt time.Time  `json:"computed_at"`
	// InputsHash is the SHA-256 over the contract file, the period and all verdicts:
	// equal hashes mean equal figures.
	InputsHash string `json:"inputs_hash"`
}

// ContractFacts name the contract and the settings behind the figures.
type ContractFacts struct {
	ID         string     `json:"id"`
	Customer   string     `json:"customer"`
	Title      string     `json:"title"`
	Literal    []Clause   `json:"literal"`
	Objective  string     `json:"objective"`
	Rule       string     `json:"rule"`
	Selector   string     `json:"selector"`
	Combine    Combine    `json:"combine"`
	K          int        `json:"k,omitempty"`
	Treatment  Unmeasured `json:"unmeasured"`
	Allowance  string     `json:"allowance_basis,omitempty"`
	Categories []Category `json:"exclusion_categories"`
	Hash       string     `json:"hash"`
}

// CycleFacts are the cycle's bounds in the contract's zone.
type CycleFacts struct {
	Kind   calendar.Kind `json:"kind"`
	Name   string        `json:"name"`
	Zone   string        `json:"zone"`
	From   time.Time     `json:"from"`
	To     time.Time     `json:"to"`
	Length Duration      `json:"seconds"` // real seconds of the cycle
}

// PeriodFacts split the reported part of the cycle: covered + uncovered =
// length, and unmeasured lies in covered.
type PeriodFacts struct {
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Length     Duration  `json:"seconds"`
	Covered    Duration  `json:"covered_seconds"`    // at least one series has a check
	Uncovered  Duration  `json:"uncovered_seconds"`  // no series has one
	Unmeasured Duration  `json:"unmeasured_seconds"` // checked, but missing or unobserved, so that the answer is open
}

// The names of figures.
const (
	FigureContract          = "contract"               // with exclusions and accepted disputes: the one that is judged
	FigureWithoutExclusions = "without_exclusions"     // as if nothing were excluded
	FigureDisputesAccepted  = "disputes_accepted"      // as if all open disputes were settled as claimed
	FigureUnmeasuredDown    = "unmeasured_unavailable" // as if all unmeasured time had been down
)

// Figure is one reading of the cycle: how long the service was down under some
// assumption, and what follows from it.
type Figure struct {
	Name        string        `json:"name"`
	Unavailable Duration      `json:"unavailable_seconds"`
	Available   *Availability `json:"availability"` // nil when nothing was covered
	Allowance   AllowanceUse  `json:"allowance"`
	Refund      *RefundDue    `json:"refund,omitempty"`
}

// Availability is available time over covered time, exactly.
type Availability struct {
	Numerator   Duration `json:"numerator_seconds"`
	Denominator Duration `json:"denominator_seconds"`
	Ratio       Exact    `json:"ratio"`   // reduced, "a/b"
	Decimal     string   `json:"decimal"` // six decimals, cut off and not rounded
	Met         bool     `json:"objective_met"`
}

// AllowanceUse compares the unavailable time with the allowance.
type AllowanceUse struct {
	Seconds  Exact    `json:"seconds"` // the allowance
	Boundary Boundary `json:"boundary"`
	Breached bool     `json:"breached"`
	Left     Exact    `json:"left_seconds"`
	Beyond   Exact    `json:"beyond_seconds"`
}

// RefundDue is what is owed, with its arithmetic.
type RefundDue struct {
	Units     Exact    `json:"started_units"`
	UnitSize  Duration `json:"unit_seconds"`
	Fee       Exact    `json:"fee"`
	PerUnit   Exact    `json:"per_unit"`
	Uncapped  Exact    `json:"uncapped"`
	Cap       Exact    `json:"cap"`
	Capped    bool     `json:"capped"`
	Amount    Exact    `json:"amount"`
	Rounded   string   `json:"amount_rounded"` // two decimals, half up
	Currency  string   `json:"currency"`
	AppliedTo string   `json:"applied_to,omitempty"`
	Steps     []string `json:"steps"`
}

// Span is an interval (From, To] with its length.
type Span struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Length Duration  `json:"seconds"`
}

// Outage is a time at which the service was down, by measurement or by a
// settled dispute; Counted is what of it entered the contract's figure.
type Outage struct {
	Span
	Measured Duration    `json:"measured_seconds"`
	Excluded Duration    `json:"excluded_seconds"`
	Counted  Duration    `json:"counted_seconds"`
	Disputed Duration    `json:"disputed_seconds"` // touched by open disputes
	Evidence []SliceFact `json:"evidence"`
}

// Gap is unmeasured time.
type Gap struct {
	Span
	Evidence []SliceFact `json:"evidence"`
}

// SliceFact counts the checks of one series whose slots have time in an interval.
type SliceFact struct {
	Labels map[string]string `json:"labels"`
	Counts
}

// Counts are numbers of checks by verdict.
type Counts struct {
	Good       int `json:"good"`
	Breach     int `json:"breach"`
	Missing    int `json:"missing"`
	Unobserved int `json:"unobserved"`
}

// Excluded is an exclusion of the contract file that touches the period.
type Excluded struct {
	Index       int        `json:"index"` // its place in the file, from 0
	From        time.Time  `json:"from"`
	To          time.Time  `json:"to"`
	Category    string     `json:"category"`
	Owner       string     `json:"owner"`
	Reason      string     `json:"reason"`
	Evidence    string     `json:"evidence"`
	AnnouncedAt *time.Time `json:"announced_at,omitempty"`
	Selector    string     `json:"selector,omitempty"`
	Applied     bool       `json:"applied"`
	Refused     string     `json:"refused,omitempty"` // why it does not count
	// Removed is the unavailable time that it would take away alone; overlapping
	// exclusions each show the shared part, the contract's figure loses it once.
	Removed Duration `json:"removed_seconds"`
}

// Claimed is a dispute that touches the period.
type Claimed struct {
	Index    int          `json:"index"`
	From     time.Time    `json:"from"`
	To       time.Time    `json:"to"`
	Claim    Claim        `json:"claim"`
	State    DisputeState `json:"state"`
	Owner    string       `json:"owner"`
	Reason   string       `json:"reason"`
	Evidence string       `json:"evidence"`
}

// SeriesFacts say what one series contributed.
type SeriesFacts struct {
	Labels  map[string]string `json:"labels"`
	Checks  int               `json:"checks"`
	Covered Duration          `json:"covered_seconds"`
	Down    Duration          `json:"down_seconds"` // its own breaches, nothing excluded
	Counts
}

// ContractFigure is the contract's own figure, the one that is judged.
func (r *Report) ContractFigure() Figure { return r.Figures[0] }
