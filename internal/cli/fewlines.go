package cli

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// linesAMinute is how many lines of the same warning or error are written in a minute.
	linesAMinute = 60
	// maxLinesKnown bounds the texts that are counted. They are constants of the program and
	// of its libraries; beyond it counting begins anew.
	maxLinesKnown = 1000
)

// fewLines writes of each warning and error a few lines a minute: while something fails for
// hours, each of a hundred requests a second has it to tell. The next line says how many
// were left out.
type fewLines struct {
	slog.Handler
	counts *lineCounts
}

type lineCounts struct {
	mu    sync.Mutex
	lines map[lineKey]*lineCount
}

type lineKey struct {
	level slog.Level
	text  string
}

type lineCount struct {
	since            time.Time // beginning of the minute
	written, leftOut int
}

func newFewLines(h slog.Handler) fewLines {
	return fewLines{h, &lineCounts{lines: map[lineKey]*lineCount{}}}
}

// Handle implements slog.Handler.
func (h fewLines) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		leftOut, write := h.counts.count(lineKey{r.Level, r.Message}, r.Time)
		if !write {
			return nil
		}
		if leftOut > 0 {
			r.AddAttrs(slog.Int("left_out", leftOut))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h fewLines) WithAttrs(attrs []slog.Attr) slog.Handler {
	return fewLines{h.Handler.WithAttrs(attrs), h.counts}
}

// WithGroup implements slog.Handler.
func (h fewLines) WithGroup(name string) slog.Handler {
	return fewLines{h.Handler.WithGroup(name), h.counts}
}

// count says whether a line is written, and how many before it were not.
func (c *lineCounts) count(key lineKey, at time.Time) (leftOut int, write bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.lines[key]
	if n == nil {
		if len(c.lines) >= maxLinesKnown {
			clear(c.lines)
		}
		n = &lineCount{since: at}
		c.lines[key] = n
	}
	if since := at.Sub(n.since); since >= time.Minute || since < 0 { // the clock may be stepped
		n.since, n.written = at, 0
	}
	if n.written == linesAMinute {
		n.leftOut++
		return 0, false
	}
	n.written++
	leftOut, n.leftOut = n.leftOut, 0
	return leftOut, true
}
