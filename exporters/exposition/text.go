package exposition

import (
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

var (
	valueEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
	helpEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
)

// ContentType is that of the page: the text format that every scraper reads.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// customerLabel is the tenant; a series without it gets its source's.
const customerLabel = "customer"

// render returns a series' metric name and its text up to the value. Names that
// this format cannot bear are escaped as Prometheus does it.
func render(l labels.Labels, customer string) (name, line string) {
	name = legacy(l.Get(model.MetricNameLabel))
	var b strings.Builder
	b.Grow(len(name) + 64)
	b.WriteString(name)
	sep := byte('{')
	add := func(name, v string) {
		if v == "" {
			return
		}
		b.WriteByte(sep)
		sep = ','
		b.WriteString(name)
		b.WriteString(`="`)
		if strings.ContainsAny(v, "\\\n\"") {
			v = valueEscaper.Replace(v)
		}
		b.WriteString(v)
		b.WriteByte('"')
	}
	if !l.Has(customerLabel) {
		add(customerLabel, customer)
	}
	l.Range(func(lb labels.Label) {
		if lb.Name != model.MetricNameLabel {
			add(legacy(lb.Name), lb.Value)
		}
	})
	if sep == ',' {
		b.WriteByte('}')
	}
	b.WriteByte(' ')
	return name, b.String()
}

func legacy(name string) string {
	if model.LegacyValidation.IsValidMetricName(name) {
		return name
	}
	return model.EscapeName(name, model.UnderscoreEscaping)
}

func head(name string, m Metadata) string {
	var b strings.Builder
	if m.Help != "" {
		b.WriteString("# HELP " + name + " " + helpEscaper.Replace(m.Help) + "\n")
	}
	if m.Type != "" {
		b.WriteString("# TYPE " + name + " " + m.Type + "\n")
	}
	return b.String()
}
