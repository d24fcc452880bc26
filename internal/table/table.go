// Package table prints rows in aligned columns on a terminal. Unlike
// text/tabwriter it knows that a Chinese character fills two cells.
package table

import (
	"bufio"
	"io"
	"strings"

	"golang.org/x/text/width"
)

// gap is what stands between two columns.
const gap = "  "

// Write prints the header and the rows; control characters in cells become
// spaces, so that data cannot move the cursor. A nil header prints none. On a
// terminal that is too narrow for a row, cells go on in further lines.
func Write(w io.Writer, header []string, rows [][]string) error {
	return write(w, terminalWidth(w), header, rows)
}

// write fits rows into limit cells, unless that is 0.
func write(w io.Writer, limit int, header []string, rows [][]string) error {
	if header != nil {
		rows = append([][]string{header}, rows...)
	}
	widths := columnWidths(rows)
	if limit > 0 {
		widths = fit(rows, widths, limit)
	}
	out := bufio.NewWriter(w)
	for _, row := range rows {
		for _, line := range lines(row, widths) {
			if _, err := out.WriteString(line + "\n"); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// lines are what a row prints: one line, or as many as its longest cell needs.
func lines(row []string, widths []int) []string {
	height := 1
	cut := make([][]string, len(row))
	for i, cell := range row {
		cut[i] = wrap(printable(cell), widths[i])
		height = max(height, len(cut[i]))
	}
	out := make([]string, height)
	for l := range out {
		for i := range row {
			cell := ""
			if l < len(cut[i]) {
				cell = cut[i][l]
			}
			if i < len(row)-1 {
				cell += strings.Repeat(" ", max(0, widths[i]-Width(cell))) + gap
			}
			out[l] += cell
		}
		out[l] = strings.TrimRight(out[l], " ")
	}
	return out
}

func columnWidths(rows [][]string) []int {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], Width(printable(cell)))
		}
	}
	return widths
}

// Width is the number of terminal cells that s fills.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += cells(r)
	}
	return n
}

func cells(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Shorten cuts s to at most n cells, with … at the end where something is missing.
func Shorten(s string, n int) string {
	if Width(s) <= n {
		return s
	}
	used := 0
	for i, r := range s {
		if w := Width(string(r)); used+w > n-1 {
			return s[:i] + "…"
		} else {
			used += w
		}
	}
	return s
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
