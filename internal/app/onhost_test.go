package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/internal/app/apptest"
	"watchkeeper/ruleset"
)

// TestWhatIsReadOnAHost has every collector of this sort deliver through the
// whole server, and what they remember survive a restart.
func TestWhatIsReadOnAHost(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{
		"erp-token": erpToken, "shop.conf": "1", "app.log": "", "backup.sql": "x", "jobs.prom": "jobs_done 3\n",
		"watchkeeper.yml": listeners + `
  senders: [{name: erp, customer: erp, token_file: erp-token}]
rules: {packs: []}
customers:
- name: erp
  watches: {interval: 1s, instance: web-1, files: [{name: conf, paths: ["*.conf"]}]}
  logs:
    interval: 1s
    instance: web-1
    files: [{name: app, path: app.log, patterns: [{name: error, match: "level=(?P<level>error)"}]}]
  custom:
    instance: web-1
    commands: [{name: answer, shell: "echo 42", interval: 1s, timeout: 500ms}]
    text_files: {interval: 1s, folders: ["."]}
  file_ages: {interval: 1s, instance: db-1, sets: [{name: backup, path: "*.sql"}]}
  heartbeats: {check_interval: 1s, jobs: [{name: nightly, interval: 1d}]}
`})
	config := filepath.Join(dir, "watchkeeper.yml")
	s := serve(t, config)
	has := func(expr string) {
		t.Helper()
		apptest.Until(t, expr, func() bool { return len(query(s, expr)) > 0 })
	}
	token := []string{"Authorization", "Bearer " + erpToken}
	send := func(path, body string, want int, says string) {
		t.Helper()
		base := strings.TrimSuffix(s.IngestURL(), "/api/v1/write")
		if status, text := apptest.Post(t, base+path, "text/plain", body, token...); status != want || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	has(`file_changes_total{customer="erp", instance="web-1", reason="content"} == 0`)
	has(`listening_ports_watched > 0`)
	has(`log_files{log="app"} == 1`)
	has(`custom_value{command="answer"} == 42`)
	has(`jobs_done{instance="web-1"} == 3`)
	has(`fileage_files{files="backup"} == 1`)
	has(`heartbeat_beats_total{heartbeat="nightly", status="ok"} == 0`)

	send("/push?instance=db-1", "backup_rows 7\nbackup_rows x\n", http.StatusBadRequest, "line 2")
	has(`backup_rows{customer="erp", instance="db-1"} == 7`)
	send("/heartbeat/nightly?duration=12", "", http.StatusNoContent, "")
	send("/heartbeat/weekly", "", http.StatusNotFound, "weekly")
	has(`heartbeat_duration_seconds{instance="nightly"} == 12`)
	token[1] = "Bearer guess"
	send("/heartbeat/nightly", "", http.StatusUnauthorized, "")
	token[1] = "Bearer " + erpToken
	token = append(token, "Origin", "http://elsewhere.example")
	send("/heartbeat/nightly", "", http.StatusForbidden, "")

	write(t, filepath.Join(dir, "app.log"), "level=error\nlevel=error\n")
	has(`log_matches_total{pattern="error", level="error"} == 2`)
	s.stop()
	write(t, filepath.Join(dir, "shop.conf"), "2")
	if err := os.Rename(filepath.Join(dir, "app.log"), filepath.Join(dir, "app.log.1")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "app.log"), "level=error\n")
	s = serve(t, config)
	has(`file_changes_total{reason="content"} == 1`)
	has(`log_matches_total{pattern="error", level="error"} == 3`)
	has(`heartbeat_beats_total{status="ok"} == 1`)

	write(t, config, strings.ReplaceAll(readFile(t, config), "name: nightly", "name: weekly"))
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	token = token[:2]
	send("/heartbeat/nightly", "", http.StatusNotFound, "nightly")
	send("/heartbeat/weekly", "", http.StatusNoContent, "")
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRulesOfTheDocs runs the rules that docs/exporters.md gives for these series.
func TestRulesOfTheDocs(t *testing.T) {
	_, text, found := strings.Cut(readFile(t, filepath.Join("..", "..", "docs", "exporters.md")), "## Rules for these\n\n```yaml\n")
	rules, _, closed := strings.Cut(text, "```")
	if !found || !closed {
		t.Fatal("the rules are not there")
	}
	script := "-- rules.yml --\n" + rules + `-- timeline --
load 1m
    file_changes_total{files="nginx",instance="web-1",reason="content"}  0x6 1x12
    file_changes_total{files="nginx",instance="web-1",reason="touched"}  0x6 9x12
    account_changes_total{instance="web-1",reason="password"}            0x3 1x15
    log_matches_total{pattern="error",instance="web-1"}                  0x4 50x14
    custom_state{command="x",instance="web-1"}                           0 1 0 1 1 1 0x12
    fileage_newest_age_seconds{files="b",instance="db-1"}                90000 93601 60x16
    heartbeat_late{heartbeat="b",instance="db-1"}                        0 1 1 0x15
at 1m   BackupMissing{files="b",instance="db-1"} firing
at 1m   JobLate{heartbeat="b",instance="db-1"} firing
at 2m   BackupMissing{files="b",instance="db-1"} resolved
at 3m   JobLate{heartbeat="b",instance="db-1"} resolved
at 3m   PasswordChanged{instance="web-1",reason="password"} firing
at 4m   LogErrors{instance="web-1",pattern="error"} firing
at 5m   CommandFails{command="x",instance="web-1"} firing
at 6m   CommandFails{command="x",instance="web-1"} resolved
at 6m   FileChanged{files="nginx",instance="web-1",reason="content"} firing
at 7m   PasswordChanged{instance="web-1",reason="password"} resolved
at 8m   LogErrors{instance="web-1",pattern="error"} resolved
at 10m  FileChanged{files="nginx",instance="web-1",reason="content"} resolved
`
	if err := ruleset.RunTimeline(t.Context(), "docs", []byte(script)); err != nil {
		t.Error(err)
	}
}
