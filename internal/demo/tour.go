package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/api"
	"watchkeeper/internal/app"
	"watchkeeper/internal/table"
)

// row is the contract row that the demo's breach is about.
const row = "ecs-cpu"

// tour asks the running server by its HTTP API, as a person would, and prints
// each thing once when it is there.
type tour struct {
	p            printer
	base, ingest string
	dir          string
	sim          *simulated
	cycle        string

	shown    map[string]bool
	messages int
	complete bool // everything of the first half minute was seen
}

// run looks once a second until ctx ends.
func (t *tour) run(ctx context.Context) error {
	t.shown = map[string]bool{}
	t.p.step("simulated cloud account: %s", t.sim.breach)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, look := range []struct {
			name string
			show func(context.Context) (bool, error)
		}{
			{"sources", t.sources}, {"alert", t.alert}, {"incident", t.incident}, {"report", t.report},
			{"late published", t.publishLate}, {"late", t.late}, {"recovery published", t.publishRecovery}, {"closed", t.closed},
		} {
			if t.shown[look.name] {
				continue
			}
			done, err := look.show(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return fmt.Errorf("%s: %w", look.name, err)
			}
			t.shown[look.name] = done
		}
		if t.shown["incident"] {
			t.delivered()
		}
		if !t.complete && t.shown["sources"] && t.shown["alert"] && t.shown["incident"] && t.shown["report"] && t.shown["late"] && t.shown["closed"] && t.shown["told"] {
			t.complete = true
			t.further()
		}
	}
}

// sources waits until every source has delivered.
func (t *tour) sources(ctx context.Context) (bool, error) {
	var list []app.SourceStatus
	if err := t.get(ctx, "/api/sources", &list); err != nil {
		return false, err
	}
	kinds := map[string]bool{}
	var rows [][]string
	for _, s := range list {
		kind, _, _ := strings.Cut(s.Source, "/")
		kinds[kind] = kinds[kind] || s.Samples > 0
		rows = append(rows, []string{"  " + s.Source, strconv.FormatInt(s.Samples, 10), strconv.FormatInt(s.Batches, 10), clockSeconds(s.LastSample), yes(s.Up)})
	}
	if !kinds["host"] || !kinds["probe"] || !kinds["aliyun"] || time.Since(t.p.start) < 4*time.Second {
		return false, nil
	}
	t.p.head("samples arrive, per source")
	return true, table.Write(t.p.w, []string{"  SOURCE", "SAMPLES", "BATCHES", "NEWEST (UTC)", "UP"}, rows)
}

// alert waits for the contract row's alert.
func (t *tour) alert(ctx context.Context) (bool, error) {
	if !t.shown["sources"] {
		return false, nil
	}
	var answer struct {
		Data struct {
			Alerts []api.Alert `json:"alerts"`
		} `json:"data"`
	}
	if err := t.get(ctx, "/api/v1/alerts", &answer); err != nil {
		return false, err
	}
	for _, a := range answer.Data.Alerts {
		if a.Row != row || a.State != "firing" || a.Labels.Get("instance") != t.sim.breach.Instance {
			continue
		}
		t.p.head("alert %s is firing", a.Labels.Get("alertname"))
		t.p.facts([][]string{
			{"  contract row", a.Row},
			{"  literal text", a.Literal},
			{"  series", a.Labels.String()},
			{"  run", runText(a)},
			{"  says", a.Annotations.Get("summary")},
		})
		return true, nil
	}
	return false, nil
}

// runText says how far the alert's run has come.
func runText(a api.Alert) string {
	if a.Run == nil {
		return "not counted"
	}
	return fmt.Sprintf("%d breaching checks, %d fire", *a.Run, a.Of)
}

// incident waits for the incident of the breach.
func (t *tour) incident(ctx context.Context) (bool, error) {
	if !t.shown["alert"] {
		return false, nil
	}
	d, err := t.find(ctx)
	if d == nil || err != nil {
		return false, err
	}
	t.p.head("incident %d is open (%s)", d.ID, d.Severity)
	t.p.facts([][]string{
		{"  started", clockSeconds(d.StartedAt) + " UTC, event time of the third breaching sample"},
		{"  opened", clockSeconds(d.OpenedAt) + " UTC, durable; contract clocks start here"},
	})
	t.p.line("  the samples that made it:")
	var rows [][]string
	for _, s := range d.Samples {
		rows = append(rows, []string{"    " + clockSeconds(time.UnixMilli(s.T)), strconv.FormatFloat(s.V, 'g', 5, 64) + " %", s.Verdict})
	}
	return true, table.Write(t.p.w, nil, rows)
}

// report shows last month's availability.
func (t *tour) report(ctx context.Context) (bool, error) {
	if !t.shown["incident"] {
		return false, nil
	}
	contract, err := os.ReadFile(filepath.Join(t.dir, "hosting.yml"))
	if err != nil {
		return false, err
	}
	text, err := t.call(ctx, http.MethodPost, "/api/slo/report?"+url.Values{"cycle": {t.cycle}, "format": {"table"}}.Encode(), contract)
	if err != nil {
		return false, err
	}
	t.p.head("last month's availability report")
	for _, l := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		t.p.line("  %s", l)
	}
	return true, nil
}

// publishLate lets the late point come.
func (t *tour) publishLate(context.Context) (bool, error) {
	b, now := t.sim.breach, time.Now()
	if !t.shown["report"] || now.Before(b.LateAt) {
		return false, nil
	}
	return true, t.sim.publish(b.Late, b.Late, now)
}

// publishRecovery lets the good points come.
func (t *tour) publishRecovery(context.Context) (bool, error) {
	b, now := t.sim.breach, time.Now()
	if !t.shown["late"] || now.Before(b.GoodAt) {
		return false, nil
	}
	return true, t.sim.publish(b.To.Add(time.Minute), b.To.Add(held), now)
}

// late waits for the late point and shows the breach as it is stored then.
func (t *tour) late(ctx context.Context) (bool, error) {
	if !t.shown["late published"] {
		return false, nil
	}
	b := t.sim.breach
	query := fmt.Sprintf(`aliyun_ecs_cpu_utilization_percent{instance=%q}[%ds]`, b.Instance, int(b.To.Sub(b.From).Seconds())+60)
	var answer struct {
		Data struct {
			Result []struct {
				Values [][2]any `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := t.get(ctx, "/api/v1/query?"+url.Values{"query": {query}, "time": {strconv.FormatInt(b.To.Unix(), 10)}}.Encode(), &answer); err != nil {
		return false, err
	}
	stored := map[int64]string{}
	for _, series := range answer.Data.Result {
		for _, v := range series.Values {
			at, _ := v[0].(float64)
			stored[int64(at)], _ = v[1].(string)
		}
	}
	if stored[b.Late.Unix()] == "" {
		return false, nil
	}
	t.p.head("the late point has come; the breach, sample by sample")
	var rows [][]string
	for m := b.From; !m.After(b.To); m = m.Add(time.Minute) {
		value, note := stored[m.Unix()], ""
		switch {
		case m.Equal(b.Late):
			note = fmt.Sprintf("published %s late, judged at its own check", time.Since(m).Round(time.Second))
		case value == "":
			value, note = "-", "never came: a gap that the run may have, neither good nor bad"
		}
		rows = append(rows, []string{"    " + clockSeconds(m), value, note})
	}
	return true, table.Write(t.p.w, nil, rows)
}

// closed waits for the recovery.
func (t *tour) closed(ctx context.Context) (bool, error) {
	if !t.shown["incident"] {
		return false, nil
	}
	d, err := t.find(ctx)
	if d == nil || err != nil || d.ResolvedAt.IsZero() {
		return false, err
	}
	t.p.head("incident %d is resolved: a good sample at %s UTC", d.ID, clockSeconds(d.ResolvedAt))
	return true, nil
}

// find returns the incident of the breach, nil while there is none.
func (t *tour) find(ctx context.Context) (*incident.Detail, error) {
	var list api.IncidentList
	if err := t.get(ctx, "/api/incidents?rule="+row, &list); err != nil {
		return nil, err
	}
	for _, i := range list.Incidents {
		if i.Identity.Get("instance") == t.sim.breach.Instance {
			d := &incident.Detail{}
			return d, t.get(ctx, fmt.Sprintf("/api/incidents/%d", i.ID), d)
		}
	}
	return nil, nil
}

// delivered prints the webhooks that the ticket system got since the last look.
func (t *tour) delivered() {
	all := t.sim.tickets.messages()
	for _, n := range all[t.messages:] {
		t.p.head("webhook delivered to the ticket system: %s", n.Status)
		t.shown["told"] = t.shown["told"] || n.Status == "resolved"
		t.p.facts([][]string{{"  idempotency key", n.Key}})
		for _, a := range n.Alerts {
			t.p.facts([][]string{
				{"  alert", a.Labels["alertname"] + " on " + a.Labels["instance"] + ", " + a.Status},
				{"  says", a.Annotations["summary"]},
			})
		}
	}
	t.messages = len(all)
}

// further tells where to look on one's own.
func (t *tour) further() {
	t.p.head("look further, while this runs")
	bin := "watchkeeper"
	if exe, err := os.Executable(); err == nil {
		bin = exe
		if wd, err := os.Getwd(); err == nil {
			if rel, err := filepath.Rel(wd, exe); err == nil && !strings.HasPrefix(rel, "..") {
				bin = rel
			}
		}
	}
	for _, c := range []string{
		fmt.Sprintf("curl '%s/api/v1/query?query=aliyun_ecs_cpu_utilization_percent'", t.base),
		fmt.Sprintf("curl '%s/api/v1/rules?rule_name[]=ECSCPUUtilizationHigh' -g", t.base),
		fmt.Sprintf("curl '%s/api/incidents/1'", t.base),
		fmt.Sprintf("curl '%s/metrics'", t.base),
		fmt.Sprintf("%s incidents show 1 --url %s", bin, t.base),
		fmt.Sprintf("%s rules explain '%s{instance=%q}' --url %s", bin, row, t.sim.breach.Instance, t.base),
		fmt.Sprintf("%s rules list --url %s", bin, t.base),
		fmt.Sprintf("%s slo report --contract %s --cycle %s --url %s", bin, filepath.Join(t.dir, "hosting.yml"), t.cycle, t.base),
		fmt.Sprintf("%s loadtest --to %s --duration 5s", bin, t.ingest),
	} {
		t.p.line("  %s", c)
	}
	t.p.line("  Grafana: add a Prometheus data source with the URL %s", t.base)
	t.p.line("  the server's log: %s", filepath.Join(t.dir, "demo.log"))
	t.p.step("everything was seen after %.0f s; Ctrl-C ends the demo", time.Since(t.p.start).Seconds())
}

func (t *tour) get(ctx context.Context, path string, out any) error {
	b, err := t.call(ctx, http.MethodGet, path, nil)
	if err != nil || b == nil {
		return err
	}
	return json.Unmarshal(b, out)
}

// call asks the server; nil without an error while it is not listening yet.
func (t *tour) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.base+path, strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return nil, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	return b, nil
}

func clockSeconds(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("15:04:05")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
