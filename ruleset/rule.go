package ruleset

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Mode says how a rule is judged.
type Mode string

// The modes. Plain rules are Prometheus's own: no consecutive.
const (
	ModeStreaming Mode = "streaming" // compiled to operators over samples as they come
	ModeEvaluated Mode = "evaluated" // promql.Engine at each check
	ModePlain     Mode = "plain"     // Prometheus's meaning, not this engine's
)

// Missing says what a check without a sample does to a run.
type Missing string

// The settings of a rule's field missing.
const (
	MissingHold   Missing = "hold"
	MissingReset  Missing = "reset"
	MissingBreach Missing = "breach"
)

// Contract ties a rule to its row of the service contract's alarm table.
type Contract struct {
	Row       string     `yaml:"row"`
	Literal   string     `yaml:"literal"`             // the contract's own words
	Reading   string     `yaml:"reading,omitempty"`   // how they are read where they leave a choice
	Deviation *Deviation `yaml:"deviation,omitempty"` // where the shipped rule differs from them
}

// Deviation declares how a rule differs from the contract's literal text.
type Deviation struct {
	Expr        string `yaml:"expr,omitempty"`        // the literal condition; empty when the condition is the literal one
	Consecutive int    `yaml:"consecutive,omitempty"` // the literal count; 0 when it is the rule's
	Reason      string `yaml:"reason"`
}

// Group is a rule group: rules that share a check interval.
type Group struct {
	File     string
	Name     string
	Interval time.Duration // 0 when the file gives none (plain groups only)
	Rules    []*Rule
}

// Rule is one rule of a file. Durations are exact milliseconds.
type Rule struct {
	File, Group string
	Line        int
	Alert       string // name; empty for a plain recording rule
	Record      string // plain recording rules only
	Expr        string
	Plain       bool // a Prometheus rule: no consecutive

	Interval     time.Duration // check interval I
	Phase        time.Duration // checks stand at k*I + phase
	Consecutive  int
	Missing      Missing
	MaxGap       int
	Lateness     time.Duration
	MissingAfter time.Duration
	ResolveAfter int
	NoDataAfter  int
	MinMembers   int
	Lookback     map[string]time.Duration // metric name -> look-back longer than I

	For, KeepFiringFor time.Duration // plain rules only

	Labels      labels.Labels
	Annotations labels.Labels
	Contract    *Contract
	Warnings    []string // what lint says about the rule

	prog *program
	why  string
	expr parser.Expr
}

// ID identifies the rule: its contract row, else group/alert.
func (r *Rule) ID() string {
	if r.Contract != nil && r.Contract.Row != "" {
		return r.Contract.Row
	}
	if r.Alert == "" {
		return r.Group + "/" + r.Record
	}
	return r.Group + "/" + r.Alert
}

// Mode says how the rule is judged and, unless it is streaming, why.
func (r *Rule) Mode() (Mode, string) {
	switch {
	case r.Plain:
		return ModePlain, "no field consecutive: Prometheus's own meaning"
	case r.prog == nil:
		return ModeEvaluated, r.why
	}
	return ModeStreaming, ""
}

// Severity is the rule's label severity.
func (r *Rule) Severity() string { return r.Labels.Get("severity") }

// meaning is equal for two rules that judge alike, whatever their names,
// labels and texts are.
func (r *Rule) meaning() string {
	return fmt.Sprint(r.Expr, r.Interval, r.Phase, r.Consecutive, r.Missing, r.MaxGap, r.Lateness,
		r.MissingAfter, r.ResolveAfter, r.NoDataAfter, r.MinMembers, r.Lookback)
}

// checkOf returns the number of the check in whose slot t lies.
func (r *Rule) checkOf(t int64) int64 {
	return ceilDiv(t-r.Phase.Milliseconds(), r.Interval.Milliseconds())
}

// lastCheck returns the number of the last check that stands at or before t.
func (r *Rule) lastCheck(t int64) int64 {
	return floorDiv(t-r.Phase.Milliseconds(), r.Interval.Milliseconds())
}

// timeOf returns T of check k, Unix ms.
func (r *Rule) timeOf(k int64) int64 {
	return k*r.Interval.Milliseconds() + r.Phase.Milliseconds()
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }
