package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/property"
)

func open(t testing.TB, path string) (*Journal, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	j, err := Open(path, slog.New(slog.NewTextHandler(&log, nil)), metrics.NewSet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, &log
}

func each(t testing.TB, j *Journal) []Record {
	t.Helper()
	var rs []Record
	if err := j.Each(func(r Record) error { rs = append(rs, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return rs
}

func diff(t testing.TB, want, got []Record) {
	t.Helper()
	bits := cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })
	if d := cmp.Diff(want, got, bits, cmp.Comparer(labels.Equal)); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
}

func end(i int64) Record {
	return Record{Kind: KindEnd, Customer: "acme", Source: "host", Labels: labels.FromStrings("__name__", "x", "i", fmt.Sprint(i)), T: i, Reason: "deleted"}
}

func TestRecordsComeBackBitForBit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path)
	want := []Record{
		{Kind: KindContact, Customer: "acme", Source: "a/b", Arrive: -5},
		{Kind: KindSeries, Labels: labels.FromStrings("__name__", "名", "tab", "a\tb\n\"\\", "html", "<&>\u2028"), T: math.MaxInt64},
	}
	for _, v := range []float64{0, math.Copysign(0, -1), 1.1, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1),
		math.NaN(), math.Float64frombits(value.StaleNaN), math.Float64frombits(value.NormalNaN), math.Float64frombits(0xfff8000000000001)} {
		want = append(want, Record{Kind: KindLate, V: v})
	}
	if err := j.Append(want...); err != nil {
		t.Fatal(err)
	}
	diff(t, want, each(t, j))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, _ = open(t, path)
	diff(t, want, each(t, j))
	ro, err := OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, want, each(t, ro))
	if err := ro.Append(end(1)); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Append: %v", err)
	}
}

func TestEveryTornEndIsCutAndReported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path)
	if err := j.Append(end(1), end(2)); err != nil {
		t.Fatal(err)
	}
	kept := j.size
	if err := j.Append(end(3)); err != nil {
		t.Fatal(err)
	}
	full, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := kept + 1; n < int64(len(full)); n++ {
		torn := append(bytes.Clone(full[:n]), make([]byte, n%3)...) // some with zeros behind
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		ro, err := OpenReadOnly(path)
		if err != nil {
			t.Fatal(err)
		}
		diff(t, []Record{end(1), end(2)}, each(t, ro))
		j, log := open(t, path)
		if !strings.Contains(log.String(), fmt.Sprintf("offset=%d", kept)) {
			t.Fatalf("cut at %d not reported: %s", n, log)
		}
		if err := j.Append(end(4)); err != nil {
			t.Fatal(err)
		}
		diff(t, []Record{end(1), end(2), end(4)}, each(t, j))
	}
}

func TestDamageInTheMiddleNamesItsOffset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path)
	if err := j.Append(end(1)); err != nil {
		t.Fatal(err)
	}
	at := j.size
	if err := j.Append(end(2), end(3)); err != nil {
		t.Fatal(err)
	}
	full, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	full[at+20] ^= 1
	if err := os.WriteFile(path, full, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, slog.New(slog.DiscardHandler), metrics.NewSet())
	var ce *CorruptError
	if !errors.As(err, &ce) || ce.Offset != at || !strings.Contains(err.Error(), fmt.Sprintf("byte %d", at)) {
		t.Fatalf("error %v, want offset %d", err, at)
	}
}

func TestConcurrentAppendsStayWhole(t *testing.T) {
	j, _ := open(t, filepath.Join(t.TempDir(), "journal"))
	var wg sync.WaitGroup
	for i := range int64(50) {
		wg.Go(func() {
			if err := j.Append(end(2*i), end(2*i+1)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := each(t, j)
	if len(got) != 100 {
		t.Fatalf("%d records", len(got))
	}
	for i := 0; i < len(got); i += 2 {
		if got[i].T%2 != 0 || got[i+1].T != got[i].T+1 {
			t.Errorf("records %d and %d came apart", got[i].T, got[i+1].T)
		}
	}
	if n := j.syncs.Get(); n > 50 {
		t.Errorf("%d syncs for 50 callers", n)
	}
}

// faulty fails the n-th call of write, sync or truncate.
type faulty struct {
	file
	write, sync, truncate int
}

var errIO = errors.New("no space left")

func hit(n *int) bool { *n--; return *n == 0 }

func (f *faulty) Write(b []byte) (int, error) {
	if hit(&f.write) {
		n, _ := f.file.Write(b[:len(b)/2])
		return n, errIO
	}
	return f.file.Write(b)
}

func (f *faulty) Sync() error {
	if hit(&f.sync) {
		return errIO
	}
	return f.file.Sync()
}

func (f *faulty) Truncate(n int64) error {
	if hit(&f.truncate) {
		return errIO
	}
	return f.file.Truncate(n)
}

func TestFailedWritesLeaveNothingBehind(t *testing.T) {
	for name, c := range map[string]struct {
		faulty
		goesOn bool // a later append may succeed
	}{
		"write":              {faulty{write: 2}, true},
		"sync":               {faulty{sync: 2}, false},
		"write and truncate": {faulty{write: 2, truncate: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			j, _ := open(t, path)
			c.file = j.f
			j.f = &c.faulty
			if err := j.Append(end(1)); err != nil {
				t.Fatal(err)
			}
			if err := j.Append(end(2)); !errors.Is(err, errIO) {
				t.Fatalf("error %v", err)
			}
			diff(t, []Record{end(1)}, each(t, j))
			want := []Record{end(1)}
			if err := j.Append(end(3)); (err == nil) != c.goesOn {
				t.Fatalf("afterwards: %v", err)
			} else if err == nil {
				want = append(want, end(3))
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if name == "sync" {
				want = append(want, end(2)) // written, not promised
			}
			j, _ = open(t, path)
			diff(t, want, each(t, j))
		})
	}
}

func TestPrintedRecordsParse(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		want := Record{
			Kind:     rapid.SampledFrom([]Kind{KindSeries, KindLate, KindForced}).Draw(rt, "kind"),
			Customer: rapid.String().Draw(rt, "customer"),
			Labels:   labels.FromMap(rapid.MapOf(rapid.StringN(1, 5, -1), rapid.StringN(1, 5, -1)).Draw(rt, "labels")),
			T:        rapid.Int64().Draw(rt, "t"),
			V:        math.Float64frombits(rapid.Uint64().Draw(rt, "v")),
		}
		line, err := appendLine(nil, want)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := decodeLine(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			rt.Fatal(err)
		}
		diff(t, []Record{want}, []Record{got})
	})
}

func FuzzScan(f *testing.F) {
	line, err := appendLine(nil, end(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add(append(bytes.Clone(line), line...))
	f.Add(append(bytes.Clone(line), line[:20]...))
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		good, total, err := scan("f", bytes.NewReader(b), func(Record, []byte) error { n++; return nil })
		if good > total || total > int64(len(b)) || err == nil && total != int64(len(b)) {
			t.Fatalf("good %d, total %d of %d", good, total, len(b))
		}
		again := 0
		g2, _, err := scan("f", io.LimitReader(bytes.NewReader(b), good), func(Record, []byte) error { again++; return nil })
		if err != nil || g2 != good || again != n {
			t.Fatalf("the good part reads differently: %d %d %d %d %v", good, g2, n, again, err)
		}
	})
}

// A line that could not be read again is never written.
func TestALineThatIsTooLongIsRefused(t *testing.T) {
	j, _ := open(t, filepath.Join(t.TempDir(), "journal"))
	r := end(1)
	r.Reason = strings.Repeat("<", maxLine/6) // six bytes each in JSON
	if err := j.Append(end(0), r); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("error %v", err)
	}
	if err := j.Append(end(2)); err != nil {
		t.Fatal(err)
	}
	for _, r := range each(t, j) {
		if r.T == 1 {
			t.Error("the line was written")
		}
	}
}
