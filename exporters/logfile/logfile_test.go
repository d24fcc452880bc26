package logfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters/logfile"
	"watchkeeper/internal/sample"
)

type sink struct {
	batch sample.Batch
	err   error
}

func (s *sink) Append(_ context.Context, b sample.Batch) error {
	s.batch = b
	return s.err
}

// rig is a folder with a log that is followed.
type rig struct {
	t     testing.TB
	dir   string
	cfg   logfile.Config
	c     *logfile.Collector
	at    time.Time
	ended []string
}

func newRig(t testing.TB, dir string, change func(*logfile.Log)) *rig {
	t.Helper()
	l := logfile.Log{Name: "app", Path: filepath.Join(dir, "app.log")}
	l.SetDefaults()
	p := logfile.Pattern{Name: "error", Match: "ERROR"}
	p.SetDefaults()
	l.Patterns = []logfile.Pattern{p}
	if change != nil {
		change(&l)
	}
	r := &rig{t: t, dir: dir, at: time.UnixMilli(1_790_000_020_000)}
	r.cfg = logfile.DefaultConfig()
	r.cfg.Instance, r.cfg.Files = "web-1", []logfile.Log{l}
	r.restart()
	return r
}

func (r *rig) state() string { return filepath.Join(r.dir, "state", "logfile.json") }

// restart throws the collector away, as kill -9 does, and makes another.
func (r *rig) restart() {
	r.t.Helper()
	c, err := logfile.New("acme", r.cfg, r.state(), metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		r.t.Fatal(err)
	}
	r.c = c
}

// check makes a check and returns its samples, "metric dims" → value.
func (r *rig) check() map[string]float64 {
	r.t.Helper()
	r.at = r.at.Add(time.Minute)
	var s sink
	if err := r.c.Collect(context.Background(), r.at, &s); err != nil {
		r.t.Fatal(err)
	}
	r.ended = nil
	for _, e := range s.batch.Ends {
		r.ended = append(r.ended, e.Labels.String())
	}
	values := make(map[string]float64)
	for _, x := range s.batch.Samples {
		key := x.Labels.Get("__name__")
		for _, l := range []string{"pattern", "reason", "level", "n"} {
			if v := x.Labels.Get(l); v != "" {
				key += " " + v
			}
		}
		values[key] = x.V
	}
	return values
}

func (r *rig) want(what string, want map[string]float64) {
	r.t.Helper()
	got := r.check()
	for k := range got {
		if _, ok := want[k]; !ok {
			delete(got, k)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		r.t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func (r *rig) errors(what string, n float64) {
	r.t.Helper()
	r.want(what, map[string]float64{"log_matches_total error": n, "log_gaps_total truncated": 0, "log_gaps_total vanished": 0})
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name, text string) {
	r.t.Helper()
	f, err := os.OpenFile(r.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		r.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) rename(from, to string) {
	r.t.Helper()
	if err := os.Rename(r.path(from), r.path(to)); err != nil {
		r.t.Fatal(err)
	}
}

// copy copies a file into a new one, as copytruncate does.
func (r *rig) copy(from, to string) {
	r.t.Helper()
	b, err := os.ReadFile(r.path(from))
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(to), b, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) truncate(name string) {
	r.t.Helper()
	if err := os.Truncate(r.path(name), 0); err != nil {
		r.t.Fatal(err)
	}
}

func TestFirstStartBeginsAtTheEnd(t *testing.T) {
	r := newRig(t, t.TempDir(), nil)
	r.write("app.log", "ERROR old\nERROR half a li")
	r.write("app.log.1", "ERROR older\n")
	r.errors("what was there before is not counted", 0)
	r.write("app.log", "ne, begun before\nERROR 1\nfine\n")
	r.errors("what was added is", 1)
	r.restart()
	r.write("app.log", "ERROR 2\n")
	r.errors("a restart goes on", 2)
}

func TestFirstStartAtTheBegin(t *testing.T) {
	r := newRig(t, t.TempDir(), func(l *logfile.Log) { l.Start = "begin" })
	r.write("app.log", "ERROR 1\nERROR 2\n")
	r.write("app.log.1", "ERROR older\n")
	r.errors("the log, without what was rotated before", 2)
}

func TestRotations(t *testing.T) {
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprintf("down=%t", down), func(t *testing.T) {
			r := newRig(t, t.TempDir(), nil)
			r.errors("not there yet", 0)
			between := func() {
				if down {
					r.restart()
				}
			}
			r.write("app.log", "ERROR 1\n")
			r.errors("a log that appears is read from its start", 1)
			r.write("app.log", "ERROR 2\n")
			r.rename("app.log", "app.log.1")
			r.write("app.log.1", "ERROR 3\n") // the writer has not noticed yet
			r.write("app.log", "ERROR 4\n")
			between()
			r.errors("rename and create", 4)
			r.write("app.log", "ERROR 5\n")
			r.rename("app.log.1", "app.log.2")
			r.rename("app.log", "app.log.1")
			r.write("app.log", "ERROR 6\n")
			r.rename("app.log.2", "app.log.3")
			r.rename("app.log.1", "app.log.2")
			r.rename("app.log", "app.log.1")
			r.write("app.log", "ERROR 7\n")
			between()
			r.errors("two rotations between two checks", 7)
			r.write("app.log", "ERROR 8\n")
			r.copy("app.log", "app.log.1")
			r.truncate("app.log")
			r.write("app.log", "ERROR 9\n")
			between()
			r.errors("copy and truncate", 9)
			r.write("app.log", "ERROR 10\n")
			r.copy("app.log", "app.log.1")
			r.errors("a check between copy and truncate", 10)
			r.truncate("app.log")
			between()
			r.write("app.log", "ERROR 11\n")
			r.errors("and after it", 11)
			r.write("app.log", "ERROR 12 that is long enough to lie beyond\n")
			r.copy("app.log", "app.log.1")
			r.truncate("app.log")
			r.write("app.log", strings.Repeat("ERROR 13, longer than before\n", 50))
			between()
			r.errors("grown beyond the old position", 62)
		})
	}
}

func TestCopiesBesideTheLogAreNotRead(t *testing.T) {
	r := newRig(t, t.TempDir(), nil)
	r.errors("", 0)
	r.write("app.log", "ERROR 1\n")
	r.errors("", 1)
	r.copy("app.log", "app.log.bak")
	r.errors("somebody's copy", 1)
	r.write("app.log", "ERROR 2\n")
	r.errors("goes on", 2)
	r.rename("app.log", "app.log.1")
	r.write("app.log", "ERROR 3\n")
	r.errors("also after a rotation", 3)
}

func TestGapsAreTold(t *testing.T) {
	r := newRig(t, t.TempDir(), nil)
	r.errors("", 0)
	r.write("app.log", "ERROR 1\n")
	r.errors("", 1)
	r.truncate("app.log")
	r.write("app.log", "ERROR\n")
	r.want("emptied without a copy", map[string]float64{"log_matches_total error": 2, "log_gaps_total truncated": 1, "log_gaps_total vanished": 0})
	r.rename("app.log", "app.log.1.gz") // compressed at once
	for range 4 {
		r.check()
	}
	r.want("compressed before a check saw it", map[string]float64{"log_matches_total error": 2, "log_gaps_total truncated": 1, "log_gaps_total vanished": 1, "log_files": 0})
}

func TestGroupsAndLimit(t *testing.T) {
	r := newRig(t, t.TempDir(), func(l *logfile.Log) {
		l.Patterns = []logfile.Pattern{{Name: "level", Match: `level=(?P<level>\w+)`, Ignore: "healthz", MaxSeries: 2}}
	})
	r.check()
	r.write("app.log", "level=warn\nlevel=error\r\nlevel=warn\nlevel=fatal\nlevel=trace\nlevel=warn /healthz\nno level\n")
	want := map[string]float64{
		"log_matches_total level warn": 2, "log_matches_total level error": 1, "log_matches_total level _other_": 2,
		"log_lines_total": 7,
	}
	r.want("groups", want)
	r.restart()
	r.want("the same after a restart", want)
}

func TestLongLinesAndGarbage(t *testing.T) {
	r := newRig(t, t.TempDir(), func(l *logfile.Log) { l.MaxLineBytes, l.MaxBytesPerCheck = 100, 1000 })
	r.check()
	r.write("app.log", "ERROR "+strings.Repeat("x", 500)+" ERROR\n"+strings.Repeat("y", 300)+" ERROR beyond what is looked at\n")
	r.want("one long line counts once", map[string]float64{"log_matches_total error": 1, "log_lines_total": 2, "log_lines_truncated_total": 2, "log_unread_bytes": 0})
	r.write("app.log", strings.Repeat("\x00", 5000)+"\n\xff\xfeERROR\x80\n")
	for range 5 {
		r.check()
	}
	r.restart()
	r.want("zeros and broken bytes, over several checks", map[string]float64{"log_matches_total error": 2, "log_lines_total": 4, "log_lines_truncated_total": 3, "log_unread_bytes": 0})
	r.write("app.log", strings.Repeat("z", 250))
	r.check()
	r.restart()
	r.write("app.log", " ERROR\nERROR\n")
	r.want("a long line whose end comes after a restart", map[string]float64{"log_matches_total error": 3, "log_lines_total": 6, "log_lines_truncated_total": 4})
}

func TestReadingIsRationed(t *testing.T) {
	r := newRig(t, t.TempDir(), func(l *logfile.Log) { l.MaxLineBytes, l.MaxBytesPerCheck = 64, 256 })
	r.check()
	r.write("app.log", strings.Repeat("ERROR 789\n", 60))
	r.want("first check", map[string]float64{"log_matches_total error": 25, "log_unread_bytes": 350})
	r.rename("app.log", "app.log.1")
	r.write("app.log", "ERROR\n")
	r.check()
	r.want("the rest, rotated meanwhile", map[string]float64{"log_matches_total error": 61, "log_unread_bytes": 0})
}

func TestRemovedPatternsAndLogsEnd(t *testing.T) {
	r := newRig(t, t.TempDir(), nil)
	r.write("app.log", "x\n")
	r.check()
	r.cfg.Files[0].Patterns[0].Name = "fault"
	r.restart()
	var s sink
	s.err = errors.New("store is full")
	if err := r.c.Collect(t.Context(), r.at, &s); !errors.Is(err, s.err) {
		t.Fatal(err)
	}
	r.restart() // the end was not taken: it is told again
	r.check()
	want := []string{`{__name__="log_matches_total", customer="acme", instance="web-1", log="app", pattern="error", product="host"}`}
	if d := cmp.Diff(want, r.ended); d != "" {
		t.Error(d)
	}
	r.check()
	if r.ended != nil {
		t.Errorf("told twice: %v", r.ended)
	}
	r.restart()
	r.cfg.Files[0].Name = "other"
	r.restart()
	r.check()
	if len(r.ended) != 8 {
		t.Errorf("the old log's series end: %v", r.ended)
	}
}

func TestStateThatCannotBeReadBeginsAnew(t *testing.T) {
	for _, text := range []string{"{", `{"logs":{"app":{"records":[null,{"offset":9,"tail_len":5000}],"series":[null,{"pattern":"error","groups":["a"]}]}}}`} {
		r := newRig(t, t.TempDir(), nil)
		r.write("app.log", "ERROR\n")
		r.check()
		if err := os.WriteFile(r.state(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.restart()
		r.check()
	}
}

func TestUnreadableLog(t *testing.T) {
	r := newRig(t, t.TempDir(), nil)
	if err := os.Mkdir(r.path("app.log"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.want("a folder is no log", map[string]float64{"log_files": 0, "log_matches_total error": 0})
}

func TestStoppedAmidReading(t *testing.T) {
	r := newRig(t, t.TempDir(), nil)
	r.check()
	r.write("app.log", strings.Repeat("ERROR\n", 1000))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.c.Collect(ctx, r.at, &sink{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r.errors("nothing lost, nothing twice", 1000)
}

func TestRefusedConfigurations(t *testing.T) {
	f := func(want string, change func(*logfile.Log)) {
		t.Helper()
		r := newRig(t, t.TempDir(), nil)
		change(&r.cfg.Files[0])
		if err := r.cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("files[0].path", func(l *logfile.Log) { l.Path = "" })
	f("files[0].rotated[0]", func(l *logfile.Log) { l.Rotated = []string{"["} })
	f("files[0].start", func(l *logfile.Log) { l.Start = "middle" })
	f("files[0].max_bytes_per_check", func(l *logfile.Log) { l.MaxBytesPerCheck = 1 })
	f("files[0].patterns", func(l *logfile.Log) { l.Patterns = nil })
	f("files[0].patterns[0].match", func(l *logfile.Log) { l.Patterns[0].Match = "(" })
	f("label is taken", func(l *logfile.Log) { l.Patterns[0].Match = "(?P<log>x)" })
	f("files[0].patterns[0].max_series", func(l *logfile.Log) { l.Patterns[0].MaxSeries = 0 })
}

func BenchmarkFollow(b *testing.B) {
	r := newRig(b, b.TempDir(), func(l *logfile.Log) {
		l.Patterns = []logfile.Pattern{{Name: "level", Match: `level=(?P<level>\w+)`, MaxSeries: 10}, {Name: "error", Match: "ERROR", MaxSeries: 1}}
	})
	r.check()
	text := bytes.Repeat([]byte("2026-11-22T10:00:00Z level=info msg=\"request served\" path=/shop/cart duration=12ms\n"), 10_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r.write("app.log", string(text))
		r.check()
	}
}
