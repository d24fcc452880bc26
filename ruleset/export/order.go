package export

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// sorted yields a map's entries by key, so that files come out the same twice.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// oneLine puts an expression of several lines into one, for a comment.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
