package app

import (
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/api"
	"watchkeeper/ruleset"
)

const runbookURL = "runbook_url"

// linkRunbooks has the alerts of shipped rules link to the pages as this server shows
// them: what is named there is a path in the project.
func linkRunbooks(groups []ruleset.Group, externalURL string) {
	for _, g := range groups {
		for _, r := range g.Rules {
			page := r.Annotations.Get(runbookURL)
			if strings.HasPrefix(page, strings.TrimPrefix(api.DocsPath, "/")) {
				r.Annotations = labels.NewBuilder(r.Annotations).Set(runbookURL, strings.TrimSuffix(externalURL, "/")+"/"+page).Labels()
			}
		}
	}
}
