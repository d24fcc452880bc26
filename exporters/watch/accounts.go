package watch

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxAccountBytes bounds the files of users and passwords.
const maxAccountBytes = 16 << 20

// Aspects of an account.
const (
	aspectPassword = "password"
	aspectUID      = "uid"
	aspectGID      = "gid"
	aspectHome     = "home"
	aspectShell    = "shell"
)

// accounts reads the users of this host.
type accounts struct {
	passwd, shadow string // files
	hidden         func() // called when the passwords may not be read
}

func (a accounts) read(context.Context) (snapshot, error) {
	lines, err := fieldsOf(a.passwd)
	if err != nil {
		return nil, err
	}
	s := make(snapshot, len(lines))
	for _, f := range lines {
		if len(f) < 7 || f[0] == "" {
			continue
		}
		s[f[0]] = map[string]string{aspectUID: f[2], aspectGID: f[3], aspectHome: fingerprint(f[5]), aspectShell: fingerprint(f[6])}
		if f[1] != "x" { // kept in the old way
			s[f[0]][aspectPassword] = passwordMark(f[0], f[1])
		}
	}
	lines, err = fieldsOf(a.shadow)
	if err != nil {
		a.hidden()
		return s, nil
	}
	for _, f := range lines {
		if u, ok := s[f[0]]; ok && len(f) > 1 {
			u[aspectPassword] = passwordMark(f[0], f[1])
		}
	}
	return s, nil
}

// passwordMark changes with a user's password. It is a hash of the system's own
// salted one, which cannot be had back from it, and is kept in the state file only.
func passwordMark(user, field string) string { return fingerprint(join("password", user, field)) }

func fieldsOf(file string) ([][]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAccountBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAccountBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, maxAccountBytes)
	}
	var lines [][]string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' {
			lines = append(lines, strings.Split(line, ":"))
		}
	}
	return lines, nil
}
