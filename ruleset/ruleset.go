// Package ruleset judges samples by rules that count checks instead of time.
//
// A rule stands on a grid of checks; every check of every series gets a verdict
// (breach, good, missing or unobserved) from the samples of its slot; runs of
// breaches fire. Time comes only from batches and from Advance; the package
// reads no clock. docs/rules.md is the definition, and the tests hold every
// implementation in this package to it.
//
// Call Parse to read rule files, New to build an Engine, Recover once after a
// start, then Ingest for every accepted batch and Advance now and then.
package ruleset

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// ErrNotTaken says that nothing of a batch was taken: hand it over again later.
var ErrNotTaken = errors.New("rule engine: batch not taken")

// ErrBackpressure is an ErrNotTaken: the sink has not acknowledged enough of what was
// logged. Advance has it try again.
var ErrBackpressure = fmt.Errorf("%w: too many log entries wait for the sink", ErrNotTaken)

// State is the state of one alert: one rule and one identity.
type State string

// The states of an alert. Resolved and Ended are how an alert closes; after
// them it is inactive.
const (
	StateInactive State = "inactive"
	StatePending  State = "pending"  // a run that has not fired yet
	StateFiring   State = "firing"   //
	StateNoData   State = "no_data"  // was firing and fell silent
	StateResolved State = "resolved" // good again
	StateEnded    State = "ended"    // the series ended for a reason
)

// Open says whether an alert in this state stands in the incident store.
func (s State) Open() bool { return s == StateFiring || s == StateNoData }

// Log names one of the two logs.
type Log string

// The live log is provisional, the settled log final.
const (
	LogLive    Log = "live"
	LogSettled Log = "settled"
)

// Evidence is one sample that an entry rests on.
type Evidence struct {
	Labels  labels.Labels // the series, with its metric name
	T       int64         // event time of the sample, Unix ms
	V       float64
	Check   int64   // T of the check that judged it, Unix ms
	Verdict Verdict // verdict of that check
	Arrival int64   // engine time of its arrival, Unix ms; 0 when not recorded
}

// Entry is one line of a log: one alert changed its state.
type Entry struct {
	ID          string // the same when the entry is handed over again; a settled one's also after a restart
	Log         Log
	At          int64 // live: engine time; settled: check + lateness; Unix ms
	Check       int64 // T of the check that completed the change, Unix ms
	Rule        *Rule
	Identity    labels.Labels // of the series, without metric name
	Labels      labels.Labels // identity, the rule's labels and alertname
	Annotations labels.Labels // of a live entry about an alert that stands or stood, and whose rule is known; else empty
	Source      sample.Source // who delivers the series; zero when unknown
	From, To    State
	Value       float64    // value at Check; NaN where the check has none
	Run         int        // breaches in the run
	Reason      string     // why; empty when the verdicts say it all
	Samples     []Evidence // of such an entry: what it rests on
	FillIn      bool       // the alert stands from the fill-in at the source's first contact

	unworded unworded
}

// String prints an entry in one line, for logs and test failures.
func (e Entry) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s check=%s %s%s %s -> %s", e.Log, time.UnixMilli(e.Check).UTC().Format(time.RFC3339), e.Rule.Alert, e.Identity, e.From, e.To)
	fmt.Fprintf(&b, " value=%v run=%d", e.Value, e.Run)
	if e.Reason != "" {
		fmt.Fprintf(&b, " reason=%q", e.Reason)
	}
	return b.String()
}

// Sink takes log entries, in order. When Log returns nil the entries are
// durable; until then the engine keeps them and hands them over again, so a
// sink must drop entries whose ID it has. Live entries carry alerts; settled
// entries are the record.
type Sink interface {
	Log(ctx context.Context, entries []Entry) error
}

// Journal keeps the inputs of judging that the series store cannot hold.
type Journal interface {
	// Record makes records durable before it returns nil.
	Record(ctx context.Context, records ...journal.Record) error
	// Each calls fn for every record, oldest first, and stops at fn's error.
	Each(fn func(journal.Record) error) error
}

// Config holds the engine's limits.
type Config struct {
	// MaxSeriesPerRule bounds the identities judged by one rule. Default 100000.
	MaxSeriesPerRule int `yaml:"max_series_per_rule"`
	// MaxSeriesPerCustomer bounds the (rule, identity) pairs of one customer. Default 1000000.
	MaxSeriesPerCustomer int `yaml:"max_series_per_customer"`
	// MaxLatePerDay bounds what the journal lists of a customer's late samples and
	// up-samples in a day (UTC), one record for each rule that reads them. A start and a
	// replay take those beyond it for such as came in time. Default 500000.
	MaxLatePerDay int `yaml:"max_late_per_day"`
	// MaxQueuedEntries bounds the log entries that wait for the sink; beyond it
	// batches are refused. Default 100000.
	MaxQueuedEntries int `yaml:"max_queued_entries"`
	// ForceAfter settles a check whose source's watermark stands still. Default 24h.
	ForceAfter model.Duration `yaml:"force_after"`
	// RecoverWindow is how far back samples are read to rebuild state after a
	// start. Default 26h.
	RecoverWindow model.Duration `yaml:"recover_window"`
	// MaxAhead is how far ahead of the clock the store takes a sample: the
	// storage's max_future, not a setting of its own. Default 10m.
	MaxAhead model.Duration `yaml:"-"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		MaxSeriesPerRule:     100_000,
		MaxSeriesPerCustomer: 1_000_000,
		MaxLatePerDay:        500_000,
		MaxQueuedEntries:     100_000,
		ForceAfter:           model.Duration(24 * time.Hour),
		RecoverWindow:        model.Duration(26 * time.Hour),
		MaxAhead:             model.Duration(10 * time.Minute),
	}
}

// Validate names the first field that cannot be used.
func (c Config) Validate() error {
	switch {
	case c.MaxSeriesPerRule <= 0:
		return errors.New("max_series_per_rule: must be positive")
	case c.MaxSeriesPerCustomer <= 0:
		return errors.New("max_series_per_customer: must be positive")
	case c.MaxLatePerDay <= 0:
		return errors.New("max_late_per_day: must be positive")
	case c.MaxQueuedEntries <= 0:
		return errors.New("max_queued_entries: must be positive")
	case c.ForceAfter <= 0:
		return errors.New("force_after: must be positive")
	case c.RecoverWindow < c.ForceAfter:
		return errors.New("recover_window: must not be shorter than force_after")
	case c.MaxAhead < 0:
		return errors.New("max_ahead: must not be negative")
	}
	return nil
}

// OpenAlert is an alert of the incident store as Recover needs it: one that
// stands, or one that opened or closed within Config.RecoverWindow.
type OpenAlert struct {
	RuleID   string
	Alert    string // the rule's name
	Identity labels.Labels
	Labels   labels.Labels   // with which it was told; those of a rule that is gone tell its customer
	State    State           // firing or no_data; inactive, resolved or ended when it is closed
	Series   []labels.Labels // those of the samples that opened it; none: not known
	Opened   int64           // Check of the live entry that opened it, Unix ms
	Check    int64           // Check of its latest live entry, Unix ms
}

// Alert is the present state of one rule and identity, for APIs and pages.
type Alert struct {
	Rule        *Rule
	Identity    labels.Labels
	Labels      labels.Labels
	Annotations labels.Labels
	Source      sample.Source
	State       State   // pending, firing or no_data
	Since       int64   // check at which the state was entered, Unix ms
	Value       float64 // of the latest breach
	Run         int     // breaches in the run: "2 of 3"
	Consecutive int     // breaches that fire
	NextCheck   int64   // T of the next check, Unix ms
}

// RuleStatus describes a loaded rule.
type RuleStatus struct {
	Rule   *Rule
	Mode   Mode
	Why    string // why the rule is evaluated instead of streaming; empty when streaming
	Series int    // identities watched
	Alerts int    // of them pending, firing or in no-data
	Err    error  // why an evaluated rule has no verdicts at its newest check; nil when it has
}
