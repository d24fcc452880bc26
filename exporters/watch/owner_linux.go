package watch

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// openFlags keep a named pipe that has taken a file's place from blocking.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// ownership adds owner and group and returns what changes with every change of
// the file.
func ownership(info fs.FileInfo, aspects map[string]string) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	aspects[aspectOwner] = strconv.FormatUint(uint64(st.Uid), 10)
	aspects[aspectGroup] = strconv.FormatUint(uint64(st.Gid), 10)
	return fmt.Sprintf("%d %d %d.%d", st.Dev, st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
}
