package ingest

import (
	"sync"

	"github.com/prometheus/prometheus/model/metadata"
)

// maxMetadataText bounds a help text or unit, in bytes.
const maxMetadataText = 1024

// metadataStore keeps what senders tell of their metrics. It lives in memory:
// senders repeat it.
type metadataStore struct {
	limit int

	mu         sync.RWMutex
	byCustomer map[string]map[string]metadata.Metadata
	n          int
}

func newMetadataStore(limit int) *metadataStore {
	return &metadataStore{limit: limit, byCustomer: make(map[string]map[string]metadata.Metadata)}
}

// add keeps the metadata; names beyond the limit are left out.
func (m *metadataStore) add(customer string, ms []metricMetadata) {
	for _, x := range ms {
		if x.metric == "" || len(x.metric) > maxMetadataText || len(x.Help) > maxMetadataText || len(x.Unit) > maxMetadataText {
			continue
		}
		m.mu.RLock()
		old, ok := m.byCustomer[customer][x.metric]
		m.mu.RUnlock()
		if !ok || old != x.Metadata {
			m.set(customer, x)
		}
	}
}

func (m *metadataStore) set(customer string, x metricMetadata) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.byCustomer[customer]
	if _, ok := of[x.metric]; !ok {
		if m.n >= m.limit {
			return
		}
		m.n++
	}
	if of == nil {
		of = make(map[string]metadata.Metadata)
		m.byCustomer[customer] = of
	}
	of[x.metric] = x.Metadata
}

// Metadata returns a copy of what a customer's senders told of their metrics:
// type, help and unit by metric name. An empty customer stands for all; where
// two then tell of one metric, either is returned.
func (w *Writer) Metadata(customer string) map[string]metadata.Metadata {
	m := w.meta
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := make(map[string]metadata.Metadata)
	for c, of := range m.byCustomer {
		if customer != "" && c != customer {
			continue
		}
		for name, x := range of {
			out[name] = x
		}
	}
	return out
}
