package process

import "context"

// figures are what one process uses, or several together.
type figures struct {
	cpuSeconds, resident, virtual, threads, files float64
	filesHidden                                   bool
}

func (f *figures) add(g figures) {
	f.cpuSeconds += g.cpuSeconds
	f.resident += g.resident
	f.virtual += g.virtual
	f.threads += g.threads
	f.files += g.files
	f.filesHidden = f.filesHidden || g.filesHidden
}

// read reads one process. What cannot be read counts as nothing, except open
// files: without the right to see them there is no number to tell.
func (c *Collector) read(ctx context.Context, p running) figures {
	var f figures
	if t, err := p.TimesWithContext(ctx); err == nil {
		f.cpuSeconds = t.User + t.System
	}
	if m, err := p.MemoryInfoWithContext(ctx); err == nil {
		f.resident, f.virtual = float64(m.RSS), float64(m.VMS)
	}
	if n, err := p.NumThreadsWithContext(ctx); err == nil {
		f.threads = float64(n)
	}
	n, err := p.NumFDsWithContext(ctx)
	if err != nil {
		c.hidden.Inc()
		f.filesHidden = true
	}
	f.files = float64(n)
	return f
}
