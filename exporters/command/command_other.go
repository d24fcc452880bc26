//go:build !linux

package command

import (
	"context"
	"errors"
	"os/exec"
)

func prepare(_ *exec.Cmd, s Spec) error {
	if s.User != "" {
		return errors.New("user: another user's programs can be run on Linux only")
	}
	return nil
}

func limit(*exec.Cmd, Spec) {}

// wait waits for the program's end; ctx's end ends the program.
func wait(ctx context.Context, cmd *exec.Cmd) error {
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	return cmd.Wait()
}
