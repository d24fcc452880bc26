package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// prepare puts the program into a process group of its own and sets its user.
func prepare(cmd *exec.Cmd, s Spec) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.User == "" {
		return nil
	}
	c, home, err := credential(s.User)
	if err != nil {
		return err
	}
	cmd.SysProcAttr.Credential = c
	cmd.Env = append(cmd.Env, "HOME="+home, "USER="+s.User, "LOGNAME="+s.User)
	return nil
}

// credential looks a user up, with all groups.
func credential(name string) (*syscall.Credential, string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, "", fmt.Errorf("user: %w", err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, "", fmt.Errorf("user %s: groups: %w", name, err)
	}
	c := &syscall.Credential{}
	for i, id := range append([]string{u.Uid, u.Gid}, ids...) {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, "", fmt.Errorf("user %s: id %q: %w", name, id, err)
		}
		switch i {
		case 0:
			c.Uid = uint32(n)
		case 1:
			c.Gid = uint32(n)
		default:
			c.Groups = append(c.Groups, uint32(n))
		}
	}
	return c, u.HomeDir, nil
}

// limit bounds the memory of a program that has just started. One that is
// faster ends before it could be bounded; one that has more rights than this
// process, such as sudo, is not ours to bound.
func limit(cmd *exec.Cmd, s Spec) {
	if s.MaxMemoryBytes > 0 {
		_ = unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: s.MaxMemoryBytes, Max: s.MaxMemoryBytes}, nil)
	}
}

// wait waits for the program's end or ctx's, ends the whole process group and
// collects it. The group is ended before the program is collected: until then
// its number cannot become another's.
func wait(ctx context.Context, cmd *exec.Cmd) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	<-ended
	return cmd.Wait()
}
