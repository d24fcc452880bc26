package ingest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// flat is a request of sections.
func flat(t *testing.T, bs ...sample.Batch) Request {
	var ps []point
	for _, b := range bs {
		for _, s := range sample.Flatten(b, time.UnixMilli(clock)) {
			ps = append(ps, point{s.Labels, s.T, s.V})
		}
	}
	r := requestV1(t, ps...)
	r.Sections = true
	return r
}

func place(name string, v float64) sample.Batch {
	return sample.Batch{
		Source: sample.Source{Name: name}, Samples: []sample.Sample{{Labels: xs(name), T: clock, V: v}},
		Ups: []sample.Up{{T: clock, OK: v == 0}}, Watermark: sample.Current,
	}
}

func TestSectionsAreSourcesOfTheirOwn(t *testing.T) {
	to := &recorder{next: newStore(t)}
	w := newWriter(t, to)
	ended := sample.Batch{Source: sample.Source{Name: "probe/60s"}, Ends: []sample.End{{Labels: xs("probe/60s"), T: clock, Reason: "deleted"}}}
	resp := w.Write(t.Context(), sender, flat(t, place("probe/60s", 0), place("host/a", 1), ended))
	if resp.Status != http.StatusNoContent {
		t.Fatalf("answer %d: %s", resp.Status, resp.Message)
	}
	var got []string
	for _, b := range to.batches {
		got = append(got, fmt.Sprintf("%s: %d samples, ups %v, ends %d, watermark %d", b.Source.Name, len(b.Samples), b.Ups, len(b.Ends), b.Watermark-clock))
	}
	want := []string{
		fmt.Sprintf("remote-write/prom-1/probe/60s: 1 samples, ups [{%d true}], ends 0, watermark 0", clock),
		fmt.Sprintf("remote-write/prom-1/host/a: 1 samples, ups [{%d false}], ends 0, watermark 0", clock),
		fmt.Sprintf("remote-write/prom-1/probe/60s: 0 samples, ups [], ends 0, watermark %d", -clock),
		fmt.Sprintf("remote-write/prom-1/probe/60s: 0 samples, ups [], ends 1, watermark %d", -clock),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	// The same again is what the store has.
	if resp := w.Write(t.Context(), sender, flat(t, place("probe/60s", 0), place("host/a", 1), ended)); resp.Status != http.StatusNoContent {
		t.Errorf("sent again: %d %s", resp.Status, resp.Message)
	}
}

// Refused end marks are named as samples are, and the good ones are taken.
func TestRefusedEndsAreTold(t *testing.T) {
	store := newStore(t)
	w := newWriter(t, store)
	src := sample.Source{Name: "probe/60s"}
	ends := sample.Batch{Source: src, Ends: []sample.End{{Labels: xs("never-seen"), T: clock, Reason: "deleted"}, {Labels: xs("probe/60s"), T: clock, Reason: "deleted"}}}
	resp := w.Write(t.Context(), sender, flat(t, place("probe/60s", 0), ends))
	want := "0 of 1 samples and 1 end marks refused, the others are stored; do not send them again:\n"
	if resp.Status != http.StatusBadRequest || !strings.HasPrefix(resp.Message, want) || !strings.Contains(resp.Message, "never-seen") || strings.Contains(resp.Message, "more") {
		t.Errorf("answer %d: %s", resp.Status, resp.Message)
	}
	taken := 0
	err := store.Journal().Each(func(r journal.Record) error {
		if r.Kind == journal.KindEnd {
			taken++
		}
		return nil
	})
	if err != nil || taken != 1 {
		t.Errorf("%d taken, %v", taken, err)
	}
}

func TestWithoutTheHeaderNobodySpeaksForASource(t *testing.T) {
	to := &recorder{next: newStore(t)}
	r := flat(t, place("probe/60s", 0))
	r.Sections = false
	resp := newWriter(t, to).Write(t.Context(), sender, r)
	if resp.Status != http.StatusBadRequest || !strings.Contains(resp.Message, "2 of 3 samples refused") {
		t.Errorf("answer %d: %s", resp.Status, resp.Message)
	}
	if len(to.batches) != 1 || to.batches[0].Source.Name != sender.Source {
		t.Errorf("batches: %+v", to.batches)
	}
}

func TestASenderSpeaksForSoManySources(t *testing.T) {
	to := &recorder{}
	w := newWriter(t, to)
	var many []sample.Batch
	for i := range maxSources {
		many = append(many, sample.Batch{Source: sample.Source{Name: fmt.Sprint("host/", i)}})
	}
	if resp := w.Write(t.Context(), sender, flat(t, many...)); resp.Status != http.StatusNoContent {
		t.Fatalf("answer %d: %s", resp.Status, resp.Message)
	}
	resp := w.Write(t.Context(), sender, flat(t, place("host/too-many", 0), place("host/0", 0), place(strings.Repeat("x", maxSourceName+1), 0)))
	if resp.Status != http.StatusBadRequest || !strings.Contains(resp.Message, "2 of 3 samples refused") || !strings.Contains(resp.Message, "more than 20000 sources") {
		t.Errorf("answer %d: %s", resp.Status, resp.Message)
	}
	if last := to.batches[len(to.batches)-1]; last.Source.Name != sender.Source+"/host/0" {
		t.Errorf("the good section was not taken: %v", last.Source)
	}
}

// A source that may not deliver is refused by name, with its samples; the others of the
// request are taken.
func TestSourceThatIsNotAdmitted(t *testing.T) {
	to := &recorder{next: newStore(t)}
	w := newWriter(t, to)
	w.Admit = func(src sample.Source) error {
		if strings.HasSuffix(src.Name, "/host/new") && src.Customer == sender.Customer {
			return fmt.Errorf("source %q: too many", src.Name)
		}
		return nil
	}
	resp := w.Write(t.Context(), sender, flat(t, place("host/new", 0), place("host/0", 0)))
	if resp.Status != http.StatusBadRequest || !strings.Contains(resp.Message, "1 of 2 samples refused") || !strings.Contains(resp.Message, "host/new\": too many") {
		t.Errorf("answer %d: %s", resp.Status, resp.Message)
	}
	if len(to.batches) != 1 || to.batches[0].Source.Name != sender.Source+"/host/0" {
		t.Errorf("batches: %+v", to.batches)
	}
}

func TestSamplesBeforeAnySectionAreTheSenders(t *testing.T) {
	to := &recorder{}
	r := requestV1(t, point{xs("1"), clock, 1}, point{labels.FromStrings("__name__", sample.UpMetric), clock, 1})
	r.Sections = true
	newWriter(t, to).Write(t.Context(), sender, r)
	if len(to.batches) != 1 || to.batches[0].Source.Name != sender.Source || len(to.batches[0].Samples) != 1 {
		t.Errorf("batches: %+v", to.batches)
	}
}

// Sources that are gone make room for others.
func TestGoneSourcesAreForgotten(t *testing.T) {
	w := newWriter(t, &recorder{})
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for i := range maxSources {
		if err := w.known(sender, fmt.Sprint("pod/", i), now); err != nil {
			t.Fatal(err)
		}
	}
	if w.known(sender, "new", now.Add(time.Hour)) == nil {
		t.Error("taken beyond the limit")
	}
	if err := w.known(sender, "new", now.Add(forgetAfter+2*time.Hour)); err != nil {
		t.Error(err)
	}
	if n := len(w.sources[sender].seen); n != 1 {
		t.Errorf("%d sources are known, want 1", n)
	}
}
