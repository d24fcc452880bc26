package watch

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// Reasons that every sort of thing has; the others are the names of aspects.
const (
	reasonCreated = "created"
	reasonRemoved = "removed"
)

// snapshot is what is compared: the aspects of each thing (a file's content,
// owner, mode) by the thing's name. Aspects are fingerprints, never content.
type snapshot map[string]map[string]string

// change is one aspect of one thing that is different from the check before.
type change struct{ thing, reason string }

// compare returns the changes from before to s and completes s: an aspect that
// could not be read now is taken as unchanged.
func (s snapshot) compare(before snapshot) []change {
	var changes []change
	for _, thing := range slices.Sorted(maps.Keys(s)) {
		old, known := before[thing]
		if !known {
			changes = append(changes, change{thing, reasonCreated})
			continue
		}
		aspects := s[thing]
		for _, aspect := range slices.Sorted(maps.Keys(old)) {
			now, readable := aspects[aspect]
			switch {
			case !readable:
				aspects[aspect] = old[aspect]
			case now != old[aspect]:
				changes = append(changes, change{thing, aspect})
			}
		}
	}
	for _, thing := range slices.Sorted(maps.Keys(before)) {
		if _, there := s[thing]; !there {
			changes = append(changes, change{thing, reasonRemoved})
		}
	}
	return changes
}

// fingerprint stands for a text in the state file.
func fingerprint(text string) string { return hash([]byte(text)) }

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// separator joins what names a thing of several labels.
const separator = "\x00"

func join(parts ...string) string { return strings.Join(parts, separator) }
