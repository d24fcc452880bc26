package ruleset

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"text/template"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promtemplate "github.com/prometheus/prometheus/template"
)

// Texts of alerts are Prometheus's templates. Its library parses a text each time
// it expands it, 0.1 ms and more; here a text is parsed once, with the library's
// functions behind their names. What cannot be done like that, and every error, is
// the library's.

// textDefs are the variables that Prometheus gives alert templates.
const textDefs = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"

// defsFor are those of them that a text names.
func defsFor(text string) string {
	var defs string
	for _, d := range []struct{ name, def string }{
		{"$labels", "{{$labels := .Labels}}"}, {"$externalLabels", "{{$externalLabels := .ExternalLabels}}"},
		{"$externalURL", "{{$externalURL := .ExternalURL}}"}, {"$value", "{{$value := .Value}}"},
	} {
		if strings.Contains(text, d.name) {
			defs += d.def
		}
	}
	return defs
}

// textFunctions are those of the library that make a text of one value, whoever
// asks and when.
var textFunctions = func() template.FuncMap {
	fm := template.FuncMap{}
	for _, name := range []string{"humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "title", "toUpper", "toLower", "stripPort", "stripDomain"} {
		fm[name] = func(v any) (string, error) {
			return promtemplate.NewTemplateExpander(context.Background(), "{{"+name+" .}}", name, v, 0, nil, &url.URL{}, nil).Expand()
		}
	}
	return fm
}()

// texts are templates as they were parsed, by what was written.
type texts map[string]parsed

// parsed is a template as far as it can be parsed: a text put together from parts, a
// template, or neither where only the library can expand it.
type parsed struct {
	parts text
	plain bool // parts are all of it
	tmpl  *template.Template
}

func parseText(s, alert string) parsed {
	t, err := template.New(alert).Option("missingkey=zero").Funcs(textFunctions).Parse(defsFor(s) + s)
	if err != nil || t.Tree == nil {
		return parsed{}
	}
	p := parsed{tmpl: t}
	p.parts, p.plain = textOf(t.Root, "")
	return p
}

// expand expands a text. The first time it is parsed.
func (ts texts) expand(ctx context.Context, s, alert string, id labels.Labels, value float64, now int64) string {
	p, known := ts[s]
	if !known {
		p = parseText(s, alert)
		ts[s] = p
	}
	if p.plain {
		return p.parts.expand(id, value)
	}
	data := promtemplate.AlertTemplateData(id.Map(), nil, "", promql.Sample{F: value})
	var b strings.Builder
	if p.tmpl != nil && execute(p.tmpl, &b, data) == nil {
		return b.String()
	}
	noQuery := func(context.Context, string, time.Time) (promql.Vector, error) { return nil, nil }
	out, err := promtemplate.NewTemplateExpander(ctx, textDefs+s, "__alert_"+alert, data, model.Time(now), noQuery, &url.URL{}, nil).Expand()
	if err != nil {
		return "<error expanding template: " + err.Error() + ">"
	}
	return out
}

func execute(t *template.Template, b *strings.Builder, data any) (err error) {
	defer func() {
		if recover() != nil { // the library says what is wrong
			err = errors.New("template panics")
		}
	}()
	return t.Execute(b, data)
}

// wording puts the texts of alerts together. Who uses it holds a lock.
type wording struct {
	builder *labels.Builder
	texts   texts
}

func newWording() wording { return wording{labels.NewBuilder(labels.EmptyLabels()), texts{}} }

// labelsOf returns the alert's labels, templates expanded.
func (w *wording) labelsOf(ctx context.Context, r *Rule, id labels.Labels, value float64, now int64) labels.Labels {
	w.builder.Reset(id)
	w.expand(ctx, r, r.Labels, id, value, now)
	w.builder.Set(labels.AlertName, r.Alert)
	return w.builder.Labels()
}

// annotationsOf returns the alert's annotations, templates expanded.
func (w *wording) annotationsOf(ctx context.Context, r *Rule, id labels.Labels, value float64, now int64) labels.Labels {
	w.builder.Reset(labels.EmptyLabels())
	w.expand(ctx, r, r.Annotations, id, value, now)
	return w.builder.Labels()
}

func (w *wording) expand(ctx context.Context, r *Rule, from, id labels.Labels, value float64, now int64) {
	if from.IsEmpty() {
		return
	}
	from.Range(func(l labels.Label) {
		if !strings.Contains(l.Value, "{{") {
			w.builder.Set(l.Name, l.Value)
			return
		}
		w.builder.Set(l.Name, w.texts.expand(ctx, l.Value, r.Alert, id, value, now))
	})
}

// unworded is what an entry is told with once it is handed over: half of its time is
// texts, and nobody needs to wait for them but the sink.
type unworded struct {
	told bool  // it has annotations
	now  int64 // engine time when it came about
	line int   // of the live log
}

// complete gives an entry its labels, annotations and ID.
func (w *wording) complete(ctx context.Context, en *Entry) {
	u := en.unworded
	en.unworded = unworded{}
	en.Labels = w.labelsOf(ctx, en.Rule, en.Identity, en.Value, u.now)
	if u.told {
		en.Annotations = w.annotationsOf(ctx, en.Rule, en.Identity, en.Value, u.now)
	}
	en.ID = entryID(*en, u.line)
}
