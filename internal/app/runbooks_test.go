package app_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/internal/app/apptest"
)

// The runbook of each shipped rule is a page that the server shows.
func TestRunbooksOfShippedRulesAreServed(t *testing.T) {
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + "rules: {packs: [contract, database-policy, aliyun-account, watch, expiry]}\n"})
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))
	_, text := apptest.Get(s.URL() + "/api/v1/rules")
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Name        string            `json:"name"`
					Annotations map[string]string `json:"annotations"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	pages := map[string]bool{}
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			page, _, _ := strings.Cut(r.Annotations["runbook_url"], "#")
			if !strings.HasPrefix(page, s.URL()+"/docs/") {
				t.Errorf("%s links to %q", r.Name, page)
			}
			pages[page] = true
		}
	}
	for page := range pages {
		if code, _ := apptest.Get(page); code != http.StatusOK {
			t.Errorf("%s: %d", page, code)
		}
	}
	if len(pages) < 90 {
		t.Errorf("%d pages", len(pages))
	}
}
