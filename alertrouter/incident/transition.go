package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// State is the state of an alert, and of the incident that it makes.
type State string

// The states of an alert. Firing and NoData keep an incident open.
const (
	Firing   State = "firing"
	NoData   State = "no_data"
	Resolved State = "resolved"
	Ended    State = "ended"
)

// Open tells whether an incident in this state is open.
func (s State) Open() bool { return s == Firing || s == NoData }

// ReasonAmended is the Reason of a transition that corrects an earlier one:
// a late sample changed the verdict of a check that had been acted upon.
const ReasonAmended = "amended"

// Limits on what one transition may carry. What exceeds them is cut, not
// refused: an alert is worth more than its decoration.
const (
	maxSamples  = 64
	maxTextLen  = 16 << 10
	maxKeyParts = 256
)

// Transition is what happened to one alert at one check. It is a value; the
// router calls it Event.
type Transition struct {
	Customer        string        // tenant; part of the incident key
	RuleID          string        // stable id of the rule; part of the incident key
	Alert           string        // name of the alert
	Labels          labels.Labels // all labels of the alert: alertname, severity, customer and identity
	Identity        labels.Labels // the labels that tell this alert from the rule's others; part of the incident key
	Annotations     labels.Labels
	State           State
	Check           time.Time // event time: the check at which the alert came into this state
	At              time.Time // engine time at which the check was judged; zero: the time of Handle
	Value           float64   // the value at Check; NaN if there is none
	Run             int       // breaches in a row at Check
	Reason          string    // why, for ended, amended and no-data; may be empty
	ContractRow     string    // row of the contract's alarm table; may be empty
	ContractLiteral string    // the row's literal text; may be empty
	Samples         []Sample  // the samples that made the alert, oldest first
	Source          string    // who delivers the alert's series; silent sources are told once per source
	GeneratorURL    string    // link to the alert's origin; may be empty
	// Occasion tells transitions of one check and state apart: late samples or a change of
	// the rules may have an alert close, open and close anew at one check. Handed over
	// again, a transition has the occasion that it had. Zero: none.
	Occasion time.Time
	// Expires is set for alerts that outside systems push again and again: an
	// alert that is not pushed anew by then goes to no-data. Such an alert is
	// told apart from its repetitions by the incident's state, not by Check.
	Expires time.Time
}

// Sample is one judged sample of an alert.
type Sample struct {
	Labels  labels.Labels
	T       int64 // event time, Unix ms
	V       float64
	Verdict string // breach, good, missing or unobserved
}

type sampleJSON struct {
	Labels  labels.Labels `json:"labels"`
	T       int64         `json:"t"`
	V       Float         `json:"v"`
	Verdict string        `json:"verdict"`
}

// MarshalJSON writes the sample; a value that JSON cannot hold is a string.
func (s Sample) MarshalJSON() ([]byte, error) {
	return json.Marshal(sampleJSON{s.Labels, s.T, Float(s.V), s.Verdict})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Sample) UnmarshalJSON(b []byte) error {
	var j sampleJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*s = Sample{Labels: j.Labels, T: j.T, V: float64(j.V), Verdict: j.Verdict}
	return nil
}

// Float is a float64 that JSON can carry: NaN and infinities are strings.
type Float float64

// MarshalJSON implements json.Marshaler.
func (f Float) MarshalJSON() ([]byte, error) {
	v := float64(f)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.AppendQuote(nil, strconv.FormatFloat(v, 'g', -1, 64)), nil
	}
	return json.Marshal(v)
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *Float) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(strings.Trim(string(b), `"`), 64)
	if err != nil {
		return err
	}
	*f = Float(v)
	return nil
}

// Key identifies what an incident is about: customer, rule and identity
// labels. At most one incident per key is open.
func (t Transition) Key() string {
	h := newKeyHash()
	h.add(t.Customer, t.RuleID)
	t.Identity.Range(func(l labels.Label) { h.add(l.Name, l.Value) })
	return h.sum()
}

// dedupKey identifies the transition itself: handed over twice, it changes
// nothing. A correction is not the transition that it corrects. Alerts that
// are pushed again and again have none.
func (t Transition) dedupKey() string {
	if !t.Expires.IsZero() {
		return ""
	}
	h := newKeyHash()
	h.add(t.Key(), strconv.FormatInt(t.Check.UnixMilli(), 10), string(t.State), strconv.FormatBool(t.Reason == ReasonAmended))
	if !t.Occasion.IsZero() {
		h.add(strconv.FormatInt(t.Occasion.UnixMilli(), 10))
	}
	return h.sum()
}

// Validate returns what makes a transition unusable.
func (t Transition) Validate() error {
	switch {
	case t.RuleID == "":
		return errors.New("no rule id")
	case t.Check.IsZero():
		return errors.New("no check time")
	case t.Identity.Len() > maxKeyParts || t.Labels.Len() > maxKeyParts:
		return fmt.Errorf("more than %d labels", maxKeyParts)
	}
	switch t.State {
	case Firing, NoData, Resolved, Ended:
		return nil
	}
	return fmt.Errorf("unknown state %q", t.State)
}

// keyHash hashes length-prefixed parts, so that no two lists of parts collide
// by where one part ends.
type keyHash struct{ b []byte }

func newKeyHash() *keyHash { return &keyHash{} }

func (h *keyHash) add(parts ...string) {
	for _, p := range parts {
		h.b = strconv.AppendInt(h.b, int64(len(p)), 10)
		h.b = append(h.b, ':')
		h.b = append(h.b, p...)
	}
}

func (h *keyHash) sum() string {
	s := sha256.Sum256(h.b)
	return hex.EncodeToString(s[:16])
}
