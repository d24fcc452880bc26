//go:build unix

package datadir

import (
	"os"
	"syscall"
)

// errHeld is what lockFile returns when another process has the lock.
const errHeld = syscall.EWOULDBLOCK

// lockFile takes the lock of a file for this process, alone or beside other readers.
func lockFile(f *os.File, alone bool) error {
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	return syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
}
