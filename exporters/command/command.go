// Package command runs a program of somebody else within limits: time, output,
// memory, user, environment. When Run returns, the program and whatever it has
// started in its process group is gone (on Linux; elsewhere the program itself).
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// drainDelay is how long output is waited for after the program has ended while
// something that it started, and that left its process group, holds the pipe open.
const drainDelay = time.Second

// maxStderr bounds what is kept of the program's error output.
const maxStderr = 4 << 10

// Spec says what is run, and how.
type Spec struct {
	Argv []string // program and arguments; no shell
	Dir  string   // working folder; empty: /
	User string   // user to run as; empty: ours
	// PassEnv names the variables of our environment that the program sees, PATH,
	// LANG and TZ besides. Others are not passed.
	PassEnv []string
	// MaxOutputBytes bounds the output; a program that writes more is ended.
	MaxOutputBytes int
	// MaxMemoryBytes bounds the address space of each process (RLIMIT_AS), from a
	// moment after the start; Linux only. 0: no bound.
	MaxMemoryBytes uint64
}

// Result is how a program ended.
type Result struct {
	Output   []byte // at most MaxOutputBytes
	Stderr   string // begin of the error output, in one line
	ExitCode int    // -1: ended by a signal
	TooMuch  bool   // it wrote more than MaxOutputBytes and was ended
	TimedOut bool   // ctx ended first
	Duration time.Duration
}

// Run runs a program until it ends, ctx ends, or it writes too much. An error
// says that it could not be started; how it ended is in the Result.
func Run(ctx context.Context, s Spec) (Result, error) {
	if len(s.Argv) == 0 {
		return Result{}, errors.New("no program")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := &limited{limit: s.MaxOutputBytes, full: func() { cancel(errTooMuch) }}
	errs := &limited{limit: maxStderr, full: func() {}}
	cmd := exec.Command(s.Argv[0], s.Argv[1:]...)
	cmd.Env = environ(s.PassEnv)
	cmd.Dir = "/"
	if s.Dir != "" {
		cmd.Dir = s.Dir
	}
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.WaitDelay = drainDelay
	if err := prepare(cmd, s); err != nil {
		return Result{}, err
	}
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return Result{}, fmt.Errorf("start: %w", err)
	}
	limit(cmd, s)
	err := wait(ctx, cmd)
	r := Result{
		Output: out.bytes(), Stderr: oneLine(errs.bytes()), ExitCode: cmd.ProcessState.ExitCode(), Duration: time.Since(started),
		TooMuch: errors.Is(context.Cause(ctx), errTooMuch),
	}
	r.TimedOut = !r.TooMuch && ctx.Err() != nil
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited && !errors.Is(err, exec.ErrWaitDelay) {
		return r, fmt.Errorf("wait: %w", err)
	}
	return r, nil
}

var errTooMuch = errors.New("too much output")

// environ is the environment that a program sees.
func environ(pass []string) []string {
	env := []string{}
	for _, name := range append([]string{"PATH", "LANG", "TZ"}, pass...) {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// limited keeps the begin of what is written to it. It is written by one
// goroutine, and read after that has ended or been left behind by WaitDelay.
type limited struct {
	limit int
	full  func() // called when more came
	buf   lockedBuffer
}

// Write implements io.Writer. It takes everything, so that the program is not
// stopped by a broken pipe before it is ended.
func (l *limited) Write(p []byte) (int, error) {
	if room := l.limit - l.buf.len(); len(p) > room {
		l.buf.write(p[:max(0, room)])
		l.full()
		return len(p), nil
	}
	l.buf.write(p)
	return len(p), nil
}

func (l *limited) bytes() []byte { return l.buf.bytes() }

var _ io.Writer = (*limited)(nil)

func oneLine(b []byte) string {
	return strings.Join(strings.Fields(string(bytes.ToValidUTF8(b, []byte("�")))), " ")
}
