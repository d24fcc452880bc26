package storage

import (
	"fmt"
	"maps"

	"watchkeeper/internal/sample"
)

// Admit says whether a source that names itself may deliver: one that the store knows, or
// a new one of a customer with fewer than Config.MaxSourcesPerCustomer. Each costs the
// series of its up-samples and watermarks, which no limit of series counts, for as long as
// they are kept. Batches at once may go beyond the limit by as many.
func (s *Store) Admit(src sample.Source) error {
	return s.sources.admit(src, s.cfg.MaxSourcesPerCustomer)
}

// RefusedSources counts by customer, since the start, how often Admit refused a source.
func (s *Store) RefusedSources() map[string]int {
	s.sources.mu.RLock()
	defer s.sources.mu.RUnlock()
	return maps.Clone(s.sources.refused)
}

func (x *sources) len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.ids)
}

func (x *sources) admit(src sample.Source, most int) error {
	if x.known(src) != nil {
		return nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.perCustomer[src.Customer] < most {
		return nil
	}
	x.refused[src.Customer]++
	return fmt.Errorf("source %q: the customer has %d sources, storage.max_sources_per_customer are taken", src.Name, most)
}
