package incident

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Incident is one episode of one alert: from its first firing check until it
// resolved or ended, reopenings included.
type Incident struct {
	ID              int64         `json:"id"`
	Key             string        `json:"key"`
	Customer        string        `json:"customer"`
	RuleID          string        `json:"rule_id"`
	Alert           string        `json:"alert"`
	Severity        string        `json:"severity"`
	Identity        labels.Labels `json:"identity"`
	Labels          labels.Labels `json:"labels"`
	Annotations     labels.Labels `json:"annotations"`
	Source          string        `json:"source,omitempty"`
	ContractRow     string        `json:"contract_row,omitempty"`
	ContractLiteral string        `json:"contract_literal,omitempty"`
	State           State         `json:"state"`
	Value           Float         `json:"value"`
	Run             int           `json:"run"`
	Reason          string        `json:"reason,omitempty"`
	Samples         []Sample      `json:"samples"` // those that made the alert
	GeneratorURL    string        `json:"generator_url,omitempty"`
	StartedAt       time.Time     `json:"started_at"`           // event time of the first firing check
	OpenedAt        time.Time     `json:"opened_at"`            // wall clock when the incident was durable; contract clocks start here
	UpdatedAt       time.Time     `json:"updated_at"`           // wall clock of the last change
	LastCheck       time.Time     `json:"last_check"`           // event time of the last transition
	Expires         time.Time     `json:"expires,omitzero"`     // outside alerts only
	ResolvedAt      time.Time     `json:"resolved_at,omitzero"` // event time of the resolving or ending check
	ClosedAt        time.Time     `json:"closed_at,omitzero"`   // wall clock; zero while open
	Reopened        int           `json:"reopened"`             // how often
	AcknowledgedAt  time.Time     `json:"acknowledged_at,omitzero"`
	AcknowledgedBy  string        `json:"acknowledged_by,omitempty"`
}

// Open tells whether the incident is open.
func (i *Incident) Open() bool { return i.ClosedAt.IsZero() }

// DetectionLatency is the time between the first firing check and the moment
// at which the incident was durable.
func (i *Incident) DetectionLatency() time.Duration { return i.OpenedAt.Sub(i.StartedAt) }

// EntryType is a kind of entry in an incident's event log.
type EntryType string

// The closed list of entry types.
const (
	EntryOpened         EntryType = "opened"
	EntryUpdated        EntryType = "updated"
	EntryNoData         EntryType = "no_data"
	EntryBackToFiring   EntryType = "back_to_firing"
	EntryResolved       EntryType = "resolved"
	EntryEnded          EntryType = "ended"
	EntryReopened       EntryType = "reopened"
	EntryAmended        EntryType = "amended"
	EntrySeverity       EntryType = "severity_changed"
	EntryAcknowledged   EntryType = "acknowledged"
	EntryNote           EntryType = "note"
	EntryNotified       EntryType = "notified"
	EntryMuted          EntryType = "muted"
	EntryDeliveryFailed EntryType = "delivery_failed"
)

// Entry is one line of an incident's append-only event log.
type Entry struct {
	ID         int64     `json:"id"`
	IncidentID int64     `json:"incident_id"`
	Type       EntryType `json:"type"`
	Check      time.Time `json:"check,omitzero"`     // event time
	EngineAt   time.Time `json:"engine_at,omitzero"` // engine time at which the check was judged
	RecordedAt time.Time `json:"recorded_at"`        // wall clock
	Actor      string    `json:"actor,omitempty"`    // the person, or empty for the system
	Detail     string    `json:"detail,omitempty"`   // reason, comment, receiver
	Value      Float     `json:"value"`
	Run        int       `json:"run,omitempty"`
	Samples    []Sample  `json:"samples,omitempty"`
}

// Outcome is how one attempt to tell somebody ended.
type Outcome string

// The outcomes of the delivery ledger.
const (
	OutcomeAccepted Outcome = "accepted"
	OutcomeRetry    Outcome = "retry"  // refused for now; tried again
	OutcomeFailed   Outcome = "failed" // refused for good
	OutcomeMuted    Outcome = "muted"  // not sent; Answer says by what
)

// Delivery is one line of the delivery ledger.
type Delivery struct {
	ID             int64         `json:"id"`
	At             time.Time     `json:"at"`
	IdempotencyKey string        `json:"idempotency_key,omitempty"`
	Receiver       string        `json:"receiver"`
	Integration    string        `json:"integration,omitempty"` // e.g. "webhook[0]"
	Outcome        Outcome       `json:"outcome"`
	Attempt        int           `json:"attempt,omitempty"` // 1 is the first
	Duration       time.Duration `json:"duration_ns,omitempty"`
	Answer         string        `json:"answer,omitempty"` // the error, or what muted it
}

// Detail is an incident with its event log and its delivery ledger.
type Detail struct {
	Incident
	Events []Entry    `json:"events"`
	Ledger []Delivery `json:"ledger"`
}

// Change is what one transition made of an incident.
type Change struct {
	Type     EntryType
	Incident Incident
	Moved    bool // opened for an alert that stood with another customer
}
