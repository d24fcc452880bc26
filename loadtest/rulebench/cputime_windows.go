package rulebench

import (
	"time"

	"golang.org/x/sys/windows"
)

// cpuTime is the CPU time that the process has used.
func cpuTime() time.Duration {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user); err != nil {
		panic("BUG: times of this process: " + err.Error())
	}
	ticks := func(f windows.Filetime) time.Duration {
		return time.Duration(int64(f.HighDateTime)<<32|int64(f.LowDateTime)) * 100 // of 100 ns
	}
	return ticks(kernel) + ticks(user)
}
