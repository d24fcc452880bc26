package host

import (
	"context"
	"errors"
	"runtime"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/load"

	"watchkeeper/exporters"
)

// cpuReader delivers CPU times by mode, and the utilization since the check before.
type cpuReader struct {
	last map[string]float64 // seconds by mode at the check before; nil before the first
}

// cpuModes are the modes whose sum is all CPU time. Guest time is part of user
// time in Linux's accounting and would count twice. Windows knows four modes;
// a zero for iowait there would be invented.
func cpuModes(t cpu.TimesStat) map[string]float64 {
	modes := map[string]float64{"user": t.User, "system": t.System, "idle": t.Idle, "irq": t.Irq}
	if runtime.GOOS != "windows" {
		modes["nice"] = t.Nice
		modes["iowait"] = t.Iowait
		modes["softirq"] = t.Softirq
		modes["steal"] = t.Steal
	}
	return modes
}

func (r *cpuReader) read(ctx context.Context, b *exporters.Builder) error {
	times, err := cpu.TimesWithContext(ctx, false)
	if err != nil {
		return err
	}
	if len(times) != 1 {
		return errors.New("no CPU times")
	}
	now := cpuModes(times[0])
	for mode, seconds := range now {
		b.Add(metricCPUSecondsTotal, seconds, "mode", mode)
	}
	if used, iowait, ok := cpuPercent(r.last, now); ok {
		b.Add(metricCPUUsedPercent, used)
		if _, known := now["iowait"]; known {
			b.Add(metricCPUIOWaitPercent, iowait)
		}
	}
	r.last = now
	return nil
}

// cpuPercent returns the shares of CPU time between two readings, in percent.
// used is what was neither idle nor waiting for IO. A mode that went backwards,
// as iowait does and others after a core was taken away, counts as unchanged.
func cpuPercent(last, now map[string]float64) (used, iowait float64, ok bool) {
	if last == nil {
		return 0, 0, false
	}
	var total, idle float64
	for mode, seconds := range now {
		d := max(seconds-last[mode], 0)
		total += d
		switch mode {
		case "idle":
			idle = d
		case "iowait":
			iowait = d
		}
	}
	if total <= 0 {
		return 0, 0, false
	}
	return 100 * (total - idle - iowait) / total, 100 * iowait / total, true
}

func readLoad(ctx context.Context, b *exporters.Builder) error {
	cores, err := cpu.CountsWithContext(ctx, true)
	if err != nil {
		return err
	}
	b.Add(metricCPUCores, float64(cores))
	// Not ctx: on Windows the library's first call starts its averaging with the
	// context it is given, for the life of the process.
	avg, err := load.AvgWithContext(context.Background())
	if err != nil {
		return err
	}
	b.Add(metricLoad1, avg.Load1)
	b.Add(metricLoad5, avg.Load5)
	b.Add(metricLoad15, avg.Load15)
	if cores > 0 {
		b.Add(metricLoad1PerCore, avg.Load1/float64(cores))
	}
	return nil
}
