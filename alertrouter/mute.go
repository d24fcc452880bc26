package alertrouter

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/common/model"
)

// silenceMaintenance is how often expired silences are dropped and the rest
// written to disk. A change is written at once, whatever this is.
const silenceMaintenance = 15 * time.Minute

// silencedBy returns the ids of the active silences of an alert.
func (r *Router) silencedBy(ctx context.Context, lset model.LabelSet) []string {
	sils, _, err := r.silences.Query(ctx, silence.QState(silence.SilenceStateActive), silence.QMatches(lset))
	if err != nil {
		// Better one message too many than one too few.
		r.log.Error("silences not asked", "err", err)
		return nil
	}
	var ids []string
	for _, s := range sils {
		ids = append(ids, s.Id)
	}
	return ids
}

// Muting is one look at what mutes alerts now: silences, and Alertmanager's
// inhibitor over the incidents that are open. It lives for that look only, so
// that it never lags behind the incidents. Stop it after use.
type Muting struct {
	router    *Router
	inhibitor *inhibit.Inhibitor // nil without inhibit rules
	done      chan struct{}
}

// Muting takes a look.
func (r *Router) Muting(ctx context.Context) (*Muting, error) {
	world := r.routes.Load()
	m := &Muting{router: r}
	if len(world.config.InhibitRules) == 0 {
		return m, nil
	}
	open, err := r.store.OpenIncidents(ctx)
	if err != nil {
		return nil, fmt.Errorf("inhibition: %w", err)
	}
	m.inhibitor = inhibit.NewInhibitor(newAlertSet(open, world, time.Now()), world.config.InhibitRules,
		slog.New(slog.DiscardHandler), eventrecorder.Recorder{})
	m.done = make(chan struct{})
	go func() {
		defer close(m.done)
		m.inhibitor.Run()
	}()
	m.inhibitor.WaitForLoading()
	return m, nil
}

// Stop ends the look.
func (m *Muting) Stop() {
	if m.inhibitor != nil {
		m.inhibitor.Stop()
		<-m.done
	}
}

// InhibitedBy returns the fingerprints of the alerts that inhibit an alert.
func (m *Muting) InhibitedBy(ctx context.Context, lset model.LabelSet) []string {
	if m.inhibitor == nil {
		return nil
	}
	mark := marker.NewAlertMarker()
	if !m.inhibitor.Mutes(marker.WithContext(ctx, mark), lset) {
		return nil
	}
	return mark.Status(lset.Fingerprint()).InhibitedBy
}

// SilencedBy returns the ids of the silences that mute an alert.
func (m *Muting) SilencedBy(ctx context.Context, lset model.LabelSet) []string {
	return m.router.silencedBy(ctx, lset)
}

// words says by what an alert is muted, the calendar apart.
func (m *Muting) words(ctx context.Context) muter {
	return func(lset model.LabelSet) string {
		if by := m.InhibitedBy(ctx, lset); len(by) > 0 {
			return "inhibiting alert " + strings.Join(by, ", ")
		}
		if by := m.SilencedBy(ctx, lset); len(by) > 0 {
			return "silence " + strings.Join(by, ", ")
		}
		return ""
	}
}

// MutedByTime returns the time intervals that mute a route at now.
func (r *Router) MutedByTime(routeID string, now time.Time) []string {
	names, err := r.routes.Load().mutedByTime(routeID, now)
	if err != nil {
		r.log.Error("time intervals not asked", "err", err)
	}
	return names
}

// SilencesChanged makes a change of the silences durable and has the outbox
// looked at anew.
func (r *Router) SilencesChanged() error {
	r.snapshotMtx.Lock()
	defer r.snapshotMtx.Unlock()
	if err := writeSnapshot(filepath.Join(r.cfg.DataDir, silencesFile), r.silences); err != nil {
		return fmt.Errorf("alertrouter: silences: %w", err)
	}
	r.kick()
	return nil
}

// writeSnapshot replaces the silences file, atomically and durably.
func writeSnapshot(path string, s *silence.Silences) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails, as it should, once the file has its name
	if _, err := s.Snapshot(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// maintainSilences drops expired silences and writes the rest, every so often
// and when ctx ends.
func (r *Router) maintainSilences(ctx context.Context) {
	r.silences.Maintenance(silenceMaintenance, filepath.Join(r.cfg.DataDir, silencesFile), ctx.Done(), func() (int64, error) {
		if _, err := r.silences.GC(); err != nil {
			return 0, err
		}
		return 0, r.SilencesChanged()
	})
}
