// Package dashboards holds the product's Grafana dashboards as Go values. Their
// queries use the metric names of the contract's catalog only; their uids are
// stable, so that publishing again replaces instead of adding. Build writes
// them as files for provisioning, Publish sends them to a Grafana server.
package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// DataSourceUID is the uid of the Prometheus data source that every dashboard
// starts with; a person may choose another in the dashboard.
const DataSourceUID = "watchkeeper"

// Dashboard is one dashboard. UID is stable and the file's name.
type Dashboard struct {
	UID   string
	Title string
	build func() (dashboard.Dashboard, error)
}

// All lists every dashboard.
func All() []Dashboard {
	return []Dashboard{
		{UID: "watchkeeper-customer", Title: "Customer overview", build: customerOverview},
	}
}

// JSON is the dashboard's model as Grafana stores it: indented, the same bytes
// every time.
func (d Dashboard) JSON() ([]byte, error) {
	model, err := d.build()
	if err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	text, err := json.MarshalIndent(model, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	return append(text, '\n'), nil
}

// Build writes each dashboard to dir as UID.json, making the folder where it is
// missing, and returns the files' paths.
func Build(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("dashboards: %w", err)
	}
	var paths []string
	for _, d := range All() {
		text, err := d.JSON()
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, d.UID+".json")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, fmt.Errorf("dashboards: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}
