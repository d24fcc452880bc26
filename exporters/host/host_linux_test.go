package host

import (
	"bufio"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/internal/sample"
)

// collectTwice returns the samples of two checks.
func collectTwice(t *testing.T) (first, second map[string]float64, all batches) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Instance = "web-1"
	c, err := New("acme", cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1_700_000_020_000)
	for i := range 2 {
		if err := c.Collect(t.Context(), at.Add(time.Duration(i)*time.Minute), &all); err != nil {
			t.Fatal(err)
		}
		burn(50 * time.Millisecond)
	}
	return byLabels(all[0]), byLabels(all[1]), all
}

// burn uses CPU, since /proc/stat counts in hundredths of a second.
func burn(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}

// byLabels keys values by the metric's name and its labels besides identity.
func byLabels(b sample.Batch) map[string]float64 {
	m := make(map[string]float64)
	for _, s := range b.Samples {
		key := s.Labels.Get("__name__")
		for _, l := range []string{"mode", "mountpoint", "device"} {
			if v := s.Labels.Get(l); v != "" && key != metricFilesystemInfo {
				key += " " + v
			}
		}
		m[key] = s.V
	}
	return m
}

func TestBatchCarriesWhatJudgingNeeds(t *testing.T) {
	_, _, all := collectTwice(t)
	for i, b := range all {
		at := int64(1_700_000_020_000 + i*60_000)
		if b.Source != (sample.Source{Customer: "acme", Name: "host/web-1"}) || b.Watermark != sample.Current || b.FillIn {
			t.Errorf("batch of %v with watermark %d, fill-in %t", b.Source, b.Watermark, b.FillIn)
		}
		if len(b.Ups) != 1 || b.Ups[0] != (sample.Up{T: at, OK: true}) {
			t.Errorf("up-samples %v, want one of 1 at %d", b.Ups, at)
		}
		seen := make(map[uint64]bool)
		for _, s := range b.Samples {
			if s.T != at || math.IsNaN(s.V) || s.V < 0 {
				t.Errorf("%s: %v at %d, want a value at %d", s.Labels, s.V, s.T, at)
			}
			if s.Labels.Get("customer") != "acme" || s.Labels.Get("product") != "host" || s.Labels.Get("instance") != "web-1" {
				t.Errorf("%s: identity incomplete", s.Labels)
			}
			if h := s.Labels.Hash(); seen[h] {
				t.Errorf("%s delivered twice in one batch", s.Labels)
			} else {
				seen[h] = true
			}
		}
	}
}

func near(t *testing.T, got map[string]float64, key string, want, tolerance float64) {
	t.Helper()
	v, ok := got[key]
	if !ok || math.Abs(v-want) > tolerance {
		t.Errorf("%s = %v (present: %t), want %v within %v", key, v, ok, want, tolerance)
	}
}

// between wants a value that lies between what the system said before the
// collection and after it, give or take: machines are busy, and a collection may
// take its time.
func between(t *testing.T, got map[string]float64, key string, before, after, tolerance float64) {
	t.Helper()
	near(t, got, key, (before+after)/2, math.Abs(after-before)/2+tolerance)
}

func TestValuesAreThoseOfProc(t *testing.T) {
	load, mem, uptime, stat := procFields(t, "/proc/loadavg"), procMeminfo(t), procFields(t, "/proc/uptime"), procFields(t, "/proc/stat")
	_, got, _ := collectTwice(t)
	memAfter, uptimeAfter, statAfter := procMeminfo(t), procFields(t, "/proc/uptime"), procFields(t, "/proc/stat")
	loadAfter := procFields(t, "/proc/loadavg")

	near(t, got, metricMemoryTotalBytes, mem["MemTotal"], 0)
	between(t, got, metricMemoryAvailableBytes, mem["MemAvailable"], memAfter["MemAvailable"], 0.05*mem["MemTotal"])
	used := func(mem map[string]float64) float64 { return 100 * (1 - mem["MemAvailable"]/mem["MemTotal"]) }
	between(t, got, metricMemoryUsedPercent, used(mem), used(memAfter), 5)
	near(t, got, metricSwapTotalBytes, mem["SwapTotal"], 0)
	// Those of the machine: this process may be kept to some of them.
	cores := procLines(t, "/proc/stat", "cpu") - 1 // the first line is of all
	near(t, got, metricCPUCores, cores, 0)

	between(t, got, metricUptimeSeconds, uptime[0], uptimeAfter[0], 3)
	near(t, got, metricBootTimeSeconds, float64(time.Now().Unix())-procFields(t, "/proc/uptime")[0], 5)
	between(t, got, metricLoad1, load[0], loadAfter[0], 1e-9)
	between(t, got, metricLoad5, load[1], loadAfter[1], 1e-9)
	between(t, got, metricLoad15, load[2], loadAfter[2], 1e-9)
	near(t, got, metricLoad1PerCore, got[metricLoad1]/cores, 1e-9)

	// cpu user nice system idle iowait …, in hundredths of a second
	between(t, got, metricCPUSecondsTotal+" idle", stat[3]/100, statAfter[3]/100, 5)
	between(t, got, metricCPUSecondsTotal+" user", stat[0]/100, statAfter[0]/100, 5)

	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	pids := 0.0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			pids++
		}
	}
	near(t, got, metricProcesses, pids, 0.2*pids+20)
}

func TestRootFileSystem(t *testing.T) {
	_, got, _ := collectTwice(t)
	var st syscall.Statfs_t
	if err := syscall.Statfs("/", &st); err != nil {
		t.Fatal(err)
	}
	size := float64(st.Blocks) * float64(st.Bsize)
	avail := float64(st.Bavail) * float64(st.Bsize)
	used := float64(st.Blocks-st.Bfree) * float64(st.Bsize)
	near(t, got, metricFilesystemSizeBytes+" /", size, 0)
	near(t, got, metricFilesystemAvailableBytes+" /", avail, 0.02*size)
	near(t, got, metricFilesystemAvailablePercent+" /", 100*avail/(avail+used), 2)
	if st.Files > 0 {
		near(t, got, metricFilesystemInodes+" /", float64(st.Files), 0.01*float64(st.Files))
		near(t, got, metricFilesystemInodesFreePercent+" /", 100*float64(st.Ffree)/float64(st.Files), 2)
	}
}

func TestNoUtilizationBeforeTheSecondCheck(t *testing.T) {
	first, second, _ := collectTwice(t)
	if v, ok := first[metricCPUUsedPercent]; ok {
		t.Errorf("first check has a utilization of %v, want none", v)
	}
	if v, ok := second[metricCPUUsedPercent]; !ok || v <= 0 || v > 100 {
		t.Errorf("second check's utilization is %v (present: %t), want within (0, 100]", v, ok)
	}
	if v, ok := second[metricCPUIOWaitPercent]; !ok || v < 0 || v > 100 {
		t.Errorf("second check's iowait is %v (present: %t), want within [0, 100]", v, ok)
	}
}

func procMeminfo(t *testing.T) map[string]float64 {
	t.Helper()
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := make(map[string]float64)
	for s := bufio.NewScanner(f); s.Scan(); {
		var name string
		var kib float64
		if n, _ := fmt.Sscan(s.Text(), &name, &kib); n == 2 {
			m[strings.TrimSuffix(name, ":")] = kib * 1024
		}
	}
	return m
}

// procFields returns the numbers of a file's first line.
func procFields(t *testing.T, path string) []float64 {
	t.Helper()
	line, err := firstLine(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []float64
	for _, f := range strings.Fields(line) {
		if v, err := strconv.ParseFloat(f, 64); err == nil {
			out = append(out, v)
		}
	}
	return out
}

// procLines counts the lines of a file that begin with a prefix.
func procLines(t *testing.T, path, prefix string) float64 {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return float64(n)
}

func BenchmarkCollect(b *testing.B) {
	c, err := New("acme", DefaultConfig(), metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	var got batches
	b.ReportAllocs()
	for b.Loop() {
		got = got[:0]
		if err := c.Collect(b.Context(), time.UnixMilli(0), &got); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(got[0].Samples)), "samples/check")
}
