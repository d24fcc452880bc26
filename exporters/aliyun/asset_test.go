package aliyun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLoadAssets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "assets.yml")
	load := func(text string) (map[string]Asset, error) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return LoadAssets(file)
	}
	got, err := load("resources:\n  i-1: {name: web, purpose: 官网, owner: Li Lei, contact: \"138\", environment: prod, entered: 2024-03-01, modules: [nginx]}\n  static.example.com: {}\n")
	want := map[string]Asset{
		"i-1":                {Name: "web", Purpose: "官网", Owner: "Li Lei", Contact: "138", Environment: "prod", Entered: "2024-03-01", Modules: []string{"nginx"}},
		"static.example.com": {},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if got, err := load(""); err != nil || len(got) != 0 {
		t.Errorf("empty file: %v, %v", got, err)
	}
	if got, err := LoadAssets(""); err != nil || got != nil {
		t.Errorf("no file: %v, %v", got, err)
	}
	f := func(text, want string) {
		t.Helper()
		if _, err := load(text); err == nil || strings.TrimPrefix(err.Error(), file) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f("resources:\n  i-1: {phone: 1}\n", ":2: resources.i-1.phone: unknown key")
	f("resources:\n  i-1: {}\n  i-1: {}\n", ":3: resources.i-1: is given twice")
	f("resources:\n  i-1: {entered: yesterday}\n", ":2: resources.i-1.entered: want a date such as 2026-01-31")
	f("resources:\n  \"a b\": {}\n", `:1: resources: "a b" is no id of a resource`)
	if _, err := LoadAssets(filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "asset file: open ") {
		t.Errorf("missing file: %v", err)
	}
}

// A changed asset file replaces the account's collectors at a reload.
func TestAssetsArePartOfTheRevision(t *testing.T) {
	file := filepath.Join(t.TempDir(), "assets.yml")
	revision := func(text string) string {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return testAccount(t, &fakeClient{}, nil, func(cfg *AccountConfig) { cfg.AssetFile = file }).Jobs()[0].Revision
	}
	a := revision("resources: {i-1: {owner: a}}")
	if a != revision("resources: {i-1: {owner: a}}") || a == revision("resources: {i-1: {owner: b}}") {
		t.Error("the revision does not follow the asset file")
	}
}
