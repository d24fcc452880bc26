//go:build services

package services

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/exporters/exposition"
	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
)

// exporterCommand runs what 'watchkeeper exporter' runs and returns its address.
func exporterCommand(t *testing.T, text string) (address string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "watchkeeper.yml")
	write(t, file, text)
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	log := &output{}
	e, err := app.NewExporter(cfg, "127.0.0.1:0", exposition.DefaultConfig(), slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, e.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("log of the exporter:\n%s", log)
		}
	})
	return strings.TrimPrefix(e.URL(), "http://")
}

// checkMetrics is what promtool says of a page. Its advice on names (total,
// help) fails the call as a syntax error does, so the text tells them apart.
func checkMetrics(t *testing.T, page string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), program(t, "promtool"), "check", "metrics")
	c.Stdin = strings.NewReader(page)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	var exit *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String()
}
