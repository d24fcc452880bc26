//go:build unix

package logfile

import (
	"os"
	"syscall"
)

// openFlags keep a named pipe in a log's place from blocking the reader.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// idOf returns what identifies a file whatever its name is.
func idOf(info os.FileInfo) fileID {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{Dev: uint64(st.Dev), Ino: st.Ino} //nolint:unconvert // Dev is signed on some systems
}
