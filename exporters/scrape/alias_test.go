package scrape

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/sample"
)

// page reads an exposition as the scrape manager would hand it over.
func page(t *testing.T, text string) []sample.Sample {
	t.Helper()
	p, err := textparse.New([]byte(text), "text/plain", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []sample.Sample
	for {
		entry, err := p.Next()
		if err != nil {
			return out
		}
		if entry == textparse.EntrySeries {
			_, _, v := p.Series()
			var l labels.Labels
			p.Labels(&l)
			l = labels.NewBuilder(l).Set("instance", "one").Set("job", "x").Set("customer", "acme").Labels()
			out = append(out, sample.Sample{Labels: l, V: v})
		}
	}
}

// Each product's file, or files where it has several exporters, holds two
// scrapes of an exporter and what the contract says of the second.
func TestAliases(t *testing.T) {
	tr := newTranslator(Aliases())
	for product, aliases := range Aliases() {
		more, err := filepath.Glob(filepath.Join("testdata", product+"-*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		works := map[string]bool{}
		for _, file := range append(more, filepath.Join("testdata", product+".txt")) {
			t.Run(filepath.Base(file), func(t *testing.T) { translates(t, tr, product, file, works) })
		}
		for _, a := range aliases {
			if !works[a.Metric] {
				t.Errorf("%s: nothing shows that %s works", product, a.Metric)
			}
		}
	}
}

func translates(t *testing.T, tr *translator, product, file string, works map[string]bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), "----\n")
	if len(parts) != 3 {
		t.Fatalf("%d parts, want two scrapes and what they mean", len(parts))
	}
	v, h := tr.products[product], history{}
	h.add(v, page(t, parts[0]), 1_000_000)
	h.add(v, page(t, parts[1]), 1_030_000)
	id := labels.FromStrings("product", product, "instance", "one")
	got, err := tr.translate(t.Context(), v, h, id, 1_030_000)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got {
		if s.Labels.Get("instance") != "one" || s.Labels.Get("product") != product || s.Labels.Has("job") || s.T != 1_030_000 {
			t.Errorf("identity: %+v", s)
		}
		works[s.Labels.Get("__name__")] = true
		l := labels.NewBuilder(s.Labels).Del("instance", "product").Labels()
		lines = append(lines, fmt.Sprintf("%s %.6g", l, math.Round(s.V*1e6)/1e6))
	}
	slices.Sort(lines)
	if d := strings.Join(lines, "\n") + "\n"; d != parts[2] {
		t.Errorf("got\n%swant\n%s", d, parts[2])
	}
}

// A target that asks for the contract's metrics gets them with each good scrape;
// they end with what they are made from.
func TestTargetWithProduct(t *testing.T) {
	const both = "nginx_connections_accepted 7\nother 1\n"
	e := newExporter(t, both)
	w := run(t, customerJob(t, "acme", fmt.Sprintf(
		"- {job_name: web, scrape_interval: 200ms, scrape_timeout: 200ms, static_configs: [{targets: [%q], labels: {product: nginx, env: prod}}]}\n", e.address())))
	b := w.good(2)
	s, ok := find(b, "nginx_connections_accepted_total")
	want := labels.FromStrings("__name__", "nginx_connections_accepted_total", "customer", "acme", "product", "nginx", "instance", e.address())
	if !ok || s.V != 7 || !labels.Equal(s.Labels, want) || s.T != b.Ups[0].T {
		t.Errorf("got %+v, want %s", s, want)
	}
	if w.counter("watchkeeper_scrape_translations_total") == 0 || w.counter("watchkeeper_scrape_translation_failures_total") != 0 {
		t.Error("translations are not counted")
	}
	e.set("other 1\n")
	w.until("the contract's metric is stale", func(all []sample.Batch) bool {
		return slices.ContainsFunc(all, func(b sample.Batch) bool {
			return slices.ContainsFunc(b.Samples, func(s sample.Sample) bool { return labels.Equal(s.Labels, want) && value.IsStaleNaN(s.V) })
		})
	})
	e.set(both)
	mark := len(w.sink.all())
	w.until("it is back", func(all []sample.Batch) bool {
		return slices.ContainsFunc(all[mark:], func(b sample.Batch) bool {
			s, ok := find(b, "nginx_connections_accepted_total")
			return ok && s.V == 7
		})
	})
}

// The history is bounded by time.
func TestHistoryForgets(t *testing.T) {
	v, h := newTranslator(Aliases()).products["nginx"], history{}
	for i := range int64(100) {
		h.add(v, page(t, "nginx_connections_accepted 1\nother 1\n"), i*30_000)
	}
	if len(h) != 1 {
		t.Fatalf("%d series are kept, want the one that is read", len(h))
	}
	for _, s := range h {
		if len(s.Floats) != 11 {
			t.Errorf("%d samples are kept of five minutes", len(s.Floats))
		}
	}
	if h.add(v, nil, 10_000_000); len(h) != 0 {
		t.Error("a series that is gone is kept")
	}
}

// BenchmarkTranslate puts one scrape of a host with 16 cores into the contract's terms.
func BenchmarkTranslate(b *testing.B) {
	tr := newTranslator(Aliases())
	var h history
	v := tr.products["host"]
	id := labels.FromStrings("product", "host", "instance", "one")
	h = history{}
	for i := range int64(10) {
		var samples []sample.Sample
		for cpu := range 16 {
			for _, mode := range []string{"idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"} {
				samples = append(samples, sample.Sample{V: float64(i), Labels: labels.FromStrings("__name__", "node_cpu_seconds_total", "cpu", fmt.Sprint(cpu), "mode", mode)})
			}
		}
		for name := range v.reads {
			if name != "node_cpu_seconds_total" {
				samples = append(samples, sample.Sample{V: 1, Labels: labels.FromStrings("__name__", name, "device", "eth0", "fstype", "ext4", "mountpoint", "/")})
			}
		}
		h.add(v, samples, i*30_000)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.translate(b.Context(), v, h, id, 270_000); err != nil {
			b.Fatal(err)
		}
	}
}
