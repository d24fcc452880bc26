package app_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"watchkeeper/exporters/exposition"
	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
	"watchkeeper/internal/datadir"
)

// Two exporters never send from one queue.
func TestExporterHoldsItsQueue(t *testing.T) {
	t.Parallel()
	conf := placeConfig(t, "a", newSite(t), newRoad(t))
	open := func() (*app.Exporter, error) {
		cfg, err := config.Load(conf)
		if err != nil {
			t.Fatal(err)
		}
		return app.NewExporter(cfg, "127.0.0.1:0", exposition.DefaultConfig(), slog.New(slog.DiscardHandler))
	}
	first, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(); !errors.Is(err, datadir.ErrInUse) || !strings.Contains(err.Error(), "remote_write: queue: ") {
		t.Errorf("a second exporter: error %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := open()
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
