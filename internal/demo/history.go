package demo

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/calendar"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
)

// The gateway's outages in the imported month, by day and minute of the day in
// the contract's zone; one stretch nobody measured.
var (
	outages = []struct{ day, minute, length int }{{6, 3 * 60, 31}, {19, 14*60 + 12, 22}}
	gap     = struct{ day, minute, length int }{11, 8 * 60, 25}
)

// importHistory writes the month before start as blocks: one sample a minute
// of the gateway's port, good but for two outages and a gap.
func importHistory(ctx context.Context, dir, site string, start time.Time) (cycle string, n int, err error) {
	zone, err := calendar.LoadZone("Asia/Shanghai")
	if err != nil {
		return "", 0, err
	}
	local := start.In(zone)
	from := time.Date(local.Year(), local.Month()-1, 1, 0, 0, 0, 0, zone)
	to := time.Date(local.Year(), local.Month(), 1, 0, 0, 0, 0, zone)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", 0, err
	}
	cfg := storage.DefaultConfig()
	cfg.Dir = dir
	store, err := storage.Open(cfg, slog.New(slog.DiscardHandler), metrics.NewSet(), time.Now)
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	im, err := store.NewImporter()
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, im.Close()) }()
	b := sample.Batch{Source: sample.Source{Customer: customer, Name: "probe/local/10s"}}
	series := labels.FromStrings("__name__", "probe_tcp_code", "customer", customer, "instance", "gateway", "product", "port", "target", site, "vantage", "local")
	for t := from.Add(30 * time.Second); t.Before(to); t = t.Add(time.Minute) {
		if within(t.In(zone), gap.day, gap.minute, gap.length) {
			continue
		}
		code := 0.0
		for _, o := range outages {
			if within(t.In(zone), o.day, o.minute, o.length) {
				code = 3
			}
		}
		b.Samples = append(b.Samples, sample.Sample{Labels: series, T: t.UnixMilli(), V: code})
		b.Ups = append(b.Ups, sample.Up{T: t.UnixMilli(), OK: true})
	}
	if err := im.Append(b); err != nil {
		return "", 0, err
	}
	stats, err := im.Commit(ctx)
	return from.Format("2006-01"), stats.Samples, err
}

// within tells whether t lies in the length minutes after minute of day.
func within(t time.Time, day, minute, length int) bool {
	m := t.Hour()*60 + t.Minute() - minute
	return t.Day() == day && m >= 0 && m < length
}
