// Package cli is the command line: each command parses its flags, calls a part
// of the program and prints what it answers.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK    = 0
	exitFail  = 1 // the command ran and the answer is bad, or it failed
	exitUsage = 2 // wrong flags, arguments or files
)

// usageError is a wrong flag, argument or file: exit code 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// Run executes the command line and returns the exit code.
func Run(version string, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(version)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "watchkeeper:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFail
}

func newRoot(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   "watchkeeper",
		Short: "Judge every sample against the contract, keep incidents, prove availability",
		Long: `watchkeeper watches cloud accounts, hosts and web sites, judges every sample
against the service contract's alarm table, turns alerts into incidents, delivers
notifications until they are accepted, and computes what was promised and what is owed.

Exit codes: 0 done, 1 failed or the answer is bad, 2 wrong usage or configuration.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newServe(version),
		newExporter(),
		newCheck(),
		newDemo(version),
		newImport(),
		newRules(),
		newIncidents(),
		newSLO(),
		newDashboards(),
		newLoadtest(),
		newAliyun(),
		newCustomer(),
		newSim(),
		newVersion(version),
	)
	wrapArgs(root)
	return root
}

// wrapArgs makes wrong arguments of every command a usage error.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			// Cobra looks at these two later, where their errors cannot be told
			// from those of the command.
			if err == nil {
				err = cmd.ValidateRequiredFlags()
			}
			if err == nil {
				err = cmd.ValidateFlagGroups()
			}
			if err != nil {
				return usagef("%w; see '%s --help'", err, cmd.CommandPath())
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.Run == nil && c.RunE == nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q for %q; see '%s --help'", args[0], cmd.CommandPath(), cmd.CommandPath())
			}
			return cmd.Help()
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

func newVersion(version string) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: `  watchkeeper version`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "watchkeeper", version)
			return err
		},
	}
}
