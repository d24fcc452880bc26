//go:build !unix

package logfile

import (
	"hash/fnv"
	"os"
)

const openFlags = os.O_RDONLY

// idOf identifies a file by its name where the system's number of it is not at
// hand: a renamed file is then recognised by its content.
func idOf(info os.FileInfo) fileID {
	h := fnv.New64a()
	_, _ = h.Write([]byte(info.Name()))
	return fileID{Ino: h.Sum64()}
}
