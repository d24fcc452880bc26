package replay

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/ruleset"
)

type records []journal.Record

func (rs records) Each(fn func(journal.Record) error) error {
	for _, r := range rs {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// What tells of up-samples is no operand of anybody's.
func TestViewTakesNoLateUps(t *testing.T) {
	groups, err := ruleset.Parse("r.yml", []byte("groups: [{name: g, interval: 1m, rules: [{alert: A, consecutive: 1, expr: cpu > 1}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	r := groups[0].Rules[0]
	past := records{{Kind: journal.KindLate, Customer: "globex", Source: "s", T: 1, V: 1, Arrive: 9, Reason: r.ID() + " settled through 8"}}
	v, err := newView(r, nil, past, labels.FromStrings("customer", "acme", "i", "x"))
	if err != nil {
		t.Fatal(err)
	}
	if len(v.late) != 0 {
		t.Errorf("another customer's up-samples are taken for samples: %v", v.late)
	}
}
