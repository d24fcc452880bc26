package override

import (
	"fmt"
	"strconv"
	"strings"
)

// Change says in words what the override changes of its rule.
func (a Applied) Change() string {
	o := a.Override
	if o.Off {
		return "off"
	}
	var said []string
	if o.Threshold != nil {
		said = append(said, "threshold "+decimal(*o.Threshold))
	}
	if len(o.Thresholds) > 0 {
		all := make([]string, len(o.Thresholds))
		for i, v := range o.Thresholds {
			all[i] = decimal(v)
		}
		said = append(said, "thresholds "+strings.Join(all, " and "))
	}
	if o.Consecutive != nil {
		said = append(said, fmt.Sprintf("consecutive %d instead of %d", *o.Consecutive, a.WasConsecutive))
	}
	if o.Severity != "" {
		said = append(said, fmt.Sprintf("severity %s instead of %s", o.Severity, a.WasSeverity))
	}
	return strings.Join(said, ", ")
}

// decimal writes a number as people write it in rules: 104857600, not 1.048576e+08.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// Customer is whom the override is for.
func (o Override) Customer() string {
	for _, m := range o.matchers {
		if m.Name == customerLabel {
			return m.Value
		}
	}
	return ""
}
