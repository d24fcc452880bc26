package contract

import (
	"fmt"
	"io/fs"

	"go.yaml.in/yaml/v3"
)

// Deviation is a declared difference between a shipped rule and the contract's
// literal text.
type Deviation struct {
	Row         string `json:"row"`
	Alert       string `json:"alert"`
	Literal     string `json:"literal"`      // the contract's wording
	Expr        string `json:"expr"`         // what is shipped
	LiteralExpr string `json:"literal_expr"` // what the wording says, restored by Pack(row)
	Reason      string `json:"reason"`
}

// deviations is read from the packs once; they are part of the program, so one
// that cannot be read is a bug.
var deviations = func() []Deviation {
	ds, err := readDeviations(packFS)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return ds
}()

// Deviations lists every place where a shipped rule differs from the literal
// text, in the contract's order.
func Deviations() []Deviation { return append([]Deviation(nil), deviations...) }

func readDeviations(packs fs.FS) ([]Deviation, error) {
	names, err := fs.Glob(packs, "*.yml")
	if err != nil {
		return nil, fmt.Errorf("contract pack: %w", err)
	}
	byRow := map[string]Deviation{}
	for _, name := range names {
		data, err := fs.ReadFile(packs, name)
		if err != nil {
			return nil, fmt.Errorf("contract pack: %w", err)
		}
		var doc yaml.Node
		if err := yaml.Unmarshal(data, &doc); err != nil {
			return nil, fmt.Errorf("contract pack: %s: %w", name, err)
		}
		for _, rule := range ruleNodes(&doc) {
			var r struct {
				Alert    string `yaml:"alert"`
				Expr     string `yaml:"expr"`
				Contract struct {
					Row       string `yaml:"row"`
					Literal   string `yaml:"literal"`
					Deviation *struct {
						LiteralExpr string `yaml:"expr"`
						Reason      string `yaml:"reason"`
					} `yaml:"deviation"`
				} `yaml:"contract"`
			}
			if err := rule.Decode(&r); err != nil {
				return nil, fmt.Errorf("contract pack: %s: %w", name, err)
			}
			if d := r.Contract.Deviation; d != nil {
				byRow[r.Contract.Row] = Deviation{
					Row: r.Contract.Row, Alert: r.Alert, Literal: r.Contract.Literal,
					Expr: r.Expr, LiteralExpr: d.LiteralExpr, Reason: d.Reason,
				}
			}
		}
	}
	var out []Deviation
	for _, row := range rows {
		if d, ok := byRow[row.ID]; ok {
			out = append(out, d)
		}
	}
	return out, nil
}
