package app

import "watchkeeper/internal/api"

// collectors lists what the scheduler calls, for the API's list of targets.
func (a *App) collectors() []api.Collector {
	var out []api.Collector
	for _, s := range a.jobs.Status() {
		out = append(out, api.Collector{
			Customer: s.Source.Customer, Kind: s.Kind, Source: s.Source.Name, Interval: s.Interval, Timeout: s.Timeout,
			At: s.At, Duration: s.Duration, Err: s.Err,
		})
	}
	return out
}
