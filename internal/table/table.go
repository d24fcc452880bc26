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
// spaces, so that data cannot move the cursor. A nil header prints none.
func Write(w io.Writer, header []string, rows [][]string) error {
	if header != nil {
		rows = append([][]string{header}, rows...)
	}
	widths := columnWidths(rows)
	out := bufio.NewWriter(w)
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			cell = printable(cell)
			if i < len(row)-1 {
				cell += strings.Repeat(" ", widths[i]-Width(cell)) + gap
			}
			line += cell
		}
		if _, err := out.WriteString(strings.TrimRight(line, " ") + "\n"); err != nil {
			return err
		}
	}
	return out.Flush()
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
		switch width.LookupRune(r).Kind() {
		case width.EastAsianWide, width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
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
