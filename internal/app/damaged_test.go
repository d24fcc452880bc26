package app_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
	"watchkeeper/internal/sample"
)

// pastFloat is a stored sample.
type pastFloat struct {
	chunks.Sample
	t int64
	v float64
}

func (s pastFloat) T() int64               { return s.t }
func (s pastFloat) F() float64             { return s.v }
func (pastFloat) ST() int64                { return 0 }
func (pastFloat) Type() chunkenc.ValueType { return chunkenc.ValFloat }
func (s pastFloat) Copy() chunks.Sample    { return s }

// A block of months ago with a damaged chunk of up-samples: the server starts, says so,
// and judges.
func TestDamagedBlockOfMonthsAgo(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	file := pushConfig(t, routing)
	s := serve(t, file)
	apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("mail"), 20, 21, 22, 23)...)
	s.incident(incident.Firing)
	s.stop()

	at := time.Now().Add(-100 * 24 * time.Hour).Truncate(2 * time.Hour)
	var ups []chunks.Sample
	for n := range 100 {
		ups = append(ups, pastFloat{t: at.Add(time.Duration(n) * time.Minute).UnixMilli(), v: 1})
	}
	up := labels.FromStrings("__name__", sample.UpMetric, "customer", "erp", "source", "push/erp")
	block, err := tsdb.CreateBlock([]storage.Series{storage.NewListSeries(up, ups)}, filepath.Join(filepath.Dir(file), "data", "tsdb"), 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	chunk := filepath.Join(block, "chunks", "000001")
	b, err := os.ReadFile(chunk)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-10] ^= 0xff
	if err := os.WriteFile(chunk, b, 0o600); err != nil {
		t.Fatal(err)
	}

	s = serve(t, file)
	if log := s.log.String(); !strings.Contains(log, "samples cannot be read: judging goes on") || !strings.Contains(log, filepath.Base(block)) {
		t.Errorf("the log does not say that samples cannot be read, and where")
	}
	s.incident(incident.Firing)
	apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("print"), 20, 21, 22, 23)...)
	apptest.Until(t, "judging goes on", func() bool { return len(s.incidents("state=firing")) == 2 })
}
