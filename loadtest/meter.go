package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	gopsnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// meterEvery is how often the receiver's memory is looked at for its peak.
const meterEvery = 500 * time.Millisecond

// meter watches the receiver's process. A nil meter measures nothing.
type meter struct {
	process  *process.Process
	cpuStart float64
	cpu      float64
	rss      uint64
	peak     uint64
}

// newMeter finds the receiver; without one it says why.
func newMeter(ctx context.Context, cfg Config) (*meter, string) {
	pid := cfg.PID
	if pid == 0 {
		found, err := listener(ctx, cfg.URL)
		if err != nil {
			return nil, err.Error()
		}
		pid = found
	}
	p, err := process.NewProcessWithContext(ctx, pid)
	if err != nil {
		return nil, fmt.Sprintf("process %d: %v", pid, err)
	}
	m := &meter{process: p}
	if err := m.read(ctx); err != nil {
		return nil, fmt.Sprintf("process %d: %v", pid, err)
	}
	m.cpuStart = m.cpu
	return m, ""
}

// listener is the process of this machine that listens at the address's port.
func listener(ctx context.Context, address string) (int32, error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	connections, err := gopsnet.ConnectionsWithContext(ctx, "tcp")
	if err != nil {
		return 0, fmt.Errorf("connections of this machine: %w", err)
	}
	for _, c := range connections {
		if c.Status == "LISTEN" && fmt.Sprint(c.Laddr.Port) == port && c.Pid != 0 {
			return c.Pid, nil
		}
	}
	return 0, errors.New("no process that may be looked at listens at port " + port)
}

// read takes the process's counters.
func (m *meter) read(ctx context.Context) error {
	times, err := m.process.TimesWithContext(ctx)
	if err != nil {
		return err
	}
	memory, err := m.process.MemoryInfoWithContext(ctx)
	if err != nil {
		return err
	}
	m.cpu, m.rss, m.peak = times.User+times.System, memory.RSS, max(m.peak, memory.RSS)
	return nil
}

// run looks now and then until ctx ends, and a last time then. A process that
// is gone leaves the last reading.
func (m *meter) run(ctx context.Context) {
	if m == nil {
		return
	}
	ticker := time.NewTicker(meterEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = m.read(context.WithoutCancel(ctx))
			return
		case <-ticker.C:
			if m.read(ctx) != nil {
				return
			}
		}
	}
}

func (m *meter) usage(elapsed float64) *Usage {
	if m == nil {
		return nil
	}
	spent := m.cpu - m.cpuStart
	return &Usage{PID: m.process.Pid, CPUSeconds: spent, Cores: spent / elapsed, RSSBytes: m.rss, RSSPeakBytes: m.peak}
}
