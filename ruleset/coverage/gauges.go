package coverage

import (
	"fmt"
	"sync"

	"github.com/VictoriaMetrics/metrics"
)

// Gauges shows the newest report as metrics: pairs of resource and row by
// customer and status, and holes by row. Customers come from the
// configuration, rows from the contract: both are closed sets.
type Gauges struct {
	set *metrics.Set

	mu    sync.Mutex
	names map[string]bool // registered
}

// NewGauges returns gauges in a set; they appear with the first report.
func NewGauges(set *metrics.Set) *Gauges { return &Gauges{set: set, names: map[string]bool{}} }

// Set shows a report. What an earlier one had and this one has not goes to 0.
func (g *Gauges) Set(r *Report) {
	values := map[string]int{"watchkeeper_ruleset_coverage_entries": len(r.Entries)}
	customers := map[string]bool{}
	for _, e := range r.Entries {
		if !customers[e.Customer] {
			customers[e.Customer] = true
			for _, s := range Statuses() {
				values[byCustomer(e.Customer, s)] += 0
			}
		}
		values[byCustomer(e.Customer, e.Status)]++
		if e.Status == Hole {
			values[fmt.Sprintf("watchkeeper_ruleset_coverage_row_holes{row=%q}", e.Row)]++
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for name := range g.names {
		if _, ok := values[name]; !ok {
			g.set.GetOrCreateGauge(name, nil).Set(0)
		}
	}
	for name, v := range values {
		g.names[name] = true
		g.set.GetOrCreateGauge(name, nil).Set(float64(v))
	}
	g.set.GetOrCreateGauge("watchkeeper_ruleset_coverage_timestamp_seconds", nil).Set(float64(r.At.UnixMilli()) / 1000)
}

func byCustomer(customer string, s Status) string {
	return fmt.Sprintf("watchkeeper_ruleset_coverage_resources{customer=%q,status=%q}", customer, s)
}
