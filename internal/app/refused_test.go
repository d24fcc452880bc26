package app_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

// What a limit keeps from being judged is explained as such, and not by what its samples say.
func TestExplainsWhatALimitRefused(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	file := pushConfig(t, routing)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, strings.Replace(string(text), "files: [rules.yml]", "files: [rules.yml], engine: {max_series_per_rule: 1}", 1))
	s := serve(t, file)
	for _, name := range []string{"mail", "print"} {
		if code, body := apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue(name), 20, 21, 22, 23)...); code != http.StatusNoContent {
			t.Fatalf("%s: %d %s", name, code, body)
		}
	}
	s.incident(incident.Firing)
	for name, want := range map[string]replay.Explanation{
		"mail":  {State: ruleset.StateFiring},
		"print": {State: ruleset.StateInactive, NotJudged: "the limit of series per rule (1) refused it"},
	} {
		var es []replay.Explanation
		apptest.GetJSON(t, s.URL()+"/api/rules/explain?"+url.Values{"alert": {`QueueLong{queue="` + name + `"}`}}.Encode(), &es)
		if len(es) != 1 || es[0].State != want.State || es[0].NotJudged != want.NotJudged {
			t.Errorf("%s: %+v", name, es)
		}
	}
}
