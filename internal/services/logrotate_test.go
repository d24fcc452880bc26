//go:build services

package services

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/logfile"
	"watchkeeper/internal/sample"
)

// lastBatch keeps what a collector delivered last.
type lastBatch struct{ batch sample.Batch }

// Append implements exporters.Sink.
func (l *lastBatch) Append(_ context.Context, b sample.Batch) error {
	l.batch = b
	return nil
}

func (l *lastBatch) value(metric, n string) float64 {
	for _, x := range l.batch.Samples {
		if x.Labels.Get("__name__") == metric && x.Labels.Get("n") == n {
			return x.V
		}
	}
	return 0
}

// TestLogrotate rotates a log with the real logrotate while a shell writes, and
// restarts the collector: every line is counted once.
func TestLogrotate(t *testing.T) {
	const lines = 3000
	dir := t.TempDir()
	log := filepath.Join(dir, "app.log")
	write(t, log, "")
	rotate := func(options string) {
		t.Helper()
		conf := filepath.Join(dir, "rotate.conf")
		write(t, conf, fmt.Sprintf("%q {\n%s\nrotate 50\nmissingok\n}\n", log, options))
		called(t, program(t, "logrotate"), "--force", "--state", filepath.Join(dir, "rotate.state"), conf)
	}
	var c *logfile.Collector
	restart := func() {
		t.Helper()
		cfg := logfile.DefaultConfig()
		l := logfile.Log{Name: "app", Path: log}
		l.SetDefaults()
		l.Patterns = []logfile.Pattern{{Name: "line", Match: `^line (?P<n>\d+)$`, MaxSeries: 2 * lines}}
		cfg.Files = []logfile.Log{l}
		var err error
		if c, err = logfile.New("acme", cfg, filepath.Join(dir, "state", "logfile.json"), metrics.NewSet(), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
	}
	var last lastBatch
	check := func() {
		t.Helper()
		if err := c.Collect(t.Context(), time.Now(), &last); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	check()
	// The shell opens the log for each line, as a program does that is told to reopen.
	writer := exec.Command("/bin/sh", "-c", fmt.Sprintf(`i=0; while [ $i -lt %d ]; do i=$((i+1)); echo "line $i" >>"$1"; /bin/true; done`, lines), "sh", log)
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- writer.Wait() }()
	rotations := 0
	for running := true; running; rotations++ {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		rotate("nocreate\ncompress\ndelaycompress")
		if rotations%3 == 0 {
			restart()
		}
		check()
	}
	write(t, log, fmt.Sprintf("line %d\n", lines+1))
	check()
	rotate("copytruncate")
	write(t, log, fmt.Sprintf("line %d\n", lines+2))
	restart()
	for range 5 {
		check()
	}
	for n := 1; n <= lines+2; n++ {
		if got := last.value("log_matches_total", fmt.Sprint(n)); got != 1 {
			t.Fatalf("after %d rotations line %d is counted %g times", rotations, n, got)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "app.log*"))
	if err != nil {
		t.Fatal(err)
	}
	if rotations < 3 || !strings.Contains(strings.Join(files, " "), ".gz") {
		t.Errorf("%d rotations: %v", rotations, files)
	}
}
