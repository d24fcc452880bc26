package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/internal/api"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

// replayFlags are the flags of rules replay.
type replayFlags struct {
	src             dataSource
	rules           []string
	samples         string
	from, to, begin instant
	customer        string
	logs            logsFlag
	format          format
}

// logsFlag is the --log flag.
type logsFlag replay.Logs

func (l *logsFlag) String() string { return string(*l) }
func (l *logsFlag) Type() string   { return "log" }

// Set accepts live, settled and both.
func (l *logsFlag) Set(s string) error {
	switch replay.Logs(s) {
	case replay.LogsLive, replay.LogsSettled, replay.LogsBoth:
		*l = logsFlag(s)
		return nil
	}
	return fmt.Errorf("must be live, settled or both")
}

func newRulesReplay() *cobra.Command {
	f := replayFlags{logs: logsFlag(replay.LogsBoth)}
	c := &cobra.Command{
		Use:   "replay",
		Short: "Judge recorded samples again: log lines as JSON, the same input always giving the same bytes",
		Long: `Judges samples by rule files and prints one JSON object for each change of an alert's state:
  {"log","at","check","alert","labels","from","to","value","run","reason"}
check is the time of the check that completed the change; at is engine time in the live
log, and check + lateness in the settled log. Live lines come as they happen, settled
lines after them, by check, rule group, alert and labels. Nothing else goes to standard
output. --format table shows the same as a table once all is judged.

With --samples the input is a file of JSON lines (- for standard input):
  {"time":"2026-03-01T10:00:00Z","value":95,"labels":{"__name__":"cpu","instance":"a"},"arrive":"2026-03-01T10:00:20Z"}
  {"advance":"2026-03-01T10:30:00Z"}
value is a number, "NaN", "+Inf", "-Inf" or "stale"; arrive is when it came (default:
time). Engine time is the largest arrive or advance read so far and every source's
watermark; lines that follow one another at the same engine time are one delivery of each
source. What is final at an engine time is final with the first delivery or advance of that
time. The end of the file settles nothing more. Further lines, with "arrive" and "source"
where they matter:
  {"up":T,"ok":true}   {"end":T,"labels":{…},"reason":"deleted"}   {"watermark":T or "current"}
  {"restart":T,"until":T}   {"reload":"FILE","arrive":T}

With --from and --to the input is what a server has stored: the settled lines of the
checks after from, up to to, byte for byte those that the server's rule engine made of
them. The live log is not to be had from stored samples, which have no arrivals.

Exit codes: 0 replayed, whatever fired; 2 rules or samples could not be read.`,
		Example: `  watchkeeper rules replay --rules ecs.yml --samples friday.jsonl
  watchkeeper rules replay --rules ecs.yml --samples - --log settled < friday.jsonl
  watchkeeper rules replay --rules ecs.yml --samples friday.jsonl --log live --format table
  watchkeeper rules replay --rules ecs.yml --from 2026-03-01T00:00:00Z --to 2026-03-02T00:00:00Z --data ./data
  watchkeeper rules replay --rules ecs.yml --from 2026-03-01T00:00:00Z --to 2026-03-02T00:00:00Z --customer acme`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.print(cmd) },
	}
	f.src.flags(c)
	f.format.flag(c)
	f.format = "json"
	c.Flags().Lookup("format").DefValue = "json"
	c.Flags().StringArrayVar(&f.rules, "rules", nil, "rule file; may be given several times")
	c.Flags().StringVar(&f.samples, "samples", "", "JSON lines of samples and advances; - for standard input")
	c.Flags().Var(&f.from, "from", "with --to: replay the stored samples, checks after this time")
	c.Flags().Var(&f.to, "to", "checks up to this time")
	c.Flags().Var(&f.begin, "begin", "with --from: build the state from here instead of from the first stored sample (faster, and exact unless an alert stood then)")
	c.Flags().Var(&f.logs, "log", "live, settled or both")
	customerFlag(c, &f.customer, "print the alerts of this customer alone")
	_ = c.MarkFlagRequired("rules") // the flag exists
	c.MarkFlagsRequiredTogether("from", "to")
	c.MarkFlagsOneRequired("samples", "from")
	for _, other := range []string{"from", "to", "begin", "data", "url"} {
		c.MarkFlagsMutuallyExclusive("samples", other)
	}
	return c
}

// print replays onto standard output: lines as they come, a table when all are there.
func (f *replayFlags) print(cmd *cobra.Command) error {
	if f.format == "json" {
		return f.run(cmd, cmd.OutOrStdout())
	}
	var lines bytes.Buffer
	if err := f.run(cmd, &lines); err != nil {
		return err
	}
	if n, err := logTable(cmd.OutOrStdout(), &lines); err != nil || n > 0 {
		return err
	}
	return none(cmd, "change", f.customer != "")
}

func (f *replayFlags) run(cmd *cobra.Command, w io.Writer) error {
	files, groups, err := readRuleFiles(cmd, f.rules...)
	if err != nil {
		return err
	}
	counting, _ := replay.Counting(groups)
	if len(counting) == 0 {
		return fmt.Errorf("--rules: %s hold no rule with the field consecutive, so nothing can be judged", strings.Join(f.rules, ", "))
	}
	if f.samples != "" {
		return f.fromFile(cmd, w, counting)
	}
	if cmd.Flags().Changed("log") && f.logs != logsFlag(replay.LogsSettled) {
		return fmt.Errorf("--log %s: stored samples have no arrivals; only the settled log can be replayed from them", f.logs)
	}
	if !f.from.Before(f.to.Time) {
		return fmt.Errorf("--from %s is not before --to %s", &f.from, &f.to)
	}
	q := api.ReplayRequest{Rules: files, From: f.from.Time, To: f.to.Time, Begin: f.begin.Time, Customer: f.customer}
	if f.src.data == "" {
		cl, err := f.src.client()
		if err != nil {
			return err
		}
		return cl.ask(cmd.Context(), "/api/rules/replay", q, w)
	}
	return f.src.withRuleTools(nil, func(tools api.RuleTools, _ time.Time) error {
		return tools.Replay(cmd.Context(), w, q)
	})
}

func (f *replayFlags) fromFile(cmd *cobra.Command, w io.Writer, counting []ruleset.Group) error {
	var in io.Reader = cmd.InOrStdin()
	if f.samples != "-" {
		file, err := os.Open(f.samples)
		if err != nil {
			return fmt.Errorf("samples: %w", err)
		}
		defer file.Close()
		in = file
	}
	p := newProgress(cmd.ErrOrStderr())
	stats, err := replay.Samples(cmd.Context(), counting, bufio.NewReaderSize(in, 1<<20), w, replay.Options{
		Logs: replay.Logs(f.logs), Customer: f.customer, Progress: func(n int) { p.print(fmt.Sprintf("%d lines", n)) },
		Load: func(name string) ([]ruleset.Group, error) {
			_, groups, err := readRuleFiles(cmd, name)
			counting, _ := replay.Counting(groups)
			return counting, err
		},
	})
	p.end()
	if err != nil {
		return fmt.Errorf("replay of %s: %w", f.samples, err)
	}
	if stats.Refused+stats.Down > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s refused (another value for a timestamp, or more than 10 minutes ahead of engine time), %s while the engine was down\n",
			plural(stats.Refused, "sample"), plural(stats.Down, "line"))
	}
	return nil
}
