package rulebench

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/alarm"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
)

// A backlog is what sources bring that come back after hours: all the samples of that time,
// oldest first, while others deliver as ever.

const (
	// backlogHours is how long they were away.
	backlogHours = 20
	// backlogShare of the watched series are theirs: one in so many.
	backlogShare = 20
	// backlogEvery is the time between two of their samples.
	backlogEvery = 15 * time.Second
)

// makeBacklog makes the batches of the sources that were away.
func (w *firingWorld) makeBacklog() {
	if w.cfg.Backfill == 0 {
		return
	}
	w.backlog = make([]firingBatch, max(1, w.cfg.Series/backlogShare/perSource))
	for i := range w.backlog {
		b := &w.backlog[i]
		customer := fmt.Sprintf("customer-%02d", i%customers)
		b.Batch = sample.Batch{Source: sample.Source{Customer: customer, Name: fmt.Sprintf("away/%05d", i)}, Ups: make([]sample.Up, 1)}
		for n := range perSource {
			b.Samples = append(b.Samples, sample.Sample{Labels: labels.FromStrings(model.MetricNameLabel, w.names[n%len(w.names)],
				"customer", customer, "instance", fmt.Sprintf("away-%08d", i*perSource+n), "product", "ecs", "region", "cn-hangzhou"), V: goodValue})
		}
	}
}

// stampOld makes the batch that of a moment hours ago.
func (b *firingBatch) stampOld(at time.Time, late bool) {
	t := at.UnixMilli()
	b.Watermark = t
	if late {
		b.Watermark = sample.Current // so that nobody has waited for it
	}
	b.Ups[0] = sample.Up{T: t, OK: true}
	for i := range b.Samples {
		b.Samples[i].T = t
	}
}

// bringBacklog delivers the backlog at its rate, around every other check.
func (w *firingWorld) bringBacklog(ctx context.Context) error {
	if len(w.backlog) == 0 {
		return nil
	}
	a, err := alarm.New()
	if err != nil {
		return err
	}
	defer a.Close()
	at := w.began.Add(-backlogHours * time.Hour)
	for n := 0; ; n++ {
		if n%len(w.backlog) == 0 {
			at = at.Add(backlogEvery)
		}
		if !w.beside(time.Now()) {
			phase := time.Duration(time.Now().UnixNano()) % w.cfg.Interval
			if !a.Wait(ctx, (w.cfg.Interval/2-phase+w.cfg.Interval)%w.cfg.Interval) {
				return nil
			}
		}
		due := time.Now().Add(time.Duration(perSource / w.cfg.Backfill * 1e9))
		b := &w.backlog[n%len(w.backlog)]
		b.stampOld(at, w.cfg.BackfillLate)
		began := time.Now()
		if err := w.take(context.WithoutCancel(ctx), b.Batch); err != nil {
			return err
		}
		w.result.Old = append(w.result.Old, time.Since(began))
		if !a.Wait(ctx, time.Until(due)) {
			return nil
		}
	}
}

// beside says whether the backlog is brought at a moment: half an interval before every
// other check to half an interval after it.
func (w *firingWorld) beside(at time.Time) bool {
	return w.cfg.Backfill > 0 && (at.UnixNano()+int64(w.cfg.Interval)/2)/int64(w.cfg.Interval)%2 == 0
}

// take has the store and the engine take a batch as the server does.
func (w *firingWorld) take(ctx context.Context, b sample.Batch) error {
	var res storage.Result
	if w.engine.MayBeLate(b, time.Now()) {
		err := w.engine.IngestOld(ctx, b.Source, time.Now(), func(foresee ruleset.Foresee) (sample.Batch, error) {
			var err error
			res, err = w.store.AppendOld(ctx, b, foresee)
			return res.Accepted, err
		})
		return refusedOr(res, err)
	}
	res, err := w.store.Append(ctx, b)
	if err := refusedOr(res, err); err != nil {
		return err
	}
	return w.engine.Ingest(ctx, res.Accepted, time.Now())
}

func refusedOr(res storage.Result, err error) error {
	if err == nil && res.RefusedTotal > 0 {
		return fmt.Errorf("the store refused %s: %s", res.Refused[0].Labels, res.Refused[0].Reason)
	}
	return err
}
