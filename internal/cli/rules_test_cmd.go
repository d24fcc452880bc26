package cli

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"watchkeeper/internal/table"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// testedTimeline is the result of one timeline script.
type testedTimeline struct {
	File string `json:"file"`
	OK   bool   `json:"ok"`
	// Unplayable says that the script could not be read or played: it says nothing of the rules.
	Unplayable bool   `json:"unplayable,omitempty"`
	Error      string `json:"error,omitempty"`
}

func newRulesTest() *cobra.Command {
	var f format
	c := &cobra.Command{
		Use:   "test FILE…",
		Short: "Run timeline scripts: samples in, expected alerts out",
		Long: `Runs each script in a world of its own: rules, a timeline of samples, arrivals, outages
and restarts, and what is expected of the live and the settled log. docs/rules.md
describes the form. A script without rules that is named after a contract row, such as
ecs-cpu.txt, is run with the shipped rule of the row.

Exit codes: 0 all went as expected, 1 a script failed, 2 a script could not be read or
played.`,
		Example: `  watchkeeper rules test ruleset/testdata/three_breaches.txtar
  watchkeeper rules test --format json ruleset/testdata/*.txtar
  watchkeeper rules test ruleset/contract/testdata/*.txt`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			shipped, err := contract.RowFiles()
			if err != nil {
				return err
			}
			var results []testedTimeline
			failed, unplayable := 0, 0
			p := newProgress(cmd.ErrOrStderr())
			for i, file := range args {
				p.print(fmt.Sprintf("%d of %d", i+1, len(args)))
				script, err := readFile(file)
				if err != nil {
					p.end()
					return err
				}
				if !bytes.Contains(script, []byte("-- timeline --")) {
					p.end()
					return fmt.Errorf("%s is no timeline script: it has no line '-- timeline --'; read rule files with 'watchkeeper rules check'", file)
				}
				script = withRules(file, script, shipped)
				r := testedTimeline{File: file, OK: true}
				switch err := ruleset.RunTimeline(cmd.Context(), file, script); {
				case err == nil:
				case errors.As(err, new(*ruleset.TimelineError)):
					r.OK, r.Error = false, err.Error()
					failed++
				default:
					r.OK, r.Unplayable, r.Error = false, true, err.Error()
					unplayable++
				}
				results = append(results, r)
			}
			p.end()
			if err := printTimelines(cmd, f, results); err != nil {
				return err
			}
			switch {
			case unplayable > 0:
				return fmt.Errorf("%s could not be read or played, %d failed", plural(unplayable, "timeline"), failed)
			case failed > 0:
				return foundf("%s failed", plural(failed, "timeline"))
			}
			return nil
		},
	}
	f.flag(c)
	return c
}

// withRules gives a script that has no rules those of the contract row after which it is
// named, behind its own lines: these keep their numbers.
func withRules(file string, script []byte, shipped map[string][]byte) []byte {
	const section = "-- rules.yml --\n"
	row := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if shipped[row] == nil || bytes.Contains(script, []byte(section)) {
		return script
	}
	return slices.Concat(bytes.TrimRight(script, "\n"), []byte("\n"+section), shipped[row])
}

func printTimelines(cmd *cobra.Command, f format, results []testedTimeline) error {
	if f == "json" {
		return printJSON(cmd.OutOrStdout(), results)
	}
	var rows [][]string
	for _, r := range results {
		verdict := "ok"
		switch {
		case r.Unplayable:
			verdict = "ERROR"
		case !r.OK:
			verdict = "FAIL"
		}
		rows = append(rows, []string{verdict, r.File})
	}
	if err := table.Write(cmd.OutOrStdout(), nil, rows); err != nil {
		return err
	}
	for _, r := range results {
		if !r.OK {
			fmt.Fprintf(cmd.OutOrStdout(), "\n%s:\n%s\n", r.File, r.Error)
		}
	}
	return nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
