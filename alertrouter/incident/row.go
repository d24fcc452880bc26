package incident

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
)

// incidentColumns are the columns of incidents in the order of scanIncident.
const incidentColumns = `i.id, i.incident_key, i.customer, i.rule_id, i.alert_name, i.severity,
	i.identity_json, i.labels_json, i.annotations_json, i.source, i.contract_row, i.contract_literal,
	i.state, i.value, i.run, i.reason, i.samples_json, i.generator_url,
	i.started_at, i.opened_at, i.updated_at, i.last_check_at, i.expires_at, i.resolved_at, i.closed_at,
	i.reopened, i.acknowledged_at, i.acknowledged_by`

// scanner is a row of a result.
type scanner interface{ Scan(dest ...any) error }

// scanIncident reads incidentColumns, and then into more.
func scanIncident(row scanner, more ...any) (Incident, error) {
	var (
		i                                                               Incident
		identity, lset, annotations, samples                            string
		value                                                           sql.NullFloat64
		started, opened, updated, check, expires, resolved, closed, ack sql.NullInt64
	)
	dest := []any{
		&i.ID, &i.Key, &i.Customer, &i.RuleID, &i.Alert, &i.Severity,
		&identity, &lset, &annotations, &i.Source, &i.ContractRow, &i.ContractLiteral,
		&i.State, &value, &i.Run, &i.Reason, &samples, &i.GeneratorURL,
		&started, &opened, &updated, &check, &expires, &resolved, &closed,
		&i.Reopened, &ack, &i.AcknowledgedBy,
	}
	if err := row.Scan(append(dest, more...)...); err != nil {
		return Incident{}, err
	}
	err := decodeAll(
		column{identity, &i.Identity}, column{lset, &i.Labels},
		column{annotations, &i.Annotations}, column{samples, &i.Samples},
	)
	if err != nil {
		return Incident{}, fmt.Errorf("incident %d: %w", i.ID, err)
	}
	i.Value = fromNullFloat(value)
	i.StartedAt, i.OpenedAt, i.UpdatedAt = fromMillis(started), fromMillis(opened), fromMillis(updated)
	i.LastCheck, i.Expires = fromMillis(check), fromMillis(expires)
	i.ResolvedAt, i.ClosedAt, i.AcknowledgedAt = fromMillis(resolved), fromMillis(closed), fromMillis(ack)
	return i, nil
}

// scanIncidents reads all rows of incidentColumns.
func scanIncidents(rows *sql.Rows) ([]Incident, error) {
	defer rows.Close()
	var out []Incident
	for rows.Next() {
		i, err := scanIncident(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

// column is JSON text and where to decode it.
type column struct {
	text string
	into any
}

func decodeAll(cols ...column) error {
	for _, c := range cols {
		if err := json.Unmarshal([]byte(c.text), c.into); err != nil {
			return fmt.Errorf("decode column: %w", err)
		}
	}
	return nil
}

// labelsJSON is how a label set is stored.
func labelsJSON(l labels.Labels) (string, error) {
	b, err := json.Marshal(l)
	return string(b), err
}

func samplesJSON(s []Sample) (string, error) {
	if len(s) == 0 {
		return "[]", nil
	}
	if len(s) > maxSamples {
		s = s[len(s)-maxSamples:]
	}
	b, err := json.Marshal(s)
	return string(b), err
}

// nullFloat is how a value is stored: SQL has no NaN.
func nullFloat(v float64) sql.NullFloat64 {
	return sql.NullFloat64{Float64: v, Valid: !math.IsNaN(v)}
}

func fromNullFloat(v sql.NullFloat64) Float {
	if !v.Valid {
		return Float(math.NaN())
	}
	return Float(v.Float64)
}

// cut bounds a text at a rune's edge.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
