package alertrouter

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"

	"watchkeeper/alertrouter/incident"
)

type amAlert = alert.Alert

// Annotations that the router adds to those of the rule.
const (
	annotationIncident        = "incident"         // id of the incident
	annotationContractRow     = "contract_row"     // row of the contract's alarm table
	annotationContractLiteral = "contract_literal" // its literal text
	annotationSamples         = "samples"          // the samples that made the alert
	annotationState           = "state"            // only if the alert is in no-data
	annotationHistory         = "history"          // only if the opening was not told before
)

// newAlert renders an incident as Alertmanager's alert, as it stands at now.
// whole says that the receiver hears of it for the first time, so that a
// closed incident tells its opening too.
func newAlert(inc *incident.Incident, externalURL string, now time.Time, whole bool) *amAlert {
	a := &amAlert{Alert: model.Alert{
		Labels: labelSet(inc.Labels), Annotations: labelSet(inc.Annotations),
		StartsAt: inc.StartedAt, GeneratorURL: inc.GeneratorURL,
	}, UpdatedAt: inc.UpdatedAt}
	if a.GeneratorURL == "" {
		a.GeneratorURL = strings.TrimRight(externalURL, "/") + "/api/incidents/" + strconv.FormatInt(inc.ID, 10)
	}
	set := func(name, v string) {
		if v != "" {
			a.Annotations[model.LabelName(name)] = model.LabelValue(v)
		}
	}
	set(annotationIncident, strconv.FormatInt(inc.ID, 10))
	set(annotationContractRow, inc.ContractRow)
	set(annotationContractLiteral, inc.ContractLiteral)
	set(annotationSamples, samplesLine(inc.Samples))
	if inc.State == incident.NoData {
		set(annotationState, string(inc.State))
	}
	if !inc.Open() {
		a.EndsAt = endOf(inc, now)
		if whole {
			set(annotationHistory, historyLine(inc))
		}
	}
	return a
}

// endOf is when a closed incident's alert ended: not in the future, which
// receivers would read as firing, and not before its start.
func endOf(inc *incident.Incident, now time.Time) time.Time {
	end := inc.ResolvedAt
	if end.After(now) {
		end = now
	}
	if end.Before(inc.StartedAt) {
		end = inc.StartedAt
	}
	return end
}

// historyLine tells opening and close in one line.
func historyLine(inc *incident.Incident) string {
	const layout = "2006-01-02 15:04:05 UTC"
	s := fmt.Sprintf("fired %s, %s %s", inc.StartedAt.Format(layout), inc.State, inc.ResolvedAt.Format(layout))
	if inc.State == incident.Ended && inc.Reason != "" {
		s += " (" + inc.Reason + ")"
	}
	return s
}

// samplesLine writes the samples that made an alert in one line, e.g.
// "10:01:00=95 breach, 10:02:00 missing, 10:03:00=97 breach (UTC)".
func samplesLine(samples []incident.Sample) string {
	if len(samples) == 0 {
		return ""
	}
	var parts []string
	for _, s := range samples {
		p := time.UnixMilli(s.T).UTC().Format(time.TimeOnly)
		if s.V == s.V { // a sample that is missing has no value
			p += "=" + strconv.FormatFloat(s.V, 'g', 6, 64)
		}
		if s.Verdict != "" {
			p += " " + s.Verdict
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, ", ") + " (UTC)"
}

// encodeAlerts is how alerts are kept in the outbox.
func encodeAlerts(alerts []*amAlert) ([]byte, error) {
	out := make([]model.Alert, 0, len(alerts))
	for _, a := range alerts {
		out = append(out, a.Alert)
	}
	return json.Marshal(out)
}

func decodeAlerts(b []byte) ([]*amAlert, error) {
	var in []model.Alert
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("decode alerts: %w", err)
	}
	out := make([]*amAlert, 0, len(in))
	for n := range in {
		out = append(out, &amAlert{Alert: in[n], UpdatedAt: in[n].StartsAt})
	}
	return out, nil
}

// reasonOf finds Alertmanager's notification reason by its name.
func reasonOf(name string) amnotify.NotifyReason {
	for r := amnotify.ReasonFirstNotification; r < amnotify.ReasonUnknown; r++ {
		if r.String() == name {
			return r
		}
	}
	return amnotify.ReasonUnknown
}
