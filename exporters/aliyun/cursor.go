package aliyun

import "github.com/prometheus/prometheus/model/labels"

// cursorSlots is how many periods before a series' newest point are remembered.
const cursorSlots = 256

// cursor remembers which points of one series were delivered: the newest one's
// time, and for the periods before it a bit each. So a point that arrives
// behind its successors is still delivered, and one that was delivered is not
// delivered again. The zero value has seen nothing.
//
//	bits:  … 1 1 0 1 1 1        a late point at the 0 is new;
//	                  ^ last    one at a 1 is a duplicate
type cursor struct {
	last int64 // newest point's time in periods; 0: none
	bits [cursorSlots / 64]uint64
}

// seen reports whether the point at slot was delivered. Beyond the memory the
// answer is no: the store drops the duplicate then.
func (c *cursor) seen(slot int64) bool {
	age := c.last - slot
	if c.last == 0 || age < 0 || age >= cursorSlots {
		return false
	}
	return c.bits[age/64]&(1<<(age%64)) != 0
}

// mark notes the point at slot as delivered.
func (c *cursor) mark(slot int64) {
	if slot > c.last {
		c.shift(slot - c.last)
		c.last = slot
	}
	if age := c.last - slot; age < cursorSlots {
		c.bits[age/64] |= 1 << (age % 64)
	}
}

// shift makes room for n newer periods.
func (c *cursor) shift(n int64) {
	if n >= cursorSlots {
		c.bits = [len(c.bits)]uint64{}
		return
	}
	words, bits := int(n/64), uint(n%64)
	for i := len(c.bits) - 1; i >= 0; i-- {
		var w uint64
		if i-words >= 0 {
			w = c.bits[i-words] << bits
			if bits > 0 && i-words-1 >= 0 {
				w |= c.bits[i-words-1] >> (64 - bits)
			}
		}
		c.bits[i] = w
	}
}

// series is one series of a metric: its labels, shared by all its samples, and
// its cursor.
type series struct {
	labels   labels.Labels
	instance string
	newest   int64 // newest delivered point, Unix ms
	cursor   cursor
	ended    bool // its end was delivered; a new point takes that back
}
