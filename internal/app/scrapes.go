package app

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"watchkeeper/exporters/scrape"
	"watchkeeper/internal/config"
	"watchkeeper/internal/sample"
)

// lookForGone is how often open alerts on scraped targets are held against the
// targets that there are.
const lookForGone = time.Minute

// buildScrapes reads the scrape configurations of all customers and tries the
// files that they name.
func buildScrapes(cfg *config.Config) ([]scrape.Job, error) {
	var jobs []scrape.Job
	for i, cu := range cfg.Customers {
		js, err := scrape.Jobs(cu.Name, cu.ScrapeConfigs, filepath.Dir(cfg.File()))
		if err == nil {
			err = scrape.TryFiles(js)
		}
		if err != nil {
			return nil, fmt.Errorf("customers[%d].%w", i, err)
		}
		jobs = append(jobs, js...)
	}
	return jobs, nil
}

// keepScraped ends the alerts on targets that discovery dropped while this
// process did not run. What it drops meanwhile, the scrape manager ends itself.
func (a *App) keepScraped(ctx context.Context) error {
	t := time.NewTicker(lookForGone)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			gone := removal{vanished: func(src sample.Source) bool { return a.scrapes.Gone(src, a.now()) }}
			if err := a.endRemoved(ctx, gone, a.engine.Alerts()); err != nil && ctx.Err() == nil {
				a.log.Warn("alerts on targets that are gone stay open; tried again in a minute", "err", err)
			}
		}
	}
}
