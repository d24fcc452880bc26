package table

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// terminalWidth is the number of cells of a line of the terminal that w is, 0 for
// anything else: files and pipes get whole lines, which grep and awk can use.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
}

// leasts are how narrow columns with long words may become, tried in this order.
var leasts = []int{24, 16, 12, 8}

// narrowest holds an indent and a Chinese character.
const narrowest = 4

// fit makes the widest columns narrower until a row has at most limit cells; where
// that cannot be had they stay as they are.
func fit(rows [][]string, widths []int, limit int) []int {
	words := make([]int, len(widths))
	for _, row := range rows {
		for i, cell := range row {
			words[i] = max(words[i], longestWord(printable(cell)))
		}
	}
	for _, least := range leasts {
		if narrow, ok := shrink(widths, words, least, limit); ok {
			return narrow
		}
	}
	return widths
}

// shrink takes cells from the widest column that has more than its longest word, or
// than least where that is longer.
func shrink(widths, words []int, least, limit int) ([]int, bool) {
	narrow := append([]int(nil), widths...)
	total := len(gap) * (len(widths) - 1)
	for _, n := range narrow {
		total += n
	}
	for ; total > limit; total-- {
		widest := -1
		for i, n := range narrow {
			if n > max(min(words[i], least), narrowest) && (widest < 0 || n > narrow[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return nil, false
		}
		narrow[widest]--
	}
	return narrow, true
}

// wrap cuts a cell into lines of at most n cells, which keep its indent.
func wrap(s string, n int) []string {
	if Width(s) <= n {
		return []string{s}
	}
	text := strings.TrimLeft(s, " ")
	indent := s[:len(s)-len(text)]
	if len(indent) > n/2 {
		indent = indent[:n/2]
	}
	var lines []string
	for {
		line, rest := cut(text, max(n-len(indent), 2))
		lines = append(lines, indent+line)
		if rest == "" {
			return lines
		}
		text = rest
	}
}

// cut splits s after at most n cells: between words or beside a Chinese character,
// else after a sign within a word, else anywhere.
func cut(s string, n int) (line, rest string) {
	used, word, sign, prev := 0, 0, 0, rune(0)
	for i, r := range s {
		switch {
		case i == 0:
		case between(prev, r):
			word = i
		case strings.ContainsRune("-_/,=", prev):
			sign = i
		}
		if used += cells(r); used > n && r != ' ' {
			at := i
			switch {
			case word > 0:
				at = word
			case sign > 0:
				at = sign
			}
			return strings.TrimRight(s[:at], " "), strings.TrimLeft(s[at:], " ")
		}
		prev = r
	}
	return s, ""
}

// longestWord is the width of what cut leaves together if it can.
func longestWord(s string) int {
	longest, used, prev := 0, 0, ' '
	for _, r := range s {
		if between(prev, r) {
			used = 0
		}
		if r != ' ' {
			used += cells(r)
		}
		longest, prev = max(longest, used), r
	}
	return longest
}

// between says whether a line may end between two characters.
func between(a, b rune) bool { return a == ' ' || b == ' ' || cells(a) > 1 || cells(b) > 1 }
