package host

import (
	"context"
	"errors"
	"runtime"

	"github.com/shirou/gopsutil/v4/mem"

	"watchkeeper/exporters"
)

func readMemory(ctx context.Context, b *exporters.Builder) error {
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return err
	}
	if m.Total == 0 {
		return errors.New("no memory reported")
	}
	used := float64(m.Total) - float64(m.Available)
	b.Add(metricMemoryTotalBytes, float64(m.Total))
	b.Add(metricMemoryAvailableBytes, float64(m.Available))
	b.Add(metricMemoryUsedBytes, used)
	b.Add(metricMemoryUsedPercent, 100*used/float64(m.Total))
	b.Add(metricMemoryFreeBytes, float64(m.Free))
	if runtime.GOOS != "windows" { // which does not tell them
		b.Add(metricMemoryCachedBytes, float64(m.Cached))
		b.Add(metricMemoryBuffersBytes, float64(m.Buffers))
	}
	swap, err := mem.SwapMemoryWithContext(ctx)
	if err != nil {
		return err
	}
	b.Add(metricSwapTotalBytes, float64(swap.Total))
	b.Add(metricSwapUsedBytes, float64(swap.Used))
	return nil
}
