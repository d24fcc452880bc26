package ingest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"time"
	"unicode/utf8"

	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
)

const (
	// maxSources bounds the sources that one sender may speak for within forgetAfter,
	// since each costs two series that no other limit counts.
	maxSources  = 20_000
	forgetAfter = 24 * time.Hour
	// maxSections bounds those of a request. One of a megabyte has fewer.
	maxSections = 20_000
	// maxSourceName bounds a source's name, in bytes.
	maxSourceName = 512
)

// appendSections hands each section of a request over as a batch of the source
// SENDER/SOURCE. The sender tells what it knows of them: who looked, and up to
// which time all is delivered.
func (w *Writer) appendSections(ctx context.Context, from Sender, v version, d *decoded) Response {
	w.metrics.samples.Add(d.sent)
	res := storage.Result{}
	facts := len(d.samples)
	sections := sample.Sections(d.samples)
	if len(sections) > maxSections {
		return failure(http.StatusBadRequest, "more than %d sections", maxSections)
	}
	for _, b := range sections {
		facts -= len(b.Samples)
		if b.Source.Name == "" { // samples before any section are the sender's own
			b = sample.Batch{Samples: b.Samples, Ups: upsOf(b.Samples), Watermark: sample.Current}
		} else if err := w.known(from, b.Source.Name, time.Now()); err != nil {
			d.refuse(0, "%v", err)
			continue
		}
		b.Source = sourceOf(from, b.Source.Name)
		if w.Admit != nil {
			if err := w.Admit(b.Source); err != nil {
				d.refuse(0, "%v; its section is refused", err)
				continue
			}
		}
		one, err := w.appender.Append(ctx, b)
		if err != nil {
			return w.appendFailure(from, err)
		}
		res.Accepted.Samples = append(res.Accepted.Samples, one.Accepted.Samples...)
		res.Duplicates += one.Duplicates
		res.Refused = append(res.Refused, one.Refused...)
		res.RefusedTotal += one.RefusedTotal
		res.RefusedEnds += one.RefusedEnds
	}
	w.meta.add(from.Customer, d.meta)
	d.sent -= facts // they are no samples
	return w.answer(from, v, d, res)
}

func sourceOf(from Sender, name string) sample.Source {
	src := sample.Source{Customer: from.Customer, Name: from.Source}
	if name != "" {
		src.Name += "/" + name
	}
	return src
}

// spokenFor are the sources that a sender speaks for: when each was last heard of.
type spokenFor struct {
	seen  map[string]time.Time
	swept time.Time // when those that are gone were looked for
}

// known bounds the sources of a sender.
func (w *Writer) known(from Sender, name string, now time.Time) error {
	if len(name) > maxSourceName || !utf8.ValidString(name) {
		return fmt.Errorf("source %.60q: the name is longer than %d bytes or not UTF-8; its section is refused", name, maxSourceName)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	of := w.sources[from]
	if of == nil {
		of = &spokenFor{seen: map[string]time.Time{}}
		w.sources[from] = of
	}
	if _, there := of.seen[name]; !there && len(of.seen) >= maxSources {
		if now.Sub(of.swept) > time.Minute {
			of.swept = now
			maps.DeleteFunc(of.seen, func(_ string, t time.Time) bool { return now.Sub(t) > forgetAfter })
		}
		if len(of.seen) >= maxSources {
			return fmt.Errorf("source %q: the sender has more than %d sources; its section is refused", name, maxSources)
		}
	}
	of.seen[name] = now
	return nil
}
