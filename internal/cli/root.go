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
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK     = 0 // done, and nothing found
	exitFound  = 1 // done, and the answer is bad
	exitFailed = 2 // not done: wrong flags, files or configuration, nobody answers
)

// maxHelp bounds the lines of a help text, but for examples, in columns.
const maxHelp = 96

// finding is a bad answer: the command did what it was asked for and found holes,
// differences, mistakes, failures. Every other error means that it could not.
type finding struct{ error }

func foundf(format string, args ...any) error { return finding{fmt.Errorf(format, args...)} }

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
	var bad finding
	if errors.As(err, &bad) {
		return exitFound
	}
	return exitFailed
}

func newRoot(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   "watchkeeper",
		Short: "Judge every sample against the contract, keep incidents, prove availability",
		Long: `watchkeeper watches cloud accounts, hosts and web sites, judges every sample
against the service contract's alarm table, turns alerts into incidents, delivers
notifications until they are accepted, and computes what was promised and what is owed.

Exit codes of every command: 0 done and nothing found; 1 done, and something was found:
an error in a rule, a hole, a difference, a failed test; 2 not done: wrong flags, files
or configuration, or a server that does not answer.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return hinted(cmd, err) })
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
	// Half a screen is often all that there is for a terminal.
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", fmt.Sprintf(".FlagUsagesWrapped %d ", maxHelp)))
	wrapArgs(root)
	tellExitCodes(root)
	return root
}

// tellExitCodes adds to the help of each command that does not find anything how
// it ends; the others say it themselves.
func tellExitCodes(c *cobra.Command) {
	for _, sub := range c.Commands() {
		tellExitCodes(sub)
	}
	if c.Example == "" || strings.Contains(c.Long, "Exit codes: ") {
		return
	}
	if c.Long == "" {
		c.Long = c.Short + "."
	}
	c.Long += "\n\nExit codes: 0 done; 2 not done: wrong flags, files or configuration, or nobody answers."
}

// wrapArgs looks at arguments and flags before a command runs.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return wrongArgs(cmd, args)
			}
			// Cobra looks at these two later, and says it in its own words.
			if err := cmd.ValidateRequiredFlags(); err != nil {
				return wrongFlags(cmd, err)
			}
			if err := cmd.ValidateFlagGroups(); err != nil {
				return wrongFlags(cmd, err)
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.Run == nil && c.RunE == nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
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
