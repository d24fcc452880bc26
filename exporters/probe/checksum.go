package probe

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"sync"
)

// checksum holds a content against a declared checksum or the first one seen.
type checksum struct {
	raw    bool
	ignore []*regexp.Regexp

	mu   sync.Mutex
	want string // empty until the first good answer
}

func newChecksum(c *Checksum) (*checksum, error) {
	if c == nil {
		return nil, nil
	}
	k := &checksum{raw: c.Raw, want: strings.ToLower(c.SHA256)}
	for _, pattern := range c.Ignore {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, err
		}
		k.ignore = append(k.ignore, re)
	}
	return k, nil
}

// of returns the checksum of a body.
func (k *checksum) of(body []byte) string {
	if !k.raw {
		for _, re := range k.ignore {
			body = re.ReplaceAll(body, nil)
		}
		body = normalise(body)
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// good reports whether a content is the expected one; the first one seen
// becomes it when none was declared.
func (k *checksum) good(sum string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.want == "" {
		k.want = sum
	}
	return k.want == sum
}

// normalise takes away what transport and editors change and no reader sees:
// the kind of line ends, and blanks before them and at the end of the whole.
func normalise(body []byte) []byte {
	lines := bytes.Split(bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")), []byte("\n"))
	for i := range lines {
		lines[i] = bytes.TrimRight(lines[i], " \t\r")
	}
	return bytes.TrimRight(bytes.Join(lines, []byte("\n")), "\n")
}
