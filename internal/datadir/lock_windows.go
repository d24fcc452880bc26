package datadir

import (
	"os"

	"golang.org/x/sys/windows"
)

// errHeld is what lockFile returns when another process has the lock.
const errHeld = windows.ERROR_LOCK_VIOLATION

// lockFile takes the lock of a file for this process, alone or beside other
// readers. Windows keeps others from reading what is locked: the byte lies far
// behind the process id.
func lockFile(f *os.File, alone bool) error {
	how := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if alone {
		how |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	return windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1})
}
