//go:build services

package middleware

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/api"
	"watchkeeper/internal/app/apptest"
	"watchkeeper/ruleset/contract"
	"watchkeeper/ruleset/override"
)

// victim is a real server, or several of one product, in which breaches are
// provoked.
type victim struct {
	name string
	// watched are entries of a customer's configuration by section
	// ("middleware.<product>", "processes.processes" or "probes.targets"): YAML
	// flow mappings without braces and interval.
	watched map[string][]string
	// provoke starts the server, breaches rows in it and waits for the incidents.
	provoke func(t *testing.T, p *wholePath)
	// busy takes the machine's processors; nil when no row asks for that.
	busy func(t *testing.T, p *wholePath)
}

// wholePath is a server of ours that watches the victims: collectors, store,
// rules, incidents and notifications, as the command serve runs them.
type wholePath struct {
	*apptest.Server

	mu    sync.Mutex
	found map[string]bool // rows with an incident; guarded by mu
}

// Sections of the configuration that are not of middleware, and the name of this
// host in it.
const (
	processes    = "processes.processes"
	targets      = "probes.targets"
	hostInstance = "this-host"
)

// someCPU lets the rows about CPU fire at a share that a test gets on a machine
// which has other work, too.
const someCPU = `
overrides:
- name: busy-machine
  rules: [apache-cpu, java-cpu, tomcat-cpu]
  match: '{customer="acme"}'
  threshold: 15
  owner: tests
  reason: the machine has other work
  end: %s
`

// watchVictims starts it.
func watchVictims(t testing.TB, victims []victim) *wholePath {
	t.Helper()
	sections := map[string][]string{}
	for _, v := range victims {
		for section, entries := range v.watched {
			for _, e := range entries {
				interval := paceOf("contract/" + strings.TrimPrefix(section, "middleware.") + ".yml")
				switch section {
				case processes: // the section has one for all of them
				case targets:
					e += fmt.Sprintf(", interval: %dms, timeout: %dms", interval.Milliseconds(), (interval / 5).Milliseconds())
				default:
					e += fmt.Sprintf(", interval: %dms, timeout: %dms", interval.Milliseconds(), (interval / 5 * 4).Milliseconds())
				}
				sections[section] = append(sections[section], "{"+e+"}")
			}
		}
	}
	var config strings.Builder
	config.WriteString("ingest: {listen: \"\"}\nrules: {packs: [], files: [\"rules-*.yml\"], overrides: overrides.yml}\ncustomers:\n- name: acme\n")
	fmt.Fprintf(&config, "  processes: {interval: %s, instance: %s, processes: [%s]}\n", pace, hostInstance, strings.Join(sections[processes], ", "))
	fmt.Fprintf(&config, "  probes: {targets: [%s]}\n  middleware:\n", strings.Join(sections[targets], ", "))
	for section, entries := range sections {
		if product, ok := strings.CutPrefix(section, "middleware."); ok {
			fmt.Fprintf(&config, "    %s: [%s]\n", product, strings.Join(entries, ", "))
		}
	}
	files := fastPack(t)
	files["overrides.yml"] = fmt.Sprintf(someCPU, time.Now().AddDate(0, 0, 1).UTC().Format(time.RFC3339))
	return &wholePath{Server: apptest.Serve(t, config.String(), files), found: make(map[string]bool)}
}

// incidents lists those of a row and instance, the newest first.
func (p *wholePath) incidents(t testing.TB, row, instance string) []incident.Incident {
	t.Helper()
	var list api.IncidentList
	apptest.GetJSON(t, p.URL()+"/api/incidents?limit=1000", &list)
	return slices.DeleteFunc(list.Incidents, func(i incident.Incident) bool {
		return override.Base(i.ContractRow) != row || i.Identity.Get("instance") != instance
	})
}

// fired counts how often a row has fired: an incident that comes back soon after
// it was resolved is opened again.
func (p *wholePath) fired(t testing.TB, row, instance string) int {
	t.Helper()
	n := 0
	for _, i := range p.incidents(t, row, instance) {
		n += 1 + i.Reopened
	}
	return n
}

// fires waits for an incident of a row that fires, looks at its record and
// returns it. Meanwhile it calls again, unless that is nil, to keep the breach up.
func (p *wholePath) fires(t testing.TB, row, instance string, again func()) incident.Incident {
	t.Helper()
	var found incident.Incident
	eventually(t, patience, row+" of "+instance, func() error {
		if again != nil {
			again()
		}
		for _, i := range p.incidents(t, row, instance) {
			if i.State == incident.Firing {
				found = i
				return nil
			}
		}
		time.Sleep(200 * time.Millisecond)
		return errNotYet
	})
	p.record(t, row, instance, found.ID)
	return found
}

// record checks what the API says of an incident: which row, in which words, of
// which resource, by which samples.
func (p *wholePath) record(t testing.TB, row, instance string, id int64) {
	t.Helper()
	var d incident.Detail
	apptest.GetJSON(t, fmt.Sprintf("%s/api/incidents/%d", p.URL(), id), &d)
	r, ok := contract.LookupRow(row)
	if !ok {
		t.Fatalf("no row %q", row)
	}
	if override.Base(d.ContractRow) != row || d.ContractLiteral != r.Literal || d.Customer != "acme" || d.Severity != r.Severity {
		t.Errorf("incident %d: row %q, literal %q, customer %q, severity %q; want %q, %q, acme, %q", id, d.ContractRow, d.ContractLiteral, d.Customer, d.Severity, row, r.Literal, r.Severity)
	}
	resource := instance
	if target := d.Identity.Get("target"); target != "" {
		resource = target // probes are told by their address
	}
	if d.Identity.Get("instance") != instance || !strings.Contains(d.Annotations.Get("summary"), resource) || !strings.Contains(d.Annotations.Get("summary_zh"), resource) {
		t.Errorf("incident %d of %s: identity %s, texts %s", id, instance, d.Identity, d.Annotations)
	}
	if len(d.Samples) == 0 || len(d.Events) == 0 {
		t.Errorf("incident %d: %d samples, %d events", id, len(d.Samples), len(d.Events))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found[row] = true
}

// calm waits until no incident of a row is open.
func (p *wholePath) calm(t testing.TB, row, instance string) {
	t.Helper()
	eventually(t, patience, row+" of "+instance+" to be good", func() error {
		for _, i := range p.incidents(t, row, instance) {
			if i.Open() {
				time.Sleep(200 * time.Millisecond)
				return fmt.Errorf("incident %d is %s", i.ID, i.State)
			}
		}
		return nil
	})
}

// recovers is calm after an incident that resolved.
func (p *wholePath) recovers(t testing.TB, row, instance string) {
	t.Helper()
	p.calm(t, row, instance)
	if list := p.incidents(t, row, instance); len(list) == 0 || list[0].State != incident.Resolved {
		t.Errorf("no incident of %s of %s resolved: %+v", row, instance, list)
	}
}

// good waits for a server's first samples and fails when a row has an incident.
func (p *wholePath) good(t testing.TB, series, instance string, rows ...string) {
	t.Helper()
	eventually(t, patience, series+" of "+instance, func() error {
		if len(p.query(t, fmt.Sprintf("%s{instance=%q}", series, instance))) == 0 {
			time.Sleep(200 * time.Millisecond)
			return errNotYet
		}
		return nil
	})
	for _, row := range rows {
		if list := p.incidents(t, row, instance); len(list) > 0 {
			t.Errorf("%s of %s has an incident before the breach: %+v", row, instance, list)
		}
	}
}

// query returns the values of an instant query.
func (p *wholePath) query(t testing.TB, expr string) []float64 {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	apptest.GetJSON(t, p.URL()+"/api/v1/query?query="+url.QueryEscape(expr), &answer)
	var values []float64
	for _, r := range answer.Data.Result {
		values = append(values, number(t, fmt.Sprint(r.Value[1])))
	}
	return values
}

// told checks that each row with an incident was told to the receiver, and each
// message once.
func (p *wholePath) told(t testing.TB) {
	t.Helper()
	eventually(t, patience, "every incident told", func() error {
		told := map[string]bool{}
		for _, m := range p.Tickets.Messages() {
			for _, a := range m.Alerts {
				told[override.Base(a.Annotations["contract_row"])] = true
			}
		}
		for row := range p.found {
			if !told[row] {
				return fmt.Errorf("%s is not", row)
			}
		}
		return nil
	})
	p.Tickets.OncePerKey(t)
}
