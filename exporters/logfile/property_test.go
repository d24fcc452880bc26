package logfile_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"watchkeeper/exporters/logfile"
	"watchkeeper/internal/property"
)

// TestEveryLineOnce writes, rotates, restarts and crashes at random. Each line
// has a number of its own, which a group makes a label: at the end every line's
// counter is 1.
func TestEveryLineOnce(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "run")
		if err != nil {
			rt.Fatal(err)
		}
		w := &world{rt: rt, rig: newRig(t, dir, func(l *logfile.Log) {
			l.Patterns = []logfile.Pattern{{Name: "line", Match: `^line (?P<n>\d+)( |$)`, MaxSeries: 10_000}}
			l.MaxLineBytes, l.MaxBytesPerCheck = 128, int64(rapid.IntRange(512, 4096).Draw(rt, "budget"))
		})}
		w.check()
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			w.step()
		}
		w.end()
	})
}

// world is a log and its writer, with what it has written.
type world struct {
	*rig
	rt      *rapid.T
	lines   int
	partial bool // the last line has no end yet
	oldest  int  // app.log.<oldest> is the highest number there is
}

func (w *world) step() {
	step := rapid.SampledFrom([]string{"write", "write", "write", "check", "check", "rename", "copytruncate", "half copytruncate",
		"restart", "crash", "drop"}).Draw(w.rt, "step")
	switch step {
	case "write":
		w.writeLines()
	case "check":
		w.check()
	case "restart":
		w.restart()
	case "crash":
		w.crash()
	case "rename":
		w.shift()
		w.rename("app.log", "app.log.1")
		w.write("app.log", "")
	case "copytruncate", "half copytruncate":
		w.finish() // a torn line is lost
		w.shift()
		w.copy("app.log", "app.log.1")
		if step != "copytruncate" {
			w.check()
			if w.oldest == 1 || rapid.Bool().Draw(w.rt, "restart") {
				w.restart()
			}
		}
		w.truncate("app.log")
	case "drop":
		w.drop()
	}
}

func (w *world) writeLines() {
	for range rapid.IntRange(1, 20).Draw(w.rt, "lines") {
		w.finish()
		w.lines++
		text := fmt.Sprintf("line %d ", w.lines)
		if rapid.IntRange(0, 9).Draw(w.rt, "long") == 0 {
			text += strings.Repeat("x", rapid.IntRange(100, 1500).Draw(w.rt, "bytes"))
		}
		if rapid.IntRange(0, 5).Draw(w.rt, "partial") == 0 {
			w.partial = true
			w.write("app.log", text)
			return
		}
		w.write("app.log", text+"\n")
	}
}

// finish ends the last line in the file that it was begun in.
func (w *world) finish() {
	if w.partial {
		w.partial = false
		w.write("app.log", "\n")
	}
}

// shift makes room for app.log.1.
func (w *world) shift() {
	w.finish()
	if _, err := os.Stat(w.path("app.log")); err != nil {
		w.write("app.log", "")
	}
	for i := w.oldest; i > 0; i-- {
		w.rename(fmt.Sprintf("app.log.%d", i), fmt.Sprintf("app.log.%d", i+1))
	}
	w.oldest++
}

// drop removes the oldest rotated file once it is read; its number is free for another.
func (w *world) drop() {
	if w.oldest == 0 {
		return
	}
	w.readAll()
	if err := os.Remove(w.path(fmt.Sprintf("app.log.%d", w.oldest))); err != nil {
		w.rt.Fatal(err)
	}
	w.oldest--
}

// crash makes a check whose state is not saved any more.
func (w *world) crash() {
	before, err := os.ReadFile(w.state())
	if err != nil {
		w.rt.Fatal(err)
	}
	w.check()
	if err := os.WriteFile(w.state(), before, 0o600); err != nil {
		w.rt.Fatal(err)
	}
	w.restart()
}

// readAll checks until nothing is left to read.
func (w *world) readAll() map[string]float64 {
	w.finish()
	for range 1000 {
		if v := w.check(); v["log_unread_bytes"] == 0 {
			return v
		}
	}
	w.rt.Fatal("the log is never read to its end")
	return nil
}

func (w *world) end() {
	v := w.readAll()
	for n := 1; n <= w.lines; n++ {
		if got := v[fmt.Sprintf("log_matches_total line %d", n)]; got != 1 {
			w.rt.Fatalf("line %d of %d counted %g times", n, w.lines, got)
		}
	}
	if v["log_gaps_total truncated"]+v["log_gaps_total vanished"] > 0 {
		w.rt.Fatalf("gaps told where there was none: %v", v)
	}
}
