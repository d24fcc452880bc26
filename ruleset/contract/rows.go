package contract

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// thresholdsCSV is the contract's alarm table. Its column literal is the
// contract's own wording; reading, severity and note are this project's.
//
//go:embed thresholds.csv
var thresholdsCSV []byte

// Row is one row of the contract's alarm table.
type Row struct {
	ID          string        `json:"id"`      // this project's name of the row, stable
	Product     string        `json:"product"` // as the table writes it, e.g. "云 Redis"
	RuleZH      string        `json:"rule_zh"` // the rule in the contract's words
	RuleEN      string        `json:"rule_en"`
	CheckEvery  time.Duration `json:"-"`
	Interval    string        `json:"check_every"` // CheckEvery as the table writes it, e.g. "1m"
	Consecutive int           `json:"consecutive"` // breaching checks in a row that fire
	Op          string        `json:"op"`          // >=, >, <, = or !=, as the table writes it
	// Thresholds are what the value is compared with: one, or two for a
	// compound row, whose conditions must both hold at the same check.
	Thresholds []float64 `json:"thresholds"`
	Unit       string    `json:"unit"`
	Literal    string    `json:"literal"` // the contract's own wording of check and threshold
	Reading    string    `json:"reading,omitempty"`
	Severity   string    `json:"severity"` // disaster, high, average or warning; a default that customers override
	Note       string    `json:"note,omitempty"`
}

// Compound says whether the row has two conditions.
func (r Row) Compound() bool { return len(r.Thresholds) > 1 }

// PromQLOp returns the row's operator as PromQL writes it.
func (r Row) PromQLOp() string {
	if r.Op == "=" {
		return "=="
	}
	return r.Op
}

// rows is parsed once; the table is part of the program, so a bad one is a bug.
var rows = func() []Row {
	rs, err := parseRows(thresholdsCSV)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return rs
}()

// Rows returns the alarm table in the contract's order.
func Rows() []Row {
	out := make([]Row, len(rows))
	for i, r := range rows {
		r.Thresholds = append([]float64(nil), r.Thresholds...)
		out[i] = r
	}
	return out
}

// LookupRow returns the row with the given id.
func LookupRow(id string) (Row, bool) {
	for _, r := range Rows() {
		if r.ID == id {
			return r, true
		}
	}
	return Row{}, false
}

var columns = []string{
	"id", "product", "rule_zh", "rule_en", "check_every", "consecutive", "op",
	"threshold", "unit", "literal", "reading", "severity", "note",
}

func parseRows(table []byte) ([]Row, error) {
	r := csv.NewReader(bytes.NewReader(table))
	r.FieldsPerRecord = len(columns)
	records, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("alarm table: %w", err)
	}
	if len(records) == 0 || strings.Join(records[0], ",") != strings.Join(columns, ",") {
		return nil, fmt.Errorf("alarm table: the first line must name the columns %v", columns)
	}
	seen := map[string]bool{}
	out := make([]Row, 0, len(records)-1)
	for _, rec := range records[1:] {
		row, err := parseRow(rec)
		if err != nil {
			return nil, fmt.Errorf("alarm table: row %q: %w", rec[0], err)
		}
		if seen[row.ID] {
			return nil, fmt.Errorf("alarm table: row %q: id is there twice", row.ID)
		}
		seen[row.ID] = true
		out = append(out, row)
	}
	return out, nil
}

func parseRow(rec []string) (Row, error) {
	row := Row{
		ID: rec[0], Product: rec[1], RuleZH: rec[2], RuleEN: rec[3], Interval: rec[4], Op: rec[6],
		Unit: rec[8], Literal: rec[9], Reading: rec[10], Severity: rec[11], Note: rec[12],
	}
	every, err := model.ParseDuration(rec[4])
	if err != nil {
		return Row{}, fmt.Errorf("check_every: %w", err)
	}
	row.CheckEvery = time.Duration(every)
	if row.Consecutive, err = strconv.Atoi(rec[5]); err != nil || row.Consecutive < 1 {
		return Row{}, fmt.Errorf("consecutive: %q is not a positive number", rec[5])
	}
	for _, s := range strings.Split(rec[7], " and ") {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return Row{}, fmt.Errorf("threshold: %w", err)
		}
		row.Thresholds = append(row.Thresholds, v)
	}
	return row, nil
}
