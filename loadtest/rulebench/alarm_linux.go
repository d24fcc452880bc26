package rulebench

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes who waits as the arrival of data on a connection does: by a descriptor.
// While garbage is collected a timer of the runtime may come 10 ms late, data does not.
type alarm struct {
	fd   int
	file *os.File
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &alarm{fd, os.NewFile(uintptr(fd), "timer")}, nil
}

// wait waits for a moment that is near; false when there is no more time.
func (a *alarm) wait(ctx context.Context, until time.Time) bool {
	if left := time.Until(until); left > 0 {
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(left.Nanoseconds())}
		if unix.TimerfdSettime(a.fd, 0, &spec, nil) != nil {
			return wait(ctx, until)
		}
		var times [8]byte
		if _, err := a.file.Read(times[:]); err != nil {
			return wait(ctx, until)
		}
	}
	return ctx.Err() == nil
}

func (a *alarm) close() { _ = a.file.Close() } // nothing was written
