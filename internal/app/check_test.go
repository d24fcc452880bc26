package app_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
)

// check reports mistakes of every file that a configuration names, each in one
// line with its place, and opens nothing.
func TestCheckNamesMistakes(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	good := listeners + senders + routing + "contracts: [contract.yml]\n"
	const contract = `id: c
customer: acme
title: t
zone: Asia/Shanghai
cycle: month
objective: 99.9%
unavailable: {kind: verdicts, rule: port-down, selector: '{instance="gateway"}', combine: any, unmeasured: show}
allowance: {kind: fixed, minutes: 44, basis: agreed, breached: reached}
refund: {kind: fee_per_started_unit, fee: {amount: 3000.00, currency: CNY}, divisor: 30, unit_minutes: 60, cap: 100%, applied_to: the fee of the next month}
`
	for _, test := range []struct {
		name             string
		config, contract string
		says             []string
	}{
		{"good", good, contract, nil},
		{"undefined receiver", strings.Replace(good, "receiver: tickets", "receiver: pager", 1), contract, []string{"watchkeeper.yml:13: alertmanager: ", "pager"}},
		{"unknown key of a route", strings.Replace(good, "group_wait", "group_weight", 1), contract, []string{"watchkeeper.yml:13: alertmanager: ", "group_weight"}},
		{"routing file of nobody", strings.Replace(good[:strings.Index(good, "alertmanager:")], "", "alertrouter: {routing_file: nowhere.yml}\n", 1), contract, []string{"alertrouter.routing_file", "nowhere.yml"}},
		{"token file of nobody", strings.Replace(good, "erp-token", "nowhere", 1), contract, []string{"ingest.senders[0]: token", "nowhere"}},
		{"wrong contract", good, strings.Replace(contract, "month", "moon", 1), []string{"contract.yml:5: cycle", "moon"}},
		{"unknown pack", strings.Replace(good, "packs: []", "packs: [other]", 1), contract, []string{"rules.packs[0]", "other"}},
	} {
		dir := files(t, map[string]string{
			"watchkeeper.yml": test.config, "rules.yml": queueRule, "erp-token": erpToken, "shop-token": shopToken, "contract.yml": test.contract,
		})
		cfg, err := config.Load(filepath.Join(dir, "watchkeeper.yml"))
		var sum app.Summary
		if err == nil {
			sum, err = app.Check(cfg, slog.New(slog.DiscardHandler))
		}
		if len(test.says) == 0 {
			if err != nil || sum != (app.Summary{Rules: 1, Contracts: 1}) {
				t.Errorf("%s: %+v, %v", test.name, sum, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s: is taken", test.name)
			continue
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than one line: %v", test.name, err)
		}
		for _, want := range test.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error does not say %q: %v", test.name, want, err)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "data*")); len(left) > 0 {
			t.Errorf("%s: check left %v", test.name, left)
		}
	}
}
