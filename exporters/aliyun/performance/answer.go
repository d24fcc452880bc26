package performance

import (
	"math"
	"strconv"
	"strings"
	"time"

	"watchkeeper/exporters/aliyun/fleet"
)

// answer is that of DescribeDBInstancePerformance.
type answer struct {
	PerformanceKeys struct {
		PerformanceKey []keyAnswer
	}
}

type keyAnswer struct {
	Key         string
	ValueFormat fleet.Scalar
	Values      struct {
		PerformanceValue []struct{ Value, Date fleet.Scalar }
	}
}

// layouts in which dates come; those without a zone are UTC, as everything that
// RDS says. A point that is off by a zone is dropped, since it is not of the
// window that was asked for.
var layouts = []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02 15:04:05"}

func parseTime(s fleet.Scalar) (time.Time, bool) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, string(s)); err == nil {
			return t, true
		}
	}
	if ms, ok := s.Int(); ok && ms > 1e12 {
		return time.UnixMilli(ms), true
	}
	return time.Time{}, false
}

// parseValue reads one number; no sample comes of an empty one.
func parseValue(s string) (v float64, ok bool) {
	s = strings.TrimSpace(s)
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}

// absent tells that a number is left out on purpose.
func absent(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "null", "-", "nan":
		return true
	}
	return false
}
