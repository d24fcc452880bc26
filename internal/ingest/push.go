package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/promtext"
	"watchkeeper/internal/sample"
)

// PushPath is where the ingest listener takes samples as text: cron jobs, scripts,
// whoever has no remote write.
const PushPath = "/push"

// maxPushSamples bounds one push: it is read line by line.
const maxPushSamples = 50_000

// pushed is the version by which pushes are counted beside remote write's.
const pushed version = "push"

// PushRequest is one push.
type PushRequest struct {
	ContentType     string
	ContentEncoding string
	// Labels are the request's parameters: labels of every sample that does not
	// have one of the name itself.
	Labels url.Values
	Body   []byte
}

// Push stores samples in Prometheus's text format or in JSON:
//
//	[{"metric": "backup_size_bytes", "labels": {"db": "orders"}, "value": 1048576, "timestamp": 1790000000000}]
//
// A sample without a time, in Unix ms, is of now. The answer is that of Write, and names
// refused samples by their lines, or in JSON by their numbers.
func (w *Writer) Push(ctx context.Context, from Sender, req PushRequest, now time.Time) Response {
	start := time.Now()
	defer func() { w.metrics.duration.UpdateDuration(start) }()
	w.metrics.requests[pushed].Inc()
	if enc := req.ContentEncoding; enc != "" && enc != "identity" {
		return failure(http.StatusUnsupportedMediaType, "content encoding %q: only plain text is taken", enc)
	}
	if len(req.Body) > w.cfg.MaxBodyBytes {
		return tooLarge(w.cfg.MaxBodyBytes)
	}
	common, err := pushLabels(req.Labels)
	if err != nil {
		return failure(http.StatusBadRequest, "%v", err)
	}
	decode, err := pushDecoder(req.ContentType)
	if err != nil {
		return failure(http.StatusUnsupportedMediaType, "%v", err)
	}
	if !w.enter(ctx) {
		return failure(http.StatusServiceUnavailable, "busy, send again later")
	}
	defer func() { <-w.slots }()
	p := &push{common: common, now: now.UnixMilli(), decoded: decoded{lines: make(map[uint64]string)}}
	switch err := decode(p, req.Body); {
	case errors.Is(err, promtext.ErrTooMany):
		return failure(http.StatusRequestEntityTooLarge, "%v", err)
	case err != nil:
		return failure(http.StatusBadRequest, "%v", err)
	}
	return w.append(ctx, from, pushed, &p.decoded)
}

// pushLabels checks the parameters of a push.
func pushLabels(in url.Values) ([]labels.Label, error) {
	var out []labels.Label
	for name, values := range in {
		if !model.UTF8Validation.IsValidLabelName(name) || name == model.MetricNameLabel || len(values) != 1 {
			return nil, fmt.Errorf("parameter %.60q: want each label's name once", name)
		}
		out = append(out, labels.Label{Name: name, Value: values[0]})
	}
	return out, nil
}

// pushDecoder chooses by content type. Text is what curl calls a form.
func pushDecoder(contentType string) (func(*push, []byte) error, error) {
	if contentType == "" {
		return (*push).text, nil
	}
	t, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return nil, fmt.Errorf("content type: %w", err)
	case t == "application/json":
		return (*push).json, nil
	case slices.Contains([]string{"text/plain", "application/x-www-form-urlencoded", "application/octet-stream"}, t):
		return (*push).text, nil
	}
	return nil, fmt.Errorf("content type %.60q: want text/plain or application/json", t)
}

// push is a push that is being decoded.
type push struct {
	decoded
	common []labels.Label
	now    int64
}

func (p *push) text(body []byte) error {
	if !bytes.HasSuffix(body, []byte("\n")) {
		body = append(slices.Clone(body), '\n') // echo -n; the request's length tells that it is whole
	}
	samples, bad, err := promtext.Parse(body, maxPushSamples)
	if err != nil {
		return err
	}
	for _, b := range bad {
		p.refuse(1, "%v", b)
	}
	for _, s := range samples {
		t := p.now
		if s.HasT {
			t = s.T
		}
		p.add(fmt.Sprintf("line %d", s.Line), s.Labels, t, s.V)
	}
	return nil
}

// pushSample is a sample in JSON.
type pushSample struct {
	Metric    string            `json:"metric"`
	Labels    map[string]string `json:"labels"`
	Value     *float64          `json:"value"`
	Timestamp *int64            `json:"timestamp"` // Unix ms
}

func (p *push) json(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.New("json: want a list of samples")
	}
	for n := 1; d.More(); n++ {
		if n > maxPushSamples {
			return fmt.Errorf("%w: at most %d are taken", promtext.ErrTooMany, maxPushSamples)
		}
		var x pushSample
		if err := d.Decode(&x); err != nil {
			return fmt.Errorf("json: sample %d: %w; nothing is stored", n, err)
		}
		p.addJSON(fmt.Sprintf("sample %d", n), x)
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("json: the list does not end: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("json: more follows the list")
	}
	return nil
}

func (p *push) addJSON(where string, x pushSample) {
	if x.Metric == "" || x.Value == nil {
		p.refuse(1, "%s: metric and value are required", where)
		return
	}
	if _, ok := x.Labels[model.MetricNameLabel]; ok {
		p.refuse(1, "%s: the name stands in metric, not in labels", where)
		return
	}
	b := labels.NewBuilder(labels.FromMap(x.Labels)).Set(model.MetricNameLabel, x.Metric)
	t := p.now
	if x.Timestamp != nil {
		t = *x.Timestamp
	}
	p.add(where, b.Labels(), t, *x.Value)
}

// add adds one sample and notes where it stands.
func (p *push) add(where string, l labels.Labels, t int64, v float64) {
	b := labels.NewBuilder(l)
	for _, c := range p.common {
		if l.Get(c.Name) == "" {
			b.Set(c.Name, c.Value)
		}
	}
	l = b.Labels()
	p.samples = append(p.samples, sample.Sample{Labels: l, T: t, V: v})
	p.lines[l.Hash()] = where
	p.sent++
}
