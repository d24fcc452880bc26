package exporters

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

func TestBuilder(t *testing.T) {
	at := time.UnixMilli(1_700_000_020_000)
	b := NewBuilder(at, "customer", "acme", "instance", "web-1")
	b.Add("up", 1)
	b.Add("free_bytes", 5, "mountpoint", "/data\xff", "device", "")
	want := []sample.Sample{
		{Labels: labels.FromStrings("__name__", "up", "customer", "acme", "instance", "web-1"), T: 1_700_000_020_000, V: 1},
		{Labels: labels.FromStrings("__name__", "free_bytes", "customer", "acme", "instance", "web-1", "mountpoint", "/data�"), T: 1_700_000_020_000, V: 5},
	}
	if diff := cmp.Diff(want, b.Samples(), cmp.Comparer(labels.Equal)); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}
