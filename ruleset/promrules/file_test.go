package promrules

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestWrongFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key of the file", "group: []", `f.yml:1: group: unknown key; did you mean "groups"?`},
		{"unknown key of a rule group", "groups:\n- name: a\n  intervall: 1m\n  rules: []", `f.yml:3: groups[0]: unknown key "intervall"`},
		{"a field that needs consecutive", "groups:\n- name: a\n  rules:\n  - {alert: A, expr: x, missing: hold}", `f.yml:4: groups[0].rules[0]: unknown key "missing"`},
		{"both kinds in one rule group", "groups:\n- name: a\n  interval: 1m\n  rules:\n  - {alert: A, expr: x > 1, consecutive: 3}\n  - {record: b, expr: x}",
			"f.yml:6: groups[0].rules[1]: has no field consecutive, but rules[0] of the same rule group has: put plain rules in a rule group of their own"},
		{"wrong type", "groups:\n- name: a\n  rules:\n  - {alert: A, expr: x,\n     for: 5x}", `f.yml:4: groups[0].rules[0]: unknown unit "x" in duration "5x"`},
		{"group twice", "groups:\n- {name: a, rules: []}\n- {name: a, rules: []}", `f.yml:3: groups[1].name: rule group "a" stands in line 2 already`},
		{"no name", "groups:\n- {rules: []}", "f.yml:2: groups[0].name: must not be empty"},
		{"no kind", "groups:\n- name: a\n  rules:\n  - expr: x", "f.yml:4: groups[0].rules[0]: one of 'record' or 'alert' must be set"},
		{"for of a recording rule", "groups:\n- name: a\n  rules:\n  - {record: b, expr: x, for: 1m}", "f.yml:4: groups[0].rules[0]: invalid field 'for' in recording rule"},
		{"broken template", "groups:\n- name: a\n  rules:\n  - {alert: A, expr: x, annotations: {s: '{{ nope }}'}}",
			`f.yml:4: groups[0].rules[0]: annotation "s": template: __alert_A:1: function "nope" not defined`},
		{"key twice", "groups:\n- name: a\n  rules:\n  - expr: x\n    expr: y\n    alert: A", `f.yml:5: groups[0].rules[0]: mapping key "expr" already defined at line 4`},
		{"rule is no mapping", "groups:\n- name: a\n  rules: [x]", "f.yml:3: groups[0].rules[0]: must be a mapping"},
		{"rules is no list", "groups:\n- name: a\n  rules: x", "f.yml:3: groups[0]: cannot unmarshal !!str `x` into []yaml.Node"},
		{"label name", "groups:\n- name: a\n  labels: {__name__: x}\n  rules: []", `f.yml:2: groups[0].labels: invalid label name "__name__"`},
	} {
		_, err := parseFiles([]File{{Name: "f.yml", Data: []byte(c.text)}})
		if err == nil {
			t.Errorf("%s: taken", c.name)
			continue
		}
		if diff := cmp.Diff(c.want, err.Error()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	if _, err := parseFiles([]File{{Name: "a"}, {Name: "a"}}); err == nil || err.Error() != "rule file a: is given twice" {
		t.Errorf("file twice: %v", err)
	}
}

// Rule groups of both kinds may stand in one file; anchors and merge keys work
// as in Prometheus.
func TestPlainGroupsOfAFile(t *testing.T) {
	groups, err := parseFiles([]File{{Name: "f.yml", Data: []byte(`
groups:
- name: ours
  interval: 1m
  phase: 10s
  rules: [{alert: A, expr: x > 1, consecutive: 3, max_gap: 1}]
- name: theirs
  interval: 30s
  query_offset: 1m
  limit: 7
  labels: {team: db}
  rules:
  - &base {alert: B, expr: x > 1, for: 2m, labels: {severity: high}}
  - <<: *base
    alert: C
    keep_firing_for: 5m
- {name: empty, rules: []}
`)}, {Name: "empty.yml"}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := yaml.Marshal(groups)
	if err != nil {
		t.Fatal(err)
	}
	want := `empty.yml:
    groups: []
f.yml:
    groups:
        - name: theirs
          interval: 30s
          query_offset: 1m
          limit: 7
          rules:
            - alert: B
              expr: x > 1
              for: 2m
              labels:
                severity: high
            - alert: C
              expr: x > 1
              for: 2m
              keep_firing_for: 5m
              labels:
                severity: high
          labels:
            team: db
        - name: empty
          rules: []
`
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Error(diff)
	}
}

func FuzzFiles(f *testing.F) {
	f.Add("groups:\n- name: a\n  rules:\n  - &x {<<: *x, alert: A, expr: x}")
	f.Add("groups:\n- &g {name: a, rules: [*g]}")
	f.Add("groups: [{name: a, rules: [{record: a, expr: b, <<: [{consecutive: 1}]}]}]")
	f.Fuzz(func(t *testing.T, text string) {
		groups, err := parseFiles([]File{{Name: "f.yml", Data: []byte(text)}})
		if (err == nil) != (groups != nil) {
			t.Errorf("groups %v with error %v", groups, err)
		}
	})
}
