//go:build !windows

package iis

import (
	"fmt"
	"runtime"

	"watchkeeper/exporters/middleware/server"
)

func supported() error {
	return fmt.Errorf("iis is read on the Windows host itself; this is %s", runtime.GOOS)
}

func connect() (manager, error) {
	return nil, server.Failed(server.ReasonConfig, "%w", supported())
}
