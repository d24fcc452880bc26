package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// hinted tells whoever used a command wrongly where to read how it is used.
func hinted(cmd *cobra.Command, err error) error {
	return fmt.Errorf("%w; see '%s --help'", err, cmd.CommandPath())
}

// unknownCommand names the commands that could have been meant.
func unknownCommand(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = 2
	err := fmt.Errorf("unknown command %q for %q", name, cmd.CommandPath())
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		err = fmt.Errorf("%w: did you mean %s?", err, strings.Join(near, " or "))
	}
	return hinted(cmd, err)
}

// wrongArgs says what arguments a command takes.
func wrongArgs(cmd *cobra.Command, args []string) error {
	takes := strings.TrimSuffix(strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath()), " [flags]")
	if takes = strings.TrimSpace(takes); takes == "" {
		return hinted(cmd, fmt.Errorf("%s takes no arguments, not %q", cmd.CommandPath(), args))
	}
	return hinted(cmd, fmt.Errorf("%s takes %s, not %q", cmd.CommandPath(), takes, args))
}

// What cobra says of flags that do not go together.
var (
	exclusive = regexp.MustCompile(`^if any flags in the group \[.*\] are set none of the others can be; \[(.*)\] were all set$`)
	together  = regexp.MustCompile(`^if any flags in the group \[(.*)\] are set they must all be set; missing \[(.*)\]$`)
	oneOf     = regexp.MustCompile(`^at least one of the flags in the group \[(.*)\] is required$`)
	required  = regexp.MustCompile(`^required flag\(s\) (.*) not set$`)
)

// wrongFlags says the same in words that need no knowledge of groups of flags.
func wrongFlags(cmd *cobra.Command, err error) error {
	text := err.Error()
	if m := exclusive.FindStringSubmatch(text); m != nil {
		text = flagList(m[1], " and ") + ": give one of them"
	} else if m := together.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("%s go together: give %s, too", flagList(m[1], " and "), flagList(m[2], " and "))
	} else if m := oneOf.FindStringSubmatch(text); m != nil {
		text = "give " + flagList(m[1], " or ")
	} else if m := required.FindStringSubmatch(text); m != nil {
		text = "give " + flagList(strings.NewReplacer(`"`, "", ",", "").Replace(m[1]), " and ")
	}
	return hinted(cmd, errors.New(text))
}

func flagList(names, between string) string {
	return "--" + strings.Join(strings.Fields(names), between+"--")
}
