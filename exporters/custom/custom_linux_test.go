package custom

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

var (
	quiet = slog.New(slog.DiscardHandler)
	at    = time.UnixMilli(1_790_000_020_000)
)

type sink struct {
	batch sample.Batch
	err   error
}

func (s *sink) Append(_ context.Context, b sample.Batch) error {
	s.batch = b
	return s.err
}

// check makes a check and returns its samples without identity and duration.
func check(t *testing.T, c exporters.Collector) (values, ends []string) {
	t.Helper()
	var s sink
	if err := c.Collect(t.Context(), at, &s); err != nil {
		t.Fatal(err)
	}
	if len(s.batch.Ups) != 1 || !s.batch.Ups[0].OK {
		t.Errorf("ups %v", s.batch.Ups)
	}
	for _, x := range s.batch.Samples {
		if x.Labels.Get("customer") != "acme" || x.Labels.Get("instance") != "web-1" {
			t.Errorf("identity of %s", x.Labels)
		}
		if name := x.Labels.Get("__name__"); name != metricDurationSeconds {
			line := fmt.Sprintf("%s %g", short(x.Labels), x.V)
			if x.T != at.UnixMilli() {
				line += fmt.Sprintf(" @%d", x.T)
			}
			values = append(values, line)
		}
	}
	for _, e := range s.batch.Ends {
		ends = append(ends, short(e.Labels)+": "+e.Reason)
	}
	slices.Sort(ends)
	return values, ends
}

func short(l labels.Labels) string {
	return labels.NewBuilder(l).Del("customer", "product", "instance", "command").Labels().String()
}

func newExec(script, format string, change func(*Command)) *Exec {
	c := Command{Name: "x"}
	c.SetDefaults()
	c.Shell, c.Format = script, format
	if change != nil {
		change(&c)
	}
	return NewExec("acme", "web-1", c, metrics.NewSet(), quiet)
}

func good(lines ...string) []string {
	return append([]string{`{__name__="custom_state"} 0`, `{__name__="custom_exit_code"} 0`}, lines...)
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		name, script, format string
		want                 []string
	}{
		{"value", "echo ' 42.5 '", formatValue, good(`{__name__="custom_value"} 42.5`)},
		{"lines", `printf '# queues\norders 3\n"two words" -1e3\n'`, formatLines,
			good(`{__name__="custom_value", item="orders"} 3`, `{__name__="custom_value", item="two words"} -1000`)},
		{"zabbix", `printf '%s\n' '- app.users 7' '"db 1" "key[\"a\",b]" 8'`, formatZabbix,
			good(`{__name__="custom_value", item="app.users"} 7`, `{__name__="custom_value", item="key[\"a\",b]", zabbix_host="db 1"} 8`)},
		{"prometheus", `printf 'app_users{instance="own",kind="a"} 7\napp_old 1 1789999999000\n'`, formatPrometheus,
			good(`{__name__="app_users", exported_instance="own", kind="a"} 7`, `{__name__="app_old"} 1 @1789999999000`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := check(t, newExec(c.script, c.format, nil))
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFailuresAreValues(t *testing.T) {
	state := func(code int, more ...string) []string {
		return append([]string{fmt.Sprintf(`{__name__="custom_state"} %d`, code)}, more...)
	}
	exit := func(code int) string { return fmt.Sprintf(`{__name__="custom_exit_code"} %d`, code) }
	for _, c := range []struct {
		name, script, format string
		change               func(*Command)
		want                 []string
	}{
		{"exit code", "echo 1; exit 3", formatValue, nil, state(stateExit, exit(3))},
		{"timeout", "echo 1; sleep 1000", formatValue, func(c *Command) { c.Timeout = model.Duration(50 * time.Millisecond) }, state(stateTimeout)},
		{"no number", "echo ERROR: no such table", formatValue, nil, state(stateOutput, exit(0))},
		{"nothing", "true", formatValue, nil, state(stateOutput, exit(0))},
		{"two numbers", "echo 1; echo 2", formatValue, nil, state(stateOutput, exit(0), `{__name__="custom_value"} 1`)},
		{"one bad line of three", `printf 'a 1\nb\nc 3\n'`, formatLines, nil,
			state(stateOutput, exit(0), `{__name__="custom_value", item="a"} 1`, `{__name__="custom_value", item="c"} 3`)},
		{"open quote", `echo '"a 1'`, formatLines, nil, state(stateOutput, exit(0))},
		{"bad text", `printf 'a 1\n}\n'`, formatPrometheus, nil, state(stateOutput, exit(0), `{__name__="a"} 1`)},
		{"a script that says all is well", `printf 'custom_state{command="y"} 0\n'`, formatPrometheus, nil, state(stateOutput, exit(0))},
		{"endless output", "yes 1", formatLines, nil, state(stateTooMuch)},
		{"too many values", "seq 1 20 | sed 's/$/ 1/'", formatLines, func(c *Command) { c.MaxSeries = 10 }, state(stateTooMuch, exit(0))},
		{"not there", "", formatValue, func(c *Command) { c.Shell, c.Argv = "", []string{"/nowhere"} }, state(stateNotStarted)},
		{"signal", "kill -9 $$", formatValue, nil, state(stateSignal, exit(-1))},
		{"garbage", "head -c 5000 /dev/urandom", formatLines, nil, state(stateOutput, exit(0))},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newExec(c.script, c.format, c.change)
			got, _ := check(t, e)
			if c.name == "too many values" || c.name == "garbage" {
				got = got[:1:1]
				c.want = c.want[:1]
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSeriesThatLeaveTheOutputEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	write(t, file, "a 1\nb 2\n")
	e := newExec(fmt.Sprintf("cat %q", file), formatLines, nil)
	check(t, e)
	write(t, file, "a 1\nnonsense\n")
	if _, ends := check(t, e); ends != nil {
		t.Errorf("an output that was not understood ends nothing: %v", ends)
	}
	write(t, file, "a 1\n")
	want := []string{`{__name__="custom_value", item="b"}: no longer in the output`}
	if _, ends := check(t, e); !cmp.Equal(want, ends) {
		t.Error(cmp.Diff(want, ends))
	}
	if _, ends := check(t, e); ends != nil {
		t.Errorf("told twice: %v", ends)
	}
}

func TestRefusedByTheStore(t *testing.T) {
	s := sink{err: errors.New("disk full")}
	if err := newExec("echo 1", formatValue, nil).Collect(t.Context(), at, &s); !errors.Is(err, s.err) {
		t.Errorf("got %v", err)
	}
}

func TestStoppedIsNobodysFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newExec("sleep 1000", formatValue, nil).Collect(ctx, at, &sink{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func newTextFiles(t *testing.T, change func(*TextFilesConfig), folders ...string) *TextFiles {
	t.Helper()
	c := DefaultConfig()
	c.TextFiles.Folders = folders
	if change != nil {
		change(&c.TextFiles)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return NewTextFiles("acme", "web-1", c.TextFiles, metrics.NewSet(), quiet)
}

func TestTextFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	put := func(name, text string) {
		t.Helper()
		write(t, path(name), text)
		if err := os.Chtimes(path(name), at, at.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	put("a.prom", "# TYPE jobs counter\njobs{q=\"x\"} 1\n")
	put("b.prom", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n")
	put("notes.txt", "not read")
	put("c.prom.tmp", "being written")
	c := newTextFiles(t, nil, dir)
	step := func(what string, want, wantEnds []string) {
		t.Helper()
		got, ends := check(t, c)
		for i := range got {
			got[i] = strings.ReplaceAll(got[i], dir+"/", "")
		}
		for i := range ends {
			ends[i] = strings.ReplaceAll(ends[i], dir+"/", "")
		}
		got = slices.DeleteFunc(got, func(s string) bool { return strings.Contains(s, "unread") || strings.Contains(s, "mtime") })
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", what, d)
		}
		if d := cmp.Diff(wantEnds, ends); d != "" {
			t.Errorf("%s: ends:\n%s", what, d)
		}
	}
	ok := func(name string, failed int) string {
		return fmt.Sprintf(`{__name__="custom_text_file_error", file=%q} %d`, name, failed)
	}
	a, h := []string{`{__name__="jobs", q="x"} 1`}, []string{`{__name__="h_bucket", le="+Inf"} 2`, `{__name__="h_sum"} 3`, `{__name__="h_count"} 2`}
	step("two files", slices.Concat([]string{ok("a.prom", 0), ok("b.prom", 0)}, a, h), nil)
	put("b.prom", "h_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_co")
	step("half written: silent, not ended", slices.Concat([]string{ok("a.prom", 0), ok("b.prom", 1)}, a), nil)
	put("b.prom", "jobs{q=\"x\"} 5\n")
	step("a series of another file", slices.Concat([]string{ok("a.prom", 0), ok("b.prom", 1)}, a), nil)
	put("b.prom", "h_sum 3 1790000000000\n")
	step("a time of its own", slices.Concat([]string{ok("a.prom", 0), ok("b.prom", 1)}, a), nil)
	put("b.prom", "h_sum 3\n")
	step("good again; what is not in it ends", slices.Concat([]string{ok("a.prom", 0), ok("b.prom", 0)}, a, h[1:2]),
		[]string{`{__name__="h_bucket", le="+Inf"}: removed`, `{__name__="h_count"}: removed`})
	if err := os.Remove(path("a.prom")); err != nil {
		t.Fatal(err)
	}
	step("removed", slices.Concat([]string{ok("b.prom", 0)}, h[1:2]), []string{
		`{__name__="custom_text_file_error", file="a.prom"}: removed`,
		`{__name__="custom_text_file_mtime_seconds", file="a.prom"}: removed`,
		`{__name__="jobs", q="x"}: removed`,
	})
	got, _ := check(t, c)
	mtime := fmt.Sprintf(`{__name__="custom_text_file_mtime_seconds", file=%q} %g`, path("b.prom"), float64(at.Add(-time.Hour).Unix()))
	if !slices.Contains(got, mtime) {
		t.Errorf("%s is not in %v", mtime, got)
	}
}

func TestTextFileLimitsAndFolders(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "big.prom"), strings.Repeat("# x\n", 1000))
	write(t, filepath.Join(dir, "many.prom"), "a 1\nb 1\nc 1\n")
	if err := os.Mkdir(filepath.Join(dir, "folder.prom"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := newTextFiles(t, func(c *TextFilesConfig) { c.MaxFileBytes, c.MaxSeries = 1000, 2 }, dir, filepath.Join(dir, "nowhere"))
	got, _ := check(t, c)
	var failed, unread int
	for _, l := range got {
		if strings.Contains(l, "error") && strings.HasSuffix(l, " 1") {
			failed++
		}
		if strings.Contains(l, "unread_folders") && strings.HasSuffix(l, " 1") {
			unread++
		}
	}
	if failed != 3 || unread != 1 {
		t.Errorf("%d files failed, %d folders: %v", failed, unread, got)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := DefaultConfig()
		x := Command{Name: "x", Shell: "true"}
		x.SetDefaults()
		c.Commands = []Command{x}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("commands[0].name", func(c *Config) { c.Commands[0].Name = "" })
	f("commands[1].name", func(c *Config) { c.Commands = append(c.Commands, c.Commands[0]) })
	f("commands[0].argv", func(c *Config) { c.Commands[0].Argv = []string{"/bin/true"} })
	f("commands[0].argv[0]", func(c *Config) { c.Commands[0].Shell, c.Commands[0].Argv = "", []string{"true"} })
	f("commands[0].format", func(c *Config) { c.Commands[0].Format = "json" })
	f("commands[0].timeout", func(c *Config) { c.Commands[0].Timeout = c.Commands[0].Interval })
	f("text_files.interval", func(c *Config) { c.TextFiles.Interval = 0 })
	f("text_files.max_series", func(c *Config) { c.TextFiles.MaxSeries = 0 })
}

// TestJobs: each command has a job of its own.
func TestJobs(t *testing.T) {
	c := DefaultConfig()
	for _, n := range []string{"a", "b"} {
		x := Command{Name: n, Shell: "true"}
		x.SetDefaults()
		c.Commands = append(c.Commands, x)
	}
	c.Instance, c.TextFiles.Folders = "web-1", []string{"/var/lib/metrics"}
	jobs, err := Jobs("acme", c, metrics.NewSet(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, j := range jobs {
		names = append(names, j.Collector.Source().Name)
	}
	if d := cmp.Diff([]string{"exec/web-1/a", "exec/web-1/b", "textfile/web-1"}, names); d != "" {
		t.Error(d)
	}
	if jobs[0].Revision == jobs[1].Revision {
		t.Error("different commands have one revision")
	}
}
