package aliyun

import "time"

// chunk is the longest stretch of event time that one batch covers, so that a
// fill-in or catch-up of many hours does not become one huge batch.
const chunk = time.Hour

// window is a stretch (start, end] of event time to read. New event time
// begins at fresh; what lies before it was read already and is looked at again
// for late points.
//
//	start ········ fresh ────────────── end
//	  └ late points ┘└ read for the first time
type window struct {
	start, fresh, end time.Time
}

// windows splits (from, end] into chunks, oldest first; the first one reaches
// back to start. There is always at least one: with nothing new it is (start, end].
func windows(start, from, end time.Time) []window {
	first := window{start: start, fresh: from, end: end}
	if !from.Before(end) {
		first.fresh = end
		return []window{first}
	}
	var out []window
	for w := first; ; w = (window{start: w.end, fresh: w.end, end: end}) {
		if w.end.Sub(w.fresh) > chunk {
			w.end = w.fresh.Add(chunk)
		}
		out = append(out, w)
		if !w.end.Before(end) {
			return out
		}
	}
}

// minutes returns the whole minutes of (from, to], Unix ms.
func minutes(from, to time.Time) []int64 {
	var out []int64
	for t := from.Truncate(time.Minute).Add(time.Minute); !t.After(to); t = t.Add(time.Minute) {
		out = append(out, t.UnixMilli())
	}
	return out
}
