package process

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/process"
)

// FromPIDFile returns the running process that a pid file names. Its name must
// be one of names, if any are given: after a crash the number may belong to
// another process.
func FromPIDFile(path string, names ...string) (*process.Process, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("pid file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return nil, fmt.Errorf("pid file: %w", err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	pid, err := strconv.ParseInt(strings.TrimSpace(first), 10, 32)
	if err != nil || pid <= 0 {
		return nil, fmt.Errorf("pid file %s: holds no process id", path)
	}
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return nil, fmt.Errorf("pid file %s: process %d does not run", path, pid)
	}
	name, err := p.Name()
	if err != nil {
		return nil, fmt.Errorf("pid file %s: process %d: %w", path, pid, err)
	}
	if len(names) > 0 && !slices.Contains(names, name) {
		return nil, fmt.Errorf("pid file %s: process %d is %q", path, pid, name)
	}
	return p, nil
}
