package slo

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// The values below are read from the text of the scalar, so a number in a
// contract file never passes through binary floating point.

var decimalForm = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,9})?$`)

// Decimal is an exact number, not negative, of at most nine decimals.
type Decimal struct {
	text string
	rat  *big.Rat
}

// ParseDecimal reads "44" or "0.5". Signs and exponents are refused.
func ParseDecimal(s string) (Decimal, error) {
	if !decimalForm.MatchString(s) {
		return Decimal{}, fmt.Errorf("%q is not a decimal number such as 44 or 0.5", s)
	}
	rat, ok := new(big.Rat).SetString(s)
	if !ok {
		return Decimal{}, fmt.Errorf("%q is not a decimal number", s)
	}
	return Decimal{text: s, rat: rat}, nil
}

// Rat is the exact value, a copy; zero when absent.
func (d Decimal) Rat() *big.Rat {
	if d.rat == nil {
		return new(big.Rat)
	}
	return new(big.Rat).Set(d.rat)
}

// IsZero says that no number was given.
func (d Decimal) IsZero() bool { return d.rat == nil }

// String is the number as it was written.
func (d Decimal) String() string { return d.text }

// UnmarshalYAML reads the scalar's text.
func (d *Decimal) UnmarshalYAML(n *yaml.Node) error {
	return scalar(n, func(s string) (err error) { *d, err = ParseDecimal(s); return err })
}

// Percent is an exact share, written as "99.9%".
type Percent struct {
	text string
	rat  *big.Rat
}

// ParsePercent reads "99.9%"; from 0 to 100.
func ParsePercent(s string) (Percent, error) {
	digits, found := strings.CutSuffix(s, "%")
	d, err := ParseDecimal(strings.TrimSpace(digits))
	if !found || err != nil || d.rat.Cmp(big.NewRat(100, 1)) > 0 {
		return Percent{}, fmt.Errorf("%q is not a percentage such as 99.9%%", s)
	}
	return Percent{text: s, rat: d.rat.Quo(d.rat, big.NewRat(100, 1))}, nil
}

// Rat is the exact share, 999/1000 for 99.9%, a copy; zero when absent.
func (p Percent) Rat() *big.Rat { return Decimal{rat: p.rat}.Rat() }

// IsZero says that no percentage was given.
func (p Percent) IsZero() bool { return p.rat == nil }

// String is the percentage as it was written.
func (p Percent) String() string { return p.text }

// UnmarshalYAML reads the scalar's text.
func (p *Percent) UnmarshalYAML(n *yaml.Node) error {
	return scalar(n, func(s string) (err error) { *p, err = ParsePercent(s); return err })
}

// Money is an exact amount of a currency.
type Money struct {
	Amount   Decimal `yaml:"amount"`   // e.g. 3000.00
	Currency string  `yaml:"currency"` // ISO 4217, e.g. CNY
}

// Date is a calendar day without a zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// IsZero says that no day was given.
func (d Date) IsZero() bool { return d == Date{} }

// String is the form "2026-10-31".
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// UnmarshalYAML reads "2026-10-31".
func (d *Date) UnmarshalYAML(n *yaml.Node) error {
	return scalar(n, func(s string) error {
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return fmt.Errorf("%q is not a day such as 2026-10-31", s)
		}
		*d = Date{t.Year(), t.Month(), t.Day()}
		return nil
	})
}

// Timestamp is a moment, written with its offset, to the millisecond.
type Timestamp struct{ time.Time }

// UnmarshalYAML reads RFC 3339. The offset is required: a moment must not
// depend on a zone that stands elsewhere.
func (t *Timestamp) UnmarshalYAML(n *yaml.Node) error {
	return scalar(n, func(s string) error {
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || !at.Equal(at.Truncate(time.Millisecond)) {
			return fmt.Errorf("%q is not a time with an offset such as 2026-10-31T23:00:00+08:00 (milliseconds at most)", s)
		}
		t.Time = at
		return nil
	})
}

// Selector is a PromQL series selector.
type Selector struct {
	Text     string
	Matchers []*labels.Matcher
}

// ParseSelector reads a selector in braces, e.g. {instance=~"www.*"}.
func ParseSelector(s string) (Selector, error) {
	m, err := parser.NewParser(parser.Options{}).ParseMetricSelector(s)
	if err != nil {
		return Selector{}, fmt.Errorf("selector %q: %w", s, err)
	}
	return Selector{Text: s, Matchers: m}, nil
}

// IsZero says that no selector was given.
func (s Selector) IsZero() bool { return s.Text == "" }

// Matches says whether a series is chosen.
func (s Selector) Matches(series labels.Labels) bool {
	for _, m := range s.Matchers {
		if !m.Matches(series.Get(m.Name)) {
			return false
		}
	}
	return true
}

// UnmarshalYAML reads the scalar's text.
func (s *Selector) UnmarshalYAML(n *yaml.Node) error {
	return scalar(n, func(text string) (err error) { *s, err = ParseSelector(text); return err })
}

// scalar gives parse the scalar's text.
func scalar(n *yaml.Node, parse func(string) error) error {
	if n.Kind != yaml.ScalarNode {
		return errors.New("want a plain value")
	}
	return parse(n.Value)
}
