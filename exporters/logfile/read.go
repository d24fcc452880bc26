package logfile

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// chunkBytes is how much is read at once.
const chunkBytes = 256 << 10

// read counts the complete lines after the file's position and moves it behind
// them. A line without its end is left for the next check, unless it is longer
// than a line may be.
func (l *log) read(ctx context.Context, c *candidate, budget *int64) error {
	pos := c.Offset
	carry := c.before // the last bytes before pos
	l.line = l.line[:0]
	for *budget > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := c.f.ReadAt(l.chunk[:min(int64(len(l.chunk)), *budget)], pos)
		chunk := l.chunk[:n]
		*budget -= int64(n)
		if took := l.lines(&c.record, chunk); took > 0 {
			before := append(append([]byte(nil), carry...), lastBytes(chunk[:took])...)
			c.Offset = pos + int64(took)
			l.ReadBytes += uint64(took)
			c.setTail(before)
			c.before = lastBytes(before)
		}
		pos += int64(n)
		carry = lastBytes(append(append([]byte(nil), carry...), lastBytes(chunk)...))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	c.Size = max(c.Size, pos)
	return nil
}

// lines takes what it can of a chunk and returns how much, up to the end of
// the last line that is done with. The begin of a line stays in l.line.
func (l *log) lines(r *record, chunk []byte) (took int) {
	for at := 0; at < len(chunk); {
		i := bytes.IndexByte(chunk[at:], '\n')
		end := at + i
		if i < 0 {
			end = len(chunk)
		}
		if !r.Midline {
			l.take(r, chunk[at:end])
		}
		switch {
		case i >= 0 && r.Midline:
			r.Midline = false
			took = end + 1
		case i >= 0:
			l.count(l.line)
			l.line = l.line[:0]
			took = end + 1
		case r.Midline:
			took = end
		}
		at = end + 1
	}
	return took
}

// take adds to the line at hand. One that gets too long is counted by its begin;
// Midline says then that the rest is passed over.
func (l *log) take(r *record, part []byte) {
	l.line = append(l.line, part[:min(len(part), l.MaxLineBytes+1-len(l.line))]...)
	if len(l.line) <= l.MaxLineBytes {
		return
	}
	l.Truncated++
	l.count(l.line[:l.MaxLineBytes])
	l.line = l.line[:0]
	r.Midline = true
}

// count counts a line by every pattern.
func (l *log) count(line []byte) {
	l.Lines++
	line = bytes.TrimSuffix(line, []byte("\r"))
	for _, p := range l.patterns {
		p.count(line)
	}
}
