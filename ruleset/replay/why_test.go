package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

const whyPage = "../../docs/why-consecutive-samples.md"

// The condition of every case: three checks in a row, a minute apart, at 90 or more.
const (
	ourRule   = `groups: [{name: g, interval: 1m, rules: [{alert: CPUHigh, expr: cpu >= 90, consecutive: 3}]}]`
	forExpr   = `cpu >= 90`
	exactExpr = `min_over_time(cpu[3m]) >= 90 and count_over_time(cpu[3m]) >= 3`
)

// whyCase is one story, told to Prometheus in two forms and to our engine. The
// claims are what the page says, and what the test holds.
type whyCase struct {
	title, story string
	points       []whyPoint
	end          int           // minutes told
	restart      time.Duration // both engines die and come back; 0: they do not
	watermark    [2]time.Duration
	// what each says: "fires 3m, resolved 5m"; "never" for nothing
	byFor, exact, ours string
	moral              string
}

type whyPoint struct {
	t, arrive time.Duration
	v         float64
}

// each makes points a minute apart, each arriving at its own time. NaN is none.
func each(from int, values ...float64) []whyPoint {
	var out []whyPoint
	for i, v := range values {
		if t := time.Duration(from+i) * time.Minute; !math.IsNaN(v) {
			out = append(out, whyPoint{t, t, v})
		}
	}
	return out
}

// arriving delivers points all at once.
func arriving(at time.Duration, points []whyPoint) []whyPoint {
	for i := range points {
		points[i].arrive = at
	}
	return points
}

var none = math.NaN()

var whyCases = []whyCase{
	{
		title:  "Three bad minutes and two good ones in one poll",
		story:  "A cloud's monitoring is polled every five minutes. The poll at 5m brings the minutes 1 to 5: three breaches, then two good samples.",
		points: append(each(0, 50), arriving(5*time.Minute, each(1, 95, 95, 95, 50, 50))...), end: 7,
		byFor: "never", exact: "never", ours: "fires 5m (check 3m), resolved 5m (check 4m)",
		moral: "By contract the alert was due. A rule that asks at its own times whether the condition holds *now* cannot see it: when the data are there, it is over. Checks in event time see it whenever the data come.",
	},
	{
		title:  "One bad sample, then silence",
		story:  "A single breach at 1m; after it the sender is silent.",
		points: each(0, 50, 95), end: 9,
		byFor: "fires 3m, resolved 6m", exact: "never", ours: "never",
		moral: "An instant query repeats the last sample for five minutes; `for` counts the repetitions as time. One sample is one breach here, however long nothing follows.",
	},
	{
		title:  "A good sample between, two and a half minutes late",
		story:  "Breaches at 1m and 3m; the good sample of 2m arrives 150 s late, at 4m30s.",
		points: []whyPoint{{0, 0, 50}, {time.Minute, time.Minute, 95}, {3 * time.Minute, 3 * time.Minute, 95}, {2 * time.Minute, 270 * time.Second, 50}, {4 * time.Minute, 4 * time.Minute, 50}}, end: 7,
		byFor: "fires 3m, resolved 4m", exact: "never", ours: "never",
		moral: "`for` fired on two samples and never learns of the third. A missing check holds a run here but does not lengthen it, and the late sample takes its place between the two.",
	},
	{
		title:  "One sample lost",
		story:  "Four bad minutes, of which the second sample is lost for good.",
		points: each(0, 50, 95, none, 95, 95, 50), end: 7,
		byFor: "fires 3m, resolved 5m", exact: "never", ours: "fires 4m (check 4m), resolved 5m (check 5m)",
		moral: "`for` fires a sample early; the exact form asks for three samples within three minutes and never sees them. Here the third breach fires (`max_gap` says how many checks may be missing between two).",
	},
	{
		title:  "An agent that was cut off for an hour",
		story:  "The agent is cut off after 0m and declares what it has delivered by its watermark. At 60m it is back with all it buffered; from 10m to 13m the value was high.",
		points: append(each(0, 50), arriving(60*time.Minute, append(each(1, slices.Repeat([]float64{50}, 9)...), append(each(10, 95, 95, 95, 95), each(14, slices.Repeat([]float64{50}, 47)...)...)...))...), end: 62,
		watermark: [2]time.Duration{time.Minute, 0},
		byFor:     "never", exact: "never", ours: "fires 60m (check 12m), resolved 60m (check 14m)",
		moral: "Nothing that the agent kept is lost for judging: while its watermark stands still, its checks do not settle.",
	},
	{
		title:  "The monitoring itself restarts",
		story:  "The engines restart at 2m30s, between the second and the third breach. Prometheus takes up a pending alert again only if its `for` is longer than ten minutes (the default of its grace period), so the count begins anew.",
		points: each(0, 50, 95, 95, 95, 95, 50), end: 7, restart: 150 * time.Second,
		byFor: "never", exact: "fires 3m, resolved 5m", ours: "fires 3m (check 3m), resolved 5m (check 5m)",
		moral: "State is derived from the stored samples, so a restart changes no verdict.",
	},
	{
		title:  "Silence after firing",
		story:  "Three breaches, then nothing more: the host is down, or the network to it.",
		points: each(0, 50, 95, 95, 95), end: 11,
		byFor: "fires 3m, resolved 8m", exact: "fires 3m, resolved 4m", ours: "fires 3m (check 3m), no_data 9m (check 8m)",
		moral: "Both forms call the alert resolved because nobody speaks any more. Absence never resolves here: after five missing checks the alert is *no-data* and stays open.",
	},
	{
		title:  "Flapping, every sample in time",
		story:  "The value goes up and down; nothing is late and nothing is lost.",
		points: each(0, 50, 95, 50, 95, 95, 50, 95, 95, 95, 95, 50), end: 11,
		byFor: "fires 8m, resolved 10m", exact: "fires 8m, resolved 10m", ours: "fires 8m (check 8m), resolved 10m (check 10m)",
		moral: "With perfect data on the grid all three agree. The differences are all about data that are not perfect.",
	},
}

// told is what one engine says in a case: its state at each minute, and its changes.
type told struct {
	states  []string
	changes []string
}

func (a told) String() string {
	if len(a.changes) == 0 {
		return "never"
	}
	return strings.Join(a.changes, ", ")
}

var whyLabels = labels.FromStrings("__name__", "cpu", "instance", "a")

// askPrometheus evaluates an alerting rule of Prometheus's own every minute, after
// what arrives in that minute is stored.
func askPrometheus(t *testing.T, c whyCase, expr string, hold time.Duration) told {
	t.Helper()
	store := ruleset.NewMemory()
	p := parser.NewParser(parser.Options{})
	e, err := p.ParseExpr(expr)
	if err != nil {
		t.Fatal(err)
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: p})
	defer engine.Close()
	newRule := func() *rules.AlertingRule {
		return rules.NewAlertingRule("CPUHigh", e, hold, 0, labels.EmptyLabels(), labels.EmptyLabels(), labels.EmptyLabels(), "", true, slog.New(slog.DiscardHandler))
	}
	rule := newRule()
	query := rules.EngineQueryFunc(engine, store)
	var out told
	for m := range c.end + 1 {
		now := time.Duration(m) * time.Minute
		for _, pt := range c.points {
			if pt.arrive <= now {
				store.Append(whyLabels, worldStart.Add(pt.t).UnixMilli(), pt.v)
			}
		}
		if c.restart > now-time.Minute && c.restart <= now && c.restart != 0 {
			rule = newRule()
		}
		if _, err := rule.Eval(context.Background(), 0, worldStart.Add(now), query, nil, 0); err != nil {
			t.Fatal(err)
		}
		was, is := "inactive", "inactive"
		for _, a := range rule.ActiveAlerts() { // one at most: there is one series
			is = a.State.String()
		}
		if m > 0 {
			was = out.states[m-1]
		}
		out.states = append(out.states, is)
		switch {
		case is == "firing" && was != "firing":
			out.changes = append(out.changes, fmt.Sprintf("fires %dm", m))
		case was == "firing" && is != "firing":
			out.changes = append(out.changes, fmt.Sprintf("resolved %dm", m))
		}
	}
	return out
}

// askUs replays the case and reads the live log.
func askUs(t *testing.T, c whyCase) told {
	t.Helper()
	type line struct {
		at   time.Duration
		text string
	}
	stamp := func(d time.Duration) string { return worldStart.Add(d).Format(time.RFC3339) }
	var lines []line
	for _, p := range c.points {
		lines = append(lines, line{p.arrive, fmt.Sprintf(`{"time":%q,"value":%v,"labels":{"__name__":"cpu","instance":"a"},"arrive":%q,"source":"agent"}`, stamp(p.t), p.v, stamp(p.arrive))})
	}
	if at := c.watermark[0]; at != 0 {
		lines = append(lines, line{at, fmt.Sprintf(`{"watermark":%q,"arrive":%q,"source":"agent"}`, stamp(c.watermark[1]), stamp(at))})
	}
	if c.restart != 0 {
		lines = append(lines, line{c.restart, fmt.Sprintf(`{"restart":%q}`, stamp(c.restart))})
	}
	for m := range c.end + 1 {
		lines = append(lines, line{time.Duration(m) * time.Minute, fmt.Sprintf(`{"advance":%q}`, stamp(time.Duration(m)*time.Minute))})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return int(a.at - b.at) })
	var in strings.Builder
	for _, l := range lines {
		in.WriteString(l.text + "\n")
	}
	var log bytes.Buffer
	if _, err := replay.Samples(t.Context(), parseRules(t, ourRule), strings.NewReader(in.String()), &log, replay.Options{Logs: replay.LogsLive}); err != nil {
		t.Fatal(err)
	}
	return tellUs(t, &log, c.end)
}

func tellUs(t *testing.T, log *bytes.Buffer, end int) told {
	t.Helper()
	out := told{states: slices.Repeat([]string{"inactive"}, end+1)}
	for dec := json.NewDecoder(log); dec.More(); {
		var l struct {
			At, Check time.Time
			To        string
		}
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		from := int(math.Ceil(l.At.Sub(worldStart).Minutes()))
		both := l.To == "resolved" && from > 0 && out.states[from] == "firing" && out.states[from-1] != "firing"
		for m := from; m <= end; m++ {
			out.states[m] = l.To
			if l.To == "resolved" && m > from {
				out.states[m] = "inactive"
			}
		}
		if both { // it fired and resolved within this minute
			out.states[from] = "firing, then resolved"
		}
		if word := map[string]string{"firing": "fires", "resolved": "resolved", "no_data": "no_data"}[l.To]; word != "" {
			out.changes = append(out.changes, fmt.Sprintf("%s %s (check %s)", word, minutes(l.At.Sub(worldStart)), minutes(l.Check.Sub(worldStart))))
		}
	}
	return out
}

func minutes(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return model.Duration(d).String()
}

// TestWhyConsecutiveSamples holds every claim of the page and the page itself.
func TestWhyConsecutiveSamples(t *testing.T) {
	var page strings.Builder
	page.WriteString(whyIntro)
	for _, c := range whyCases {
		byFor, exact, ours := askPrometheus(t, c, forExpr, 2*time.Minute), askPrometheus(t, c, exactExpr, 0), askUs(t, c)
		for _, x := range []struct{ who, claim, is string }{{"for: 2m", c.byFor, byFor.String()}, {"exact form", c.exact, exact.String()}, {"watchkeeper", c.ours, ours.String()}} {
			if x.claim != x.is {
				t.Errorf("%s: the page claims of %s: %s; in truth: %s", c.title, x.who, x.claim, x.is)
			}
		}
		writeCase(&page, c, byFor, exact, ours)
	}
	if *update {
		if err := os.WriteFile(whyPage, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(whyPage)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(page.String(), string(have)); d != "" {
		t.Errorf("%s is not what the engines say; run go test ./ruleset/replay -run Why -update (-engines +page):\n%s", whyPage, d)
	}
}

const whyIntro = "# Why consecutive samples\n\n" +
	"A contract says: *checked every minute, three times in a row at 90 % or more*. That counts samples. Rulers count time, or\n" +
	"the result of a query at the time they happen to ask it. While every sample arrives at once the two are the same; with\n" +
	"polled clouds, buffered agents and lost packets they are not. Below, the same samples go to Prometheus's own rule engine\n" +
	"in the two usual forms, evaluated every minute, and to watchkeeper:\n\n" +
	"| | Rule |\n|---|---|\n" +
	"| `for` | `" + forExpr + "` with `for: 2m` |\n" +
	"| exact form | `" + exactExpr + "` |\n" +
	"| watchkeeper | `" + forExpr + "` with `consecutive: 3`, `interval: 1m` |\n\n" +
	"This page is written by a test (`go test ./ruleset/replay -run Why -update`) that runs all three engines and holds every\n" +
	"claim, so it stays true. A row is a minute; *arrived* is what came since the row before, as sample time = value. Minutes in\n" +
	"which nothing comes and nothing changes are left out. [rules.md](rules.md) is the definition.\n"

func writeCase(w *strings.Builder, c whyCase, byFor, exact, ours told) {
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n| at | arrived | `for: 2m` | exact form | watchkeeper |\n|---|---|---|---|---|\n", c.title, c.story)
	skipped := false
	for m := range c.end + 1 {
		got := arrivedIn(c, m)
		same := m > 0 && byFor.states[m] == byFor.states[m-1] && exact.states[m] == exact.states[m-1] && ours.states[m] == ours.states[m-1]
		if same && got == "" && m < c.end {
			skipped = true
			continue
		}
		if skipped {
			w.WriteString("| … | | | | |\n")
			skipped = false
		}
		fmt.Fprintf(w, "| %dm | %s | %s | %s | %s |\n", m, got, state(byFor.states[m]), state(exact.states[m]), state(ours.states[m]))
	}
	fmt.Fprintf(w, "\n| | Result |\n|---|---|\n| `for: 2m` | %s |\n| exact form | %s |\n| watchkeeper | %s |\n\n%s\n", result(byFor), result(exact), result(ours), c.moral)
}

// arrivedIn lists what came in the minute before m, runs of equal values in one.
func arrivedIn(c whyCase, m int) string {
	var parts []string
	now := time.Duration(m) * time.Minute
	var from, to time.Duration
	var value float64
	flush := func() {
		switch {
		case to == 0 && from == 0 && len(parts) == 0 && value == 0:
		case from == to:
			parts = append(parts, fmt.Sprintf("%s = %v", minutes(from), value))
		default:
			parts = append(parts, fmt.Sprintf("%s to %s = %v", minutes(from), minutes(to), value))
		}
	}
	open := false
	for _, p := range c.points {
		if p.arrive > now || p.arrive <= now-time.Minute {
			continue
		}
		if open && p.v == value && p.t == to+time.Minute {
			to = p.t
			continue
		}
		if open {
			flush()
		}
		from, to, value, open = p.t, p.t, p.v, true
	}
	if open {
		flush()
	}
	if c.restart > now-time.Minute && c.restart <= now && c.restart != 0 {
		parts = append([]string{"restart at " + minutes(c.restart)}, parts...)
	}
	return strings.Join(parts, ", ")
}

func state(s string) string {
	switch s {
	case "firing", "no_data", "resolved", "firing, then resolved":
		return "**" + strings.ReplaceAll(s, "_", "-") + "**"
	case "pending":
		return s
	}
	return ""
}

func result(a told) string {
	if len(a.changes) == 0 {
		return "never fires"
	}
	return strings.ReplaceAll(a.String(), "no_data", "no-data")
}
