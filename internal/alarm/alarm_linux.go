package alarm

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Alarm is for one who waits at a time.
type Alarm struct {
	file *os.File
	fd   int
}

// New takes a descriptor; an error means that the system has none left.
func New() (*Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &Alarm{os.NewFile(uintptr(fd), "timer"), fd}, nil
}

// Wait waits for d. It says whether the time has passed; false when the context ended
// first.
func (a *Alarm) Wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	began := time.Now()
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}
	if a.file.SetReadDeadline(time.Time{}) != nil || unix.TimerfdSettime(a.fd, 0, &spec, nil) != nil {
		return sleep(ctx, d)
	}
	stop := context.AfterFunc(ctx, func() { _ = a.file.SetReadDeadline(time.Unix(1, 0)) }) // Read returns
	defer stop()
	var times [8]byte
	if _, err := a.file.Read(times[:]); err != nil {
		return sleep(ctx, d-time.Since(began))
	}
	return ctx.Err() == nil
}

// Close gives the descriptor back. Nobody may wait.
func (a *Alarm) Close() error { return a.file.Close() }
