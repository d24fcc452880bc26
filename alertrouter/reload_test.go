package alertrouter

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReloadKeepsWhatWaitsAndTellsNobodyTwice(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	w.handle(0, w.event("told", StateFiring, 0))
	w.at(time.Minute)
	h.answerWith(503)
	w.handle(2*time.Minute, w.event("waits", StateFiring, 0))
	w.at(7 * time.Minute) // on its way, refused for now

	cfg := w.cfg
	cfg.Routing = strings.Replace(h.routing(""), "group_by: [alertname, customer]", "group_by: [instance]", 1)
	if err := w.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	h.answerWith(200)
	w.at(10 * time.Minute)
	w.handle(20*time.Minute, w.event("told", StateResolved, 20*time.Minute), w.event("waits", StateResolved, 20*time.Minute))
	w.at(49 * time.Hour)
	w.at(50 * time.Hour)
	told := h.told()
	slices.Sort(told[min(2, len(told)):]) // two groups now: neither waits for the other
	expect(t, "messages", told, []string{"firing told", "firing told, firing waits", "resolved told", "resolved waits"})
}

func TestReloadToAnotherReceiver(t *testing.T) {
	old, fresh := newHook(t), newHook(t)
	w := newWorld(t, t.TempDir(), old.routing(""))
	w.handle(0, w.event("web-1", StateFiring, 0))
	w.at(time.Minute)
	cfg := w.cfg
	cfg.Routing = strings.Replace(fresh.routing(""), "receivers:", "receivers:\n- name: old\n  webhook_configs: [{url: '"+old.URL+"'}]", 1)
	cfg.Routing = strings.ReplaceAll(cfg.Routing, "hook\n", "fresh\n")
	cfg.Routing = strings.ReplaceAll(cfg.Routing, "name: old", "name: hook")
	if err := w.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	w.at(49 * time.Hour)
	expect(t, "new receiver", fresh.told(), []string{"firing web-1"})
	w.handle(49*time.Hour, w.event("web-1", StateResolved, 20*time.Minute))
	w.at(50 * time.Hour)
	expect(t, "who was told hears of the end", old.told(), []string{"firing web-1", "resolved web-1"})
	expect(t, "new receiver", fresh.told(), []string{"firing web-1", "resolved web-1"})
}

func TestReloadOfAMistakeChangesNothing(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	before := w.Routing()
	cfg := w.cfg
	cfg.Routing = "route: {receiver: nobody-knows}\n"
	err := w.Reload(cfg)
	if err == nil || !strings.Contains(err.Error(), "nobody-knows") {
		t.Fatalf("error = %v", err)
	}
	if w.Routing() != before {
		t.Error("the routing changed")
	}
}

func TestReceiverRemovedWithAMessageUnderWay(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	h.answerWith(500)
	w.handle(0, w.event("web-1", StateFiring, 0))
	w.at(time.Minute)
	cfg := w.cfg
	cfg.Routing = ""
	if err := w.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	w.at(5 * time.Minute)
	ledger := w.detail(1).Ledger
	if last := ledger[len(ledger)-1]; last.Outcome != "failed" || !strings.Contains(last.Answer, `no receiver "hook"`) {
		t.Errorf("ledger = %+v", ledger)
	}
}

func TestValidateNamesThePath(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error = %v, want %s…", err, want)
		}
	}
	f(func(c *Config) { c.RetryMin = 0 }, "retry_min: ")
	f(func(c *Config) { c.RetryMax = c.RetryMin / 2 }, "retry_max: ")
	f(func(c *Config) { c.Workers = 0 }, "workers: ")
	f(func(c *Config) { c.ExternalURL = "here" }, "external_url: ")
	f(func(c *Config) { c.Routing = "route: {receiver: x, colour: red}" }, "routing: ")
	f(func(c *Config) { c.RoutingFile = "/none.yml" }, "routing_file: ")
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}
