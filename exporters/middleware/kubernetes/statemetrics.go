package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"io"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters/middleware/server"
)

const maxLineBytes = 64 << 10

// stateMetrics reads kube-state-metrics.
type stateMetrics struct {
	client   *server.Client
	maxBytes int64
}

func (m stateMetrics) read(ctx context.Context, out *server.Reading) (state, error) {
	c := newCollection()
	err := m.client.Stream(ctx, m.maxBytes, func(r io.Reader) error {
		lines := &wantedLines{from: bufio.NewReaderSize(r, maxLineBytes), seen: c.lists}
		p := expfmt.NewTextParser(model.LegacyValidation)
		families, err := p.TextToMetricFamilies(lines)
		if lines.err != nil {
			return lines.err // which the parser hides
		}
		if err != nil {
			return server.Failed(server.ReasonFormat, "not an exposition: %w", err)
		}
		for name, f := range families {
			for _, metric := range f.Metric {
				wanted[name](c, labelsOf(metric), metric.GetUntyped().GetValue())
			}
		}
		return nil
	})
	if err != nil {
		return state{}, err
	}
	if len(c.lists) == 0 {
		return state{}, server.Failed(server.ReasonFormat, "a page without the metrics of kube-state-metrics")
	}
	for name, list := range announced {
		if !c.lists[list] {
			out.Miss(list, server.Failed(server.ReasonFormat, "%s is not on the page: kube-state-metrics does not read %s", name, list))
		}
	}
	return c.state(), nil
}

// announced are the metrics by whose type line a list is known to be on the
// page; the line is there without objects too.
var announced = map[string]string{
	"kube_node_spec_unschedulable":                   listNodes,
	"kube_deployment_spec_replicas":                  listDeployments,
	"kube_statefulset_replicas":                      listStatefulSets,
	"kube_daemonset_status_desired_number_scheduled": listDaemonSets,
	"kube_pod_status_phase":                          listPods,
}

// wantedLines reads the samples of the metrics that are wanted, without types:
// the rest of the page is nine tenths of it.
type wantedLines struct {
	from *bufio.Reader
	seen map[string]bool // the lists whose type line has passed
	line []byte          // what is left of the current line
	err  error           // why reading failed; nil at the end
}

// Read implements io.Reader.
func (w *wantedLines) Read(b []byte) (int, error) {
	for len(w.line) == 0 {
		line, err := w.from.ReadSlice('\n')
		switch {
		case err == io.EOF && len(line) == 0:
			return 0, io.EOF
		case err == io.EOF:
			err = server.Failed(server.ReasonFormat, "the page ends within a line")
		case err == bufio.ErrBufferFull:
			err = server.Failed(server.ReasonFormat, "a line longer than %d bytes", maxLineBytes)
		}
		if err != nil {
			w.err = err
			return 0, err
		}
		w.pass(line)
	}
	n := copy(b, w.line)
	w.line = w.line[n:]
	return n, nil
}

// pass keeps a line that is wanted.
func (w *wantedLines) pass(line []byte) {
	if rest, ok := bytes.CutPrefix(line, []byte("# TYPE ")); ok {
		name, _, _ := bytes.Cut(rest, []byte(" "))
		if list, ok := announced[string(name)]; ok {
			w.seen[list] = true
		}
		return
	}
	if i := bytes.IndexAny(line, "{ "); i > 0 && wanted[string(line[:i])] != nil {
		w.line = line
	}
}

func labelsOf(m *dto.Metric) func(string) string {
	return func(name string) string {
		for _, l := range m.Label {
			if l.GetName() == name {
				return l.GetValue()
			}
		}
		return ""
	}
}
