package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

func newCustomer(t *testing.T) *yaml.Node {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte("name: beta\nhost: {interval: 1m}\n"), &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Content[0]
}

func TestAddCustomer(t *testing.T) {
	const beta = "- name: beta\n  host: {interval: 1m}\n"
	for name, test := range map[string]struct{ old, want string }{
		"empty":         {"", "customers:\n" + beta},
		"comments only": {"# ours\n", "# ours\ncustomers:\n" + beta},
		"no customers":  {"data_dir: d  # here\n", "data_dir: d  # here\ncustomers:\n" + beta},
		"no line end":   {"data_dir: d", "data_dir: d\ncustomers:\n" + beta},
		"last section": {
			"data_dir:   d\n\ncustomers:\n# the first\n- name: acme   # since 2019\n  host: {interval: 1m}\n  # kept\n",
			"data_dir:   d\n\ncustomers:\n# the first\n- name: acme   # since 2019\n  host: {interval: 1m}\n  # kept\n" + beta,
		},
		"in the middle": {
			"customers:\n    - name: acme\n      # inner\n\n# where\ndata_dir: d\n",
			"customers:\n    - name: acme\n      # inner\n    - name: beta\n      host: {interval: 1m}\n\n# where\ndata_dir: d\n",
		},
		"list in brackets": {"# top\ncustomers: [{name: acme}]  # few\ndata_dir: d\n", "# top\ncustomers: # few\n  - {name: acme}\n  - name: beta\n    host: {interval: 1m}\ndata_dir: d\n"},
		"empty list":       {"customers: []\n", "customers:\n  - name: beta\n    host: {interval: 1m}\n"},
		"null":             {"customers:\n", "customers:\n  - name: beta\n    host: {interval: 1m}\n"},
		"other line ends":  {"customers:\r\n- name: acme\r\n", "customers:\r\n- name: acme\r\n" + strings.ReplaceAll(beta, "\n", "\r\n")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := AddCustomer("watchkeeper.yml", []byte(test.old), newCustomer(t))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, string(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAddCustomerRefuses(t *testing.T) {
	if _, err := AddCustomer("f", []byte("customers: [{name: beta}]\n"), newCustomer(t)); !errors.Is(err, ErrExists) {
		t.Errorf("same name: %v", err)
	}
	if _, err := AddCustomer("f", []byte("nonsense: 1\n"), newCustomer(t)); err == nil || !strings.Contains(err.Error(), "f:1: nonsense") {
		t.Errorf("wrong file: %v", err)
	}
	bad := newCustomer(t)
	bad.Content[1].Value = "BETA"
	if _, err := AddCustomer("f", nil, bad); err == nil || !strings.Contains(err.Error(), "customers[0].name") {
		t.Errorf("wrong name: %v", err)
	}
}

// Whatever the file looks like, either the customer is added and nothing else
// changes, or there is an error.
func TestAddCustomerToAnyFile(t *testing.T) {
	pieces := []string{
		"# comment\n", "  # further in\n", "\n", "---\n", "...\n", "data_dir: d\n", "data_dir: |\n  d\n", "customers: []\n", "customers:\n", "customers: [{name: a}] # x\n",
		"customers:\n- name: a\n", "customers:\n  - name: a\n    # in\n", "- name: c\n", "  - {name: b}\n", "rules: {packs: [contract]}\n", "{customers: [{name: a}]}\n",
	}
	property.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 6).Draw(t, "pieces"), "")
		old, err := Parse("f", []byte(text))
		if err != nil {
			return
		}
		var node yaml.Node
		if err := yaml.Unmarshal([]byte("name: beta\n"), &node); err != nil {
			t.Fatal(err)
		}
		got, err := AddCustomer("f", []byte(text), node.Content[0])
		if err != nil {
			return
		}
		c, err := Parse("f", got)
		if err != nil || len(c.Customers) != len(old.Customers)+1 || c.Customers[len(old.Customers)].Name != "beta" {
			t.Errorf("%q became %q: %v", text, got, err)
		}
	})
}
