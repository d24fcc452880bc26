package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

// mixed has rule groups of both kinds, as a server with both kinds of rule files.
type mixed struct{}

func (mixed) RuleGroupsOf(string) []RuleGroup { return nil }

func (mixed) RuleGroups() []RuleGroup {
	since, keeping := epoch.Add(-time.Minute), epoch.Add(-time.Second)
	return []RuleGroup{
		{Name: "counted", File: "ours.yml", Interval: 60, Rules: []Rule{{Name: "Counted", Type: TypeAlerting, Alerts: []Alert{}}}},
		{Name: "empty", File: "prom.yml", Interval: 60, Rules: []Rule{}},
		{Name: "plain", File: "prom.yml", Interval: 60, Limit: 7, EvaluationTime: 0.5, LastEvaluation: epoch, Rules: []Rule{
			{Name: "a:sum", Query: "sum(a)", Labels: labels.FromStrings("level", "all"), Health: "ok", Type: TypeRecording, LastEvaluation: epoch, EvaluationTime: 0.25, ID: "plain/a:sum", Mode: "plain"},
			{Name: "Long", Query: "a > 1", State: "firing", Health: "ok", Type: TypeAlerting, LastEvaluation: epoch, ID: "plain/Long", Mode: "plain", Alerts: []Alert{{
				Labels: labels.FromStrings("alertname", "Long"), State: "firing", ActiveAt: &since, KeepFiringSince: &keeping, Value: "2e+00", AlertState: "firing",
			}}},
		}},
	}
}

// askRules returns the answer of /api/v1/rules: the groups' rules and the next token.
func askRules(t *testing.T, query string) (code int, groups []string, next, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	serveRules(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/rules?"+query, nil), mixed{}, nil)
	var got struct {
		Data struct {
			Groups         []RuleGroup
			GroupNextToken string
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%s: %s: %v", query, w.Body, err)
	}
	for _, g := range got.Data.Groups {
		names := []string{g.Name}
		for _, r := range g.Rules {
			names = append(names, r.Name)
		}
		groups = append(groups, strings.Join(names, ":"))
	}
	return w.Code, groups, got.Data.GroupNextToken, w.Body.String()
}

// Groups come in pages when asked for, and the pages hold each of them once.
func TestRulesInPages(t *testing.T) {
	t.Parallel()
	_, all, next, _ := askRules(t, "")
	if want := []string{"counted:Counted", "plain:a:sum:Long"}; !slices.Equal(all, want) || next != "" {
		t.Fatalf("groups %v, token %q; want %v without a token: a group without rules is not shown", all, next, want)
	}
	code, page, next, body := askRules(t, "group_limit=1")
	if code != http.StatusOK || !slices.Equal(page, all[:1]) || next == "" {
		t.Fatalf("first page: %s", body)
	}
	if _, page, next, body = askRules(t, "group_limit=1&group_next_token="+next); !slices.Equal(page, all[1:]) || next != "" {
		t.Fatalf("second page: %s", body)
	}
	if _, page, next, body = askRules(t, "group_limit=2"); !slices.Equal(page, all) || next != "" {
		t.Fatalf("one page for all: %s", body)
	}
}

// What Prometheus accepts and refuses, in Prometheus's words.
func TestRulesParameters(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"type=RECORD":                           "",
		"exclude_alerts=TrUe":                   "",
		"rule_name[]=none":                      "",
		"type=x":                                `invalid parameter "type": not supported value "x"`,
		"exclude_alerts=2":                      `invalid parameter "exclude_alerts": error converting exclude_alerts: strconv.ParseBool: parsing "2": invalid syntax`,
		"match[]=" + url.QueryEscape("up{"):     "1:4: parse error: unexpected end of input inside braces",
		"match[]=" + url.QueryEscape(`{a=~""}`): "match[] must contain at least one non-empty matcher",
		"group_limit=x":                         `invalid parameter "group_limit": group_limit needs to be a valid number: strconv.ParseInt: parsing "x": invalid syntax`,
		"group_limit=0":                         `invalid parameter "group_limit": group_limit needs to be greater than 0`,
		"group_next_token=a":                    `invalid parameter "group_next_token": group_limit needs to be present in order to paginate over the groups`,
		"group_limit=1&group_next_token=a":      `invalid parameter "group_next_token": invalid group_next_token 'a'. were rule groups changed?`,
		"%zz=1":                                 `error parsing form values: invalid URL escape "%zz"`,
	} {
		code, _, _, body := askRules(t, query)
		if want == "" {
			if code != http.StatusOK {
				t.Errorf("%s: %d %s", query, code, body)
			}
			continue
		}
		var e struct{ Status, ErrorType, Error string }
		if err := json.Unmarshal([]byte(body), &e); err != nil || code != http.StatusBadRequest || e.Status != "error" || e.ErrorType != "bad_data" || e.Error != want {
			t.Errorf("%s: %d %s, want %s", query, code, body, want)
		}
	}
}

// A recording rule has no fields of an alerting rule, as in Prometheus; an
// alert that is only kept firing says since when.
func TestShapeOfPlainRules(t *testing.T) {
	t.Parallel()
	_, _, _, body := askRules(t, "rule_group[]=plain")
	want := `{"status":"success","data":{"groups":[{"name":"plain","file":"prom.yml","interval":60,"limit":7,"rules":[` +
		`{"name":"a:sum","query":"sum(a)","labels":{"level":"all"},"health":"ok","evaluationTime":0.25,"lastEvaluation":"2026-03-01T12:00:00Z","type":"recording","id":"plain/a:sum","mode":"plain"},` +
		`{"state":"firing","name":"Long","query":"a \u003e 1","duration":0,"keepFiringFor":0,"labels":{},"annotations":{},"alerts":[` +
		`{"labels":{"alertname":"Long"},"annotations":{},"state":"firing","activeAt":"2026-03-01T11:59:00Z","keepFiringSince":"2026-03-01T11:59:59Z","value":"2e+00","alertState":"firing"}],` +
		`"health":"ok","type":"alerting","evaluationTime":0,"lastEvaluation":"2026-03-01T12:00:00Z","id":"plain/Long","mode":"plain"}],` +
		`"evaluationTime":0.5,"lastEvaluation":"2026-03-01T12:00:00Z"}]}}` + "\n"
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}
