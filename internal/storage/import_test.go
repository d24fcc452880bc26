package storage

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/internal/sample"
)

func importText(s *Store, text string) (ImportStats, error) {
	return s.Import(context.Background(), strings.NewReader(text), "acme", nil)
}

// om writes one OpenMetrics line of cpu.
func om(instance string, t int64, v float64) string {
	return fmt.Sprintf("cpu_percent{instance=%q} %v %.3f\n", instance, v, float64(t)/1000)
}

func TestImportIsSeenAtOnceAndAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, clock)
	mustAppend(t, s, samples(at("a", base, 1), at("a", base+minute, 2)))
	month := base - 30*24*60*minute
	text := "# HELP cpu_percent Help.\n# TYPE cpu_percent gauge\n" +
		om("a", month, 10) + om("b", month, 20) + om("b", month+3*24*60*minute, 21) +
		om("a", base, 1) + om("a", base+minute, 9) + om("a", base+2*minute, 3) + // stored, conflict, new
		"# EOF\n"
	stats, err := importText(s, text)
	if err != nil {
		t.Fatal(err)
	}
	if stats.Samples != 4 || stats.Duplicates != 1 || stats.Conflicts != 1 || stats.Series != 2 || stats.Blocks != 3 {
		t.Errorf("stats %+v", stats)
	}
	// What was imported counts for later samples.
	res := mustAppend(t, s, samples(at("a", base+2*minute, 4), at("a", base+2*minute, 3), at("a", base+3*minute, 5)))
	diff(t, "reasons", []Reason{ReasonConflict}, reasons(res))
	diff(t, "duplicates", 1, res.Duplicates)
	want := values(float64(month), 10, float64(base), 1, float64(base+minute), 2, float64(base+2*minute), 3, float64(base+3*minute), 5)
	diff(t, "a", want, dump(t, s, cpu("a")))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, clock)
	diff(t, "a after a restart", want, dump(t, s, cpu("a")))
	left, err := filepath.Glob(filepath.Join(dir, importPrefix+"*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestImportErrorsNameTheLineAndStoreNothing(t *testing.T) {
	ok := om("a", base, 1)
	for name, c := range map[string]struct{ text, want string }{
		"no end":        {ok, "line 2: the text does not end with # EOF"},
		"text after":    {ok + "# EOF\n" + ok, "line 3: text after # EOF"},
		"no timestamp":  {ok + "cpu_percent 1\n# EOF\n", "line 2: cpu_percent: no timestamp"},
		"garbage":       {ok + ok + "{{{\n# EOF\n", "line 3:"},
		"blank":         {ok + "\n# EOF\n", "line 2:"},
		"second value":  {ok + om("a", base, 2) + "# EOF\n", "line 2:"},
		"backwards":     {"# TYPE x gauge\n" + ok + om("a", base-1, 2) + "# EOF\n", "line 3: samples out of order"},
		"future":        {om("a", clock+11*minute, 1) + "# EOF\n", "too far in the future"},
		"too old":       {om("a", clock-401*24*60*minute, 1) + "# EOF\n", "beyond the retention"},
		"customer":      {"x{customer=\"other\"} 1 1\n# EOF\n", "customer of another"},
		"after a chunk": {strings.Repeat(ok, 20_000) + "bad line\n# EOF\n", "line 20001:"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			_, err := importText(s, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if got := dump(t, s, cpu("a")); len(got) > 0 {
				t.Errorf("stored %v", got)
			}
		})
	}
}

func TestImporterTakesBatches(t *testing.T) {
	s := open(t)
	im, err := s.NewImporter()
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(3) {
		ts := base - (100-i)*24*60*minute
		b := samples(at("a", ts, float64(i)))
		b.Source, b.Ups = acme, []sample.Up{{T: ts, OK: true}}
		if err := im.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := im.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(dump(t, s, factLabels(sample.UpMetric, acme))); n != 3 {
		t.Errorf("%d up-samples", n)
	}
	if src, ok := s.SourceOf(cpu("a")); !ok || src != acme {
		t.Errorf("SourceOf = %v, %v", src, ok)
	}
}

func TestReadOnlySeesEverythingAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, clock)
	mustAppend(t, s, samples(at("a", base, 1), at("a", base+2*minute, 3)))
	mustAppend(t, s, samples(at("a", base+minute, 2)))
	if _, err := importText(s, om("a", base+3*minute, 4)+"# EOF\n"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, samples(at("a", base+4*minute, 5)))
	want := dump(t, s, cpu("a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	r, err := OpenReadOnly(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "read", want, dump(t, r, cpu("a")))
	if len(want) != 5 {
		t.Errorf("%d samples", len(want))
	}
	if _, err := r.Append(context.Background(), sample.Batch{Source: acme}); err != ErrReadOnly {
		t.Errorf("Append: %v", err)
	}
	if src, ok := r.SourceOf(cpu("a")); !ok || src != acme {
		t.Errorf("SourceOf = %v, %v", src, ok)
	}
	sandbox := r.sandbox
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	diff(t, "folder", before, tree(t, dir))
	if _, err := os.Stat(sandbox); !os.IsNotExist(err) {
		t.Errorf("sandbox left: %v", err)
	}
}

// tree returns size and change time of each file under dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			out[path] = fmt.Sprint(info.Size(), info.ModTime())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func BenchmarkImportAMonthOfMinutes(b *testing.B) {
	const perSeries = 30 * 24 * 60
	for b.Loop() {
		s := openAt(b, b.TempDir(), clock)
		im, err := s.NewImporter()
		if err != nil {
			b.Fatal(err)
		}
		for i := range int64(perSeries) {
			ts := base - (perSeries-i)*minute
			batch := sample.Batch{Source: acme, Ups: []sample.Up{{T: ts, OK: true}}}
			for _, inst := range []string{"a", "b", "c", "d", "e"} {
				batch.Samples = append(batch.Samples, at(inst, ts, float64(i%60)))
			}
			if err := im.Append(batch); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := im.Commit(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*6*perSeries)/b.Elapsed().Seconds(), "samples/s")
}
