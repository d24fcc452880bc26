package demo

import (
	"fmt"
	"io"
	"time"

	"watchkeeper/internal/table"
)

// printer writes the demo's lines; each heading tells the time since the start.
type printer struct {
	w      io.Writer
	colour bool
	start  time.Time
}

func (p printer) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// step is a line of progress.
func (p printer) step(format string, args ...any) {
	p.line("%s %s", p.stamp(), fmt.Sprintf(format, args...))
}

// head opens a part.
func (p printer) head(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.colour {
		text = "\x1b[1;36m" + text + "\x1b[0m"
	}
	p.line("\n%s %s", p.stamp(), text)
}

// facts prints names and values in two columns.
func (p printer) facts(rows [][]string) {
	if err := table.Write(p.w, nil, rows); err != nil {
		p.line("%v", err)
	}
}

func (p printer) stamp() string {
	return fmt.Sprintf("[%4.1f s]", time.Since(p.start).Seconds())
}
