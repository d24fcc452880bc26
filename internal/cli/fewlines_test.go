package cli

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A fault that lasts writes a few lines a minute, and says how many it left out; neither
// another fault nor what goes well is kept back by it.
func TestAFaultThatLastsWritesFewLines(t *testing.T) {
	var out bytes.Buffer
	h := newFewLines(slog.NewTextHandler(&out, nil))
	one, other := h.WithAttrs([]slog.Attr{slog.String("source", "a")}), h.WithAttrs([]slog.Attr{slog.String("source", "b")})
	begin := time.Unix(1_800_000_000, 0)
	say := func(h slog.Handler, after time.Duration, level slog.Level, text string) {
		t.Helper()
		if err := h.Handle(t.Context(), slog.NewRecord(begin.Add(after), level, text, 0)); err != nil {
			t.Fatal(err)
		}
	}
	lines := func(of string) (n int) {
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, of) {
				n++
			}
		}
		return n
	}
	const minutes, aMinute = 5, 6000
	for i := range minutes * aMinute {
		after := time.Duration(i) * 10 * time.Millisecond
		say(one, after, slog.LevelError, "failed")
		say(other, after, slog.LevelInfo, "fine")
	}
	say(other, 0, slog.LevelWarn, "failed") // its level differs
	if n := lines("level=ERROR msg=failed source=a"); n != minutes*linesAMinute {
		t.Errorf("%d lines of the fault in %d minutes", n, minutes)
	}
	if n := lines(fmt.Sprintf("left_out=%d", aMinute-linesAMinute)); n != minutes-1 {
		t.Errorf("%d lines of %d say how many were left out", n, minutes-1)
	}
	if n := lines("msg=fine"); n != minutes*aMinute {
		t.Errorf("%d lines of what goes well", n)
	}
	if n := lines("level=WARN msg=failed source=b"); n != 1 {
		t.Errorf("%d lines of the other fault", n)
	}
	say(one, -time.Hour, slog.LevelError, "failed")
	if n := lines("level=ERROR msg=failed source=a"); n != minutes*linesAMinute+1 {
		t.Error("after the clock was set back the fault is told no more")
	}
	for i := range 10 * maxLinesKnown {
		say(one, 0, slog.LevelError, fmt.Sprint("text ", i))
	}
	if n := len(h.counts.lines); n > maxLinesKnown {
		t.Errorf("%d texts are counted", n)
	}
}
