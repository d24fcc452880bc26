package aliyun

import (
	"math"
	"time"
)

// shape is the healthy course of a metric: a level between low and high that follows
// the day in China, with noise. It never reaches the thresholds of the usual alarms,
// so that a test's breaches are the only ones.
type shape struct {
	low, high float64
	top       float64 // values never exceed it
	still     bool    // a level that hardly moves within a day
	constant  bool    // always low
}

// percent moves between low and high, and stays below 75.
func percent(low, high float64) shape { return shape{low: low, high: high, top: 75} }

// rate moves between a tenth of peak and peak.
func rate(peak float64) shape { return shape{low: peak / 10, high: peak, top: peak * 2} }

// always is one value for ever.
func always(value float64) shape { return shape{low: value, high: value, top: value, constant: true} }

// around moves a little between low and high, both bounds hard.
func around(low, high float64) shape { return shape{low: low, high: high, top: high, still: true} }

// slow takes the day's course out: a disk fills over weeks.
func (s shape) slow() shape {
	s.still = true
	return s
}

// minuteValue is what one minute of a series measures.
type minuteValue struct{ minimum, average, maximum float64 }

// at is a pure function of the series' key and the minute (Unix time / 60).
func (s shape) at(key uint64, minute int64) minuteValue {
	if s.constant {
		return minuteValue{s.low, s.low, s.low}
	}
	span := s.high - s.low
	level := 0.5 + 0.5*unit(mix(key, 20)) // this series' share of the span
	position := s.course(key, minute)
	average := s.low + span*level*position
	average += span * 0.04 * (unit(mix(key, uint64(minute)*4+1)) - 0.5)
	spread := span * 0.06 * unit(mix(key, uint64(minute)*4+2))
	if s.still {
		spread /= 20
	}
	clamp := func(v float64) float64 { return round2(max(s.low/2, min(v, s.top))) }
	return minuteValue{clamp(average - spread), clamp(average), clamp(average + spread)}
}

// course is 0 to 1: the day's wave and a smooth wander, or for a still shape a
// slow ramp over a month.
func (s shape) course(key uint64, minute int64) float64 {
	if s.still {
		const month = 30 * 24 * 60
		start := int64(mix(key, 21) % month)
		return 0.3 + 0.6*float64((minute+start)%month)/month
	}
	const minutesADay = 24 * 60
	local := minute + 8*60 // in China; 1970 began on a Thursday
	hour := float64(local%minutesADay)/60 + 2*unit(mix(key, 22))
	wave := 0.5 - 0.5*math.Cos((hour-4)/24*2*math.Pi) // lowest at about 4, highest at about 16
	if weekday := time.Weekday((local/minutesADay + 4) % 7); weekday == time.Saturday || weekday == time.Sunday {
		wave *= 0.7
	}
	return 0.1 + 0.65*wave + 0.25*wander(key, minute)
}

// wander goes smoothly through a random level every 10 minutes.
func wander(key uint64, minute int64) float64 {
	const step = 10
	slot, part := minute/step, float64(minute%step)/step
	a, b := unit(mix(key, uint64(slot)+1<<40)), unit(mix(key, uint64(slot+1)+1<<40))
	part = part * part * (3 - 2*part)
	return a + (b-a)*part
}

func round2(v float64) float64 { return math.Round(v*100) / 100 }
