package app

import (
	"context"
	"log/slog"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/internal/config"
	"watchkeeper/internal/remotewrite"
	"watchkeeper/internal/sample"
)

// queueFolder is the folder, in the data folder, of what waits to be sent on.
const queueFolder = "remote-write"

// receivers lists to whom samples are sent on, and tries the files that they name.
func receivers(cfg *config.Config) (map[remotewrite.Key]remotewrite.Config, error) {
	out := map[remotewrite.Key]remotewrite.Config{}
	for _, cu := range cfg.Customers {
		for _, rw := range cu.RemoteWrite {
			out[remotewrite.Key{Customer: cu.Name, Name: rw.Name}] = rw
		}
	}
	return out, remotewrite.Check(out)
}

// sendOnSink gives batches to the senders before the next sink: what watchkeeper
// exporter has instead of a pipeline.
type sendOnSink struct {
	senders *remotewrite.Manager
	next    exporters.Sink
	log     *slog.Logger
}

// Append implements exporters.Sink.
func (s sendOnSink) Append(ctx context.Context, b sample.Batch) error {
	if err := s.senders.Append(b); err != nil {
		s.log.Error("a batch will not be sent on", "source", b.Source.Name, "customer", b.Source.Customer, "err", err)
	}
	return s.next.Append(ctx, b)
}

// endedElsewhere lists the sources that are sent on and have series which a new
// configuration no longer asks for. The alerts on those are not here, but where
// they are sent.
func (a *App) endedElsewhere(before, after removal) []sample.Source {
	to := map[string]bool{}
	for _, key := range a.sendOn.Receivers() {
		to[key.Customer] = true
	}
	var out []sample.Source
	for _, s := range a.pipeline.Sources() {
		src := sample.Source{Customer: s.Customer, Name: s.Source}
		if to[s.Customer] && slices.ContainsFunc(a.store.SeriesOf(src), func(l labels.Labels) bool { return after.gone(src, l) && !before.gone(src, l) }) {
			out = append(out, src)
		}
	}
	return out
}
