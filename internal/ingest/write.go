package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
)

// statuses are those of failed requests.
var statuses = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
	http.StatusUnsupportedMediaType, http.StatusInternalServerError, http.StatusServiceUnavailable,
}

// maxNamed is how many refused samples an answer names.
const maxNamed = 10

// Request is one remote-write request, whatever server it came through.
type Request struct {
	ContentType     string
	ContentEncoding string
	Sections        bool   // the samples are made of sections; see sample.Flatten
	Body            []byte // compressed; not kept after Write returns
}

// Response is the answer.
type Response struct {
	Status  int
	Message string            // for people; empty on success
	Headers map[string]string // further headers
}

func failure(status int, format string, args ...any) Response {
	r := Response{Status: status, Message: fmt.Sprintf(format, args...)}
	if status == http.StatusServiceUnavailable {
		r.Headers = map[string]string{"Retry-After": "1"}
	}
	return r
}

// Write decodes a request, hands it to the appender as one batch of the sender
// and returns the answer. See the package comment for what the codes mean.
func (w *Writer) Write(ctx context.Context, from Sender, req Request) Response {
	start := time.Now()
	resp := w.write(ctx, from, req)
	w.metrics.duration.UpdateDuration(start)
	return resp
}

func (w *Writer) write(ctx context.Context, from Sender, req Request) Response {
	v, err := versionOf(req.ContentType)
	if err != nil {
		return failure(http.StatusUnsupportedMediaType, "content type: %v", err)
	}
	if enc := req.ContentEncoding; enc != "" && enc != "snappy" {
		return failure(http.StatusUnsupportedMediaType, "content encoding %q: only snappy is taken", enc)
	}
	w.metrics.requests[v].Inc()
	if len(req.Body) > w.cfg.MaxBodyBytes {
		return tooLarge(w.cfg.MaxBodyBytes)
	}
	if !w.enter(ctx) {
		return failure(http.StatusServiceUnavailable, "busy, send again later")
	}
	defer func() { <-w.slots }()

	d, err := w.decode(v, req.Body)
	switch {
	case errors.Is(err, errTooLarge):
		return failure(http.StatusRequestEntityTooLarge, "%v", err)
	case err != nil:
		return failure(http.StatusBadRequest, "%v", err)
	}
	if req.Sections {
		return w.appendSections(ctx, from, v, d)
	}
	return w.append(ctx, from, v, d)
}

func tooLarge(limit int) Response {
	return failure(http.StatusRequestEntityTooLarge, "body larger than %d bytes", limit)
}

// enter waits for a slot.
func (w *Writer) enter(ctx context.Context) bool {
	select {
	case w.slots <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(time.Duration(w.cfg.MaxWait))
	defer timer.Stop()
	select {
	case w.slots <- struct{}{}:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// append hands the samples over as one batch.
func (w *Writer) append(ctx context.Context, from Sender, v version, d *decoded) Response {
	w.metrics.samples.Add(d.sent)
	var res storage.Result
	if len(d.samples) > 0 {
		var err error
		res, err = w.appender.Append(ctx, sample.Batch{
			Source:    sample.Source{Customer: from.Customer, Name: from.Source},
			Samples:   d.samples,
			Ups:       upsOf(d.samples),
			Watermark: sample.Current,
		})
		if err != nil {
			return w.appendFailure(from, err)
		}
	}
	w.meta.add(from.Customer, d.meta)
	return w.answer(from, v, d, res)
}

func (w *Writer) appendFailure(from Sender, err error) Response {
	w.logger.Error("remote write failed", "customer", from.Customer, "source", from.Source, "err", err)
	if errors.Is(err, storage.ErrDiskFull) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return failure(http.StatusServiceUnavailable, "%v", err)
	}
	return failure(http.StatusInternalServerError, "%v", err)
}

// answer counts a duplicate as written: it is stored.
func (w *Writer) answer(from Sender, v version, d *decoded, res storage.Result) Response {
	written := len(res.Accepted.Samples) + res.Duplicates
	resp := Response{Status: http.StatusNoContent}
	if v == v2 {
		resp.Headers = map[string]string{
			"X-Prometheus-Remote-Write-Samples-Written":    strconv.Itoa(written),
			"X-Prometheus-Remote-Write-Histograms-Written": "0",
			"X-Prometheus-Remote-Write-Exemplars-Written":  "0",
		}
	}
	refused := d.sent - written
	if refused == 0 && res.RefusedEnds == 0 && len(d.refused) == 0 {
		return resp
	}
	w.metrics.refused.Add(refused)
	resp.Status = http.StatusBadRequest
	resp.Message = refusalMessage(d, res, refused)
	w.logger.Warn("samples refused", "customer", from.Customer, "source", from.Source, "refused", refused, "sent", d.sent, "ends", res.RefusedEnds, "first", firstLine(d, res))
	return resp
}

func named(d *decoded, res storage.Result) []string {
	names := slices.Clone(d.refused)
	for _, r := range res.Refused {
		if len(names) == maxNamed {
			break
		}
		if r.Labels.Get("__name__") == sample.UpMetric {
			continue // ours, not the sender's
		}
		names = append(names, d.where(r.Labels)+r.String())
	}
	return names
}

func firstLine(d *decoded, res storage.Result) string {
	if names := named(d, res); len(names) > 0 {
		return names[0]
	}
	return ""
}

func refusalMessage(d *decoded, res storage.Result, refused int) string {
	names := named(d, res)
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d samples", refused, d.sent)
	if res.RefusedEnds > 0 {
		fmt.Fprintf(&b, " and %d end marks", res.RefusedEnds)
	}
	b.WriteString(" refused, the others are stored; do not send them again:")
	for _, n := range names {
		b.WriteString("\n" + n)
	}
	if more := refused + res.RefusedEnds - len(names); more > 0 {
		fmt.Fprintf(&b, "\nand %d more", more)
	}
	return b.String()
}

// upsOf says that the sender was looking in every minute that its samples
// touch: one up-sample at each minute's end, so that a check on the minute grid
// finds it in its slot and a minute sent in parts repeats it, which is free.
func upsOf(samples []sample.Sample) []sample.Up {
	const minute = int64(time.Minute / time.Millisecond)
	seen := make(map[int64]struct{})
	var ups []sample.Up
	last := int64(-1)
	for _, x := range samples {
		if x.T <= 0 || x.T > maxTime {
			continue // the store refuses such a sample; its minute is no minute
		}
		end := (x.T + minute - 1) / minute * minute
		if end == last {
			continue
		}
		last = end
		if _, ok := seen[end]; ok {
			continue
		}
		seen[end] = struct{}{}
		ups = append(ups, sample.Up{T: end, OK: true})
	}
	return ups
}

// maxTime is the end of year 9999, in Unix ms.
const maxTime = 253402300799999
