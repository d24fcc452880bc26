package app

import (
	"log/slog"
	"time"
)

// lasting logs a fault of what is tried every second: when it begins, once a minute, and
// when it is over.
type lasting struct {
	log         *slog.Logger
	since, told time.Time // zero: there is none
}

// tell notes what became of the try at now.
func (l *lasting) tell(now time.Time, err error) {
	switch {
	case err == nil && !l.since.IsZero():
		l.log.Info("what waited is told and judged", "waited", now.Sub(l.since).Round(time.Second).String())
		l.since = time.Time{}
	case err == nil:
	case l.since.IsZero():
		l.since, l.told = now, now
		l.log.Error("alerts are not told, or samples not judged; tried again every second", "err", err)
	case now.Sub(l.told) >= time.Minute:
		l.told = now
		l.log.Error("alerts are not told, or samples not judged; tried again every second", "for", now.Sub(l.since).Round(time.Second).String(), "err", err)
	}
}
