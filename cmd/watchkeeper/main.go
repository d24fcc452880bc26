// Command watchkeeper is the whole product in one program; see 'watchkeeper --help'.
package main

import (
	"os"

	"watchkeeper/internal/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(cli.Run(version, os.Args[1:], os.Stdout, os.Stderr))
}
