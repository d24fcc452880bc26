package ruleset

import (
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
)

// A text comes out as Prometheus's library has it, errors included.
func TestTextsAreThoseOfPrometheus(t *testing.T) {
	ts := texts{}
	for _, text := range []string{
		"plain", "", "{{ $labels.instance }} at {{ $value }}", `{{ printf "%.1f" $value }} %`, "{{ with $labels.node }} of {{ . }}{{ end }}.",
		"{{ if lt $value 0.0 }}below{{ else }}above{{ end }}", "{{ humanize $value }}", "{{ $value | humanizeDuration }}", "{{ humanize1024 $value }}B",
		"{{ humanizePercentage $value }}", "{{ humanizeTimestamp $value }}", "{{ $labels.instance | stripPort | toUpper | title }}", "{{ .Labels.instance | stripDomain }}",
		"{{ $labels.instance | reReplaceAll `(.*):.*` `$1` }}", "{{ $externalURL }}{{ $externalLabels }}", "{{ humanize $labels.instance }}",
		"{{ query `up` | first | value }}", "{{ nope $value }}", "{{ $value", "{{ index $labels 3 }}", "{{ $labels.none }}|{{ .Nothing }}",
		"{{ $labels.none }}", "[{{ $externalLabels.none }}]", `{{ printf "%s" $labels.none }}`, `{{ if eq $labels.none "" }}none{{ else }}some{{ end }}`,
		"{{ $labels.none | toUpper }}",
		`{{ define "x" }}{{ . }}{{ end }}{{ template "x" $value }}`, "{{ range $k, $v := $labels }}{{ $k }}={{ $v }} {{ end }}", "{{ title 3 }}", "{{ len (call $labels) }}",
		"{{ with $labels.none }}a{{ else with $labels.node }}{{ . }}{{ else }}b{{ end }}", "{{ with $labels.none }}a{{ else }}{{ . }}{{ end }}",
		"{{ with $labels.node }}{{ with . }}{{ . }}{{ end }}{{ end }}", "{{ with $labels.node }}{{ with $labels.none }}{{ else }}{{ . }}{{ end }}{{ end }}",
		"{{ with $labels.node }}{{ $value := .Value }}{{ end }}", "{{ with $labels.node }}{{ $labels := $value }}{{ end }}{{ $labels.node }}",
		"{{ $labels := $value }}{{ $labels }}", "{{ $value = 3.0 }}{{ $value }}", "{{ with $x := $labels.node }}{{ $x }}{{ end }}", "{{- $value -}} x", "{{/* c */}}{{ . }}",
		`{{ printf "%d" $value }}{{ printf "%s %v" $value }}{{ printf "%%" $value }}`, `{{ printf "%q" $labels.node }}`, `{{ printf "%5.1f|" 3.0 }}`, "{{ $labels.node.x }}",
		`{{ printf $labels.node $value }}`, "{{ $labels }}", "{{ with $value }}{{ . }}{{ end }}", "{{ with $labels.node }}{{ break }}{{ end }}", "{{ $value.x }}",
		"{{ externalURL }}", "{{ parseDuration `1h` }}", "{{ toTime $value }}", "{{ match `a.*` $labels.instance }}", "{{ safeHtml $labels.instance }}",
	} {
		for _, v := range []float64{0, -1, 12.345, 1234567, math.NaN(), math.Inf(1)} {
			id := map[string]string{"instance": "web.example.com:80", "node": "n1"}
			data := template.AlertTemplateData(id, nil, "", promql.Sample{F: v})
			lib := template.NewTemplateExpander(t.Context(), textDefs+text, "__alert_A", data, model.Time(1000), nil, &url.URL{}, nil)
			want, err := lib.Expand()
			if err != nil {
				want = "<error expanding template: " + err.Error() + ">"
			}
			for range 2 { // parsed, and as kept
				if strings.Contains(text, "query") {
					break // it asks for nothing here, and the library's own would fail
				}
				if got := ts.expand(t.Context(), text, "A", labels.FromMap(id), v, 1000); got != want {
					t.Errorf("%s of %v: %q, want %q", text, v, got, want)
				}
			}
		}
	}
}
