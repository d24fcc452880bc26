package cost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// amount is an exact sum of money.
type amount struct{ big.Rat }

// amountPattern is what the bill service writes: digits, with or without
// separators of thousands, a fraction, an exponent of a very small number. It
// also bounds what a hostile answer can make us compute.
var amountPattern = regexp.MustCompile(`^[+-]?(\d{1,18}|\d{1,3}(,\d{3}){1,5})(\.\d{1,18})?([eE][+-]?\d{1,2})?$`)

func parseAmount(text string) (*amount, error) {
	if !amountPattern.MatchString(text) {
		return nil, fmt.Errorf("%q is no amount", text)
	}
	a := &amount{}
	if _, ok := a.SetString(strings.ReplaceAll(text, ",", "")); !ok {
		return nil, fmt.Errorf("%q is no amount", text)
	}
	return a, nil
}

// UnmarshalJSON takes a number or a text. A missing amount is zero.
func (a *amount) UnmarshalJSON(b []byte) error {
	text := string(bytes.TrimSpace(b))
	if text == "null" {
		return nil
	}
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		if text = strings.TrimSpace(text); text == "" {
			return nil
		}
	}
	parsed, err := parseAmount(text)
	if err != nil {
		return err
	}
	a.Set(&parsed.Rat)
	return nil
}

func (a *amount) add(b *amount) { a.Add(&a.Rat, &b.Rat) }

// float is the nearest float64.
func (a *amount) float() float64 {
	f, _ := a.Float64()
	return f
}

// mean of at least one amount.
func mean(amounts []*amount) *amount {
	sum := &amount{}
	for _, a := range amounts {
		sum.add(a)
	}
	sum.Quo(&sum.Rat, big.NewRat(int64(len(amounts)), 1))
	return sum
}

// ratio is a by b; false when b is not above zero.
func ratio(a, b *amount) (float64, bool) {
	if b.Sign() <= 0 {
		return 0, false
	}
	var q amount
	q.Quo(&a.Rat, &b.Rat)
	return q.float(), true
}

var currencyPattern = regexp.MustCompile(`^[A-Z]{3}$`)

// currencyOf is a currency's code, "" for anything else.
func currencyOf(text string) string {
	if currencyPattern.MatchString(text) {
		return text
	}
	return ""
}
