package cli

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/app/apptest"
	"watchkeeper/internal/datadir"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset/replay"
)

const cpuRules = `groups: [{name: g, interval: 1m, rules: [{alert: CPUHigh, expr: cpu >= 90, consecutive: 3, lateness: 10m, contract: {row: ecs-cpu, literal: "每分钟检测一次, 连续三次>=90%"}}]}]`

// recorded makes the data folder of a stopped server that saw an alert of each
// customer at 10:03.
func recorded(t *testing.T, dir string, customers ...string) {
	t.Helper()
	d, err := datadir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	cfg := storage.DefaultConfig()
	cfg.Dir, cfg.MinFreeBytes = d.Path(), 0
	s, err := storage.Open(cfg, slog.New(slog.DiscardHandler), metrics.NewSet(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []float64{50, 92, 97, 95, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50} {
		for _, customer := range customers {
			cpu := labels.FromStrings("__name__", "cpu", "customer", customer, "instance", "a")
			b := sample.Batch{Source: sample.Source{Customer: customer, Name: "agent"}, Watermark: sample.Current, Samples: []sample.Sample{{Labels: cpu, T: now.UnixMilli(), V: v}}}
			if _, err := s.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(time.Minute)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// Lines go to standard output and nothing else does; the same input gives the same bytes.
func TestRulesReplayOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.yml"), cpuRules)
	var in strings.Builder
	for i, v := range []string{"50", "92", "97", "95", "50"} {
		in.WriteString(`{"time":"2026-03-01T10:0` + string(rune('0'+i)) + `:00Z","value":` + v + `,"labels":{"__name__":"cpu","instance":"a"}}` + "\n")
	}
	write(t, filepath.Join(dir, "in.jsonl"), in.String()+`{"advance":"2026-03-01T10:13:00Z"}`+"\n")
	const want = `{"log":"settled","at":"2026-03-01T10:11:00Z","check":"2026-03-01T10:01:00Z","alert":"CPUHigh","labels":{"instance":"a"},"from":"inactive","to":"pending","value":92,"run":1,"reason":""}
{"log":"settled","at":"2026-03-01T10:13:00Z","check":"2026-03-01T10:03:00Z","alert":"CPUHigh","labels":{"instance":"a"},"from":"pending","to":"firing","value":95,"run":3,"reason":""}
`
	r := run(t, dir, "rules", "replay", "--rules", "rules.yml", "--samples", "in.jsonl", "--log", "settled")
	if r.code != 0 || r.stdout != want || r.stderr != "" {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	both := ok(t, dir, "rules", "replay", "--rules", "rules.yml", "--samples", "in.jsonl")
	if n := strings.Count(both, `"log":"live"`); n != 3 || !strings.HasSuffix(both, want) {
		t.Errorf("%d live lines in\n%s", n, both)
	}
	const table = `LOG      AT                    CHECK                 ALERT                  FROM      TO       VALUE  RUN  REASON
settled  2026-03-01T10:11:00Z  2026-03-01T10:01:00Z  CPUHigh{instance="a"}  inactive  pending  92     1
settled  2026-03-01T10:13:00Z  2026-03-01T10:03:00Z  CPUHigh{instance="a"}  pending   firing   95     3
`
	if got := ok(t, dir, "rules", "replay", "--rules", "rules.yml", "--samples", "in.jsonl", "--log", "settled", "--format", "table"); got != table {
		t.Errorf("as a table:\n%s", got)
	}
	write(t, filepath.Join(dir, "bad.jsonl"), "{\n")
	write(t, filepath.Join(dir, "in.jsonl.yml"), "groups: []\n")
	write(t, filepath.Join(dir, "long.jsonl"), strings.Repeat("1", 2<<20))
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{2, "line 1", []string{"--rules", "rules.yml", "--samples", "bad.jsonl"}},
		{2, "no such file", []string{"--rules", "rules.yml", "--samples", "none.jsonl"}},
		{2, "no such file", []string{"--rules", "none.yml", "--samples", "in.jsonl"}},
		{2, "give --samples or --from", []string{"--rules", "rules.yml"}},
		{2, "must be live, settled or both", []string{"--rules", "rules.yml", "--samples", "in.jsonl", "--log", "all"}},
		{2, "stored samples have no arrivals", []string{"--rules", "rules.yml", "--from", "2026-03-01T10:00:00Z", "--to", "2026-03-01T11:00:00Z", "--log", "live"}},
		{2, "give --rules;", []string{"--samples", "in.jsonl"}},
		{2, "--from and --to go together: give --to, too;", []string{"--rules", "rules.yml", "--from", "2026-03-01T10:00:00Z"}},
		{2, "--data and --samples: give one of them;", []string{"--rules", "rules.yml", "--samples", "in.jsonl", "--data", "data"}},
		{2, "hold no rule with the field consecutive", []string{"--rules", "in.jsonl.yml", "--samples", "in.jsonl"}},
		{2, "line 1: not JSON: ", []string{"--rules", "rules.yml", "--samples", "rules.yml"}},
		{2, "line 1: longer than 1048576 bytes", []string{"--rules", "rules.yml", "--samples", "long.jsonl"}},
		{2, "is a directory", []string{"--rules", "rules.yml", "--samples", "."}},
		{2, "is not before", []string{"--rules", "rules.yml", "--from", "2026-03-01T10:00:00Z", "--to", "2026-03-01T10:00:00Z"}},
	} {
		if r := run(t, dir, append([]string{"rules", "replay"}, c.args...)...); r.code != c.code || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("%v: exit code %d, want %d: %s", c.args, r.code, c.code, r.stderr)
		}
	}
}

// What a stopped server stored is replayed, explained and compared.
func TestRulesOverAStoppedFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	recorded(t, filepath.Join(dir, "data"), "acme")
	write(t, filepath.Join(dir, "rules.yml"), cpuRules)
	write(t, filepath.Join(dir, "stricter.yml"), strings.Replace(cpuRules, "consecutive: 3", "consecutive: 4", 1))
	replayed := ok(t, dir, "rules", "replay", "--rules", "rules.yml", "--from", "2026-03-01T10:01:00Z", "--to", "2026-03-01T10:30:00Z", "--data", "data")
	const want = `{"log":"settled","at":"2026-03-01T10:13:00Z","check":"2026-03-01T10:03:00Z","alert":"CPUHigh","labels":{"customer":"acme","instance":"a"},"from":"pending","to":"firing","value":95,"run":3,"reason":""}
{"log":"settled","at":"2026-03-01T10:14:00Z","check":"2026-03-01T10:04:00Z","alert":"CPUHigh","labels":{"customer":"acme","instance":"a"},"from":"firing","to":"resolved","value":50,"run":3,"reason":""}
`
	if replayed != want {
		t.Errorf("replayed:\n%s", replayed)
	}

	explain := []string{"rules", "explain", `CPUHigh{instance="a"}`, "--data", "data", "--rules", "rules.yml", "--at", "2026-03-01T10:03:30Z", "--checks", "2"}
	table := ok(t, dir, explain...)
	for _, line := range []string{
		"2026-03-01T10:02:00Z  97 at 10:02:00  breach   2    pending  yes    breach 2 of 3: not yet",
		"2026-03-01T10:03:00Z  95 at 10:03:00  breach   3    firing   yes    breach 3 of 3: fires",
		"每分钟检测一次, 连续三次>=90%",
	} {
		if !strings.Contains(table, line) {
			t.Errorf("no line %q in\n%s", line, table)
		}
	}
	es := decoded[[]replay.Explanation](t, dir, append(explain, "--format", "json")...)
	if len(es) != 1 || len(es[0].Checks) != 2 || es[0].State != "firing" || es[0].Checks[1].Samples[0].Value != 95 {
		t.Errorf("explanation %+v", es)
	}
	if r := run(t, dir, "rules", "explain", "Nothing", "--data", "data", "--rules", "rules.yml"); r.code != 2 || !strings.Contains(r.stderr, `no rule with consecutive is named "Nothing"`) {
		t.Errorf("unknown alert: exit code %d: %s", r.code, r.stderr)
	}
	if r := run(t, dir, "rules", "explain", "CPUHigh", "--rules", "rules.yml"); r.code != 2 {
		t.Errorf("rules for a running server: exit code %d: %s", r.code, r.stderr)
	}

	if out := ok(t, dir, "rules", "diff", "rules.yml", "rules.yml", "--since", "1d", "--data", "data"); !strings.Contains(out, "samples are stored since 2026-03-01T10:00:00Z;") || !strings.Contains(out, "0 only old, 0 only new, 0 changed, 1 the same") {
		t.Errorf("the same rules: %s", out)
	}
	if out := ok(t, dir, "rules", "diff", "rules.yml", "rules.yml", "--since", "5m", "--data", "data"); strings.Contains(out, "stored since") {
		t.Errorf("the last minutes: %s", out)
	}
	r := run(t, dir, "rules", "diff", "rules.yml", "rules.yml", "--until", "2026-03-01T09:00:00Z", "--data", "data")
	if r.code != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, "nothing is stored of the time from 2025-12-01T09:00:00Z to 2026-03-01T09:00:00Z: samples begin at 2026-03-01T10:00:00Z") {
		t.Errorf("before all samples: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r = run(t, dir, "rules", "diff", "rules.yml", "stricter.yml", "--since", "1d", "--data", "data")
	if r.code != 1 || !strings.Contains(r.stdout, `- only old  ecs-cpu  CPUHigh{customer="acme", instance="a"}  2026-03-01T10:03:00Z  2026-03-01T10:04:00Z resolved`) || !strings.Contains(r.stdout, "1 only old, 0 only new, 0 changed, 0 the same") {
		t.Errorf("stricter rules: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// --customer shows one customer's part of what is shown without it.
func TestRulesOfOneCustomer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	recorded(t, filepath.Join(dir, "data"), "acme", "beta")
	write(t, filepath.Join(dir, "rules.yml"), cpuRules)
	write(t, filepath.Join(dir, "stricter.yml"), strings.Replace(cpuRules, "consecutive: 3", "consecutive: 4", 1))
	var in strings.Builder
	for i, v := range []string{"92", "97", "95", "50"} {
		for _, customer := range []string{"acme", "beta"} {
			fmt.Fprintf(&in, `{"time":"2026-03-01T10:0%d:00Z","value":%s,"labels":{"__name__":"cpu","customer":"%s","instance":"a"}}`+"\n", i, v, customer)
		}
	}
	write(t, filepath.Join(dir, "in.jsonl"), in.String()+`{"advance":"2026-03-01T10:13:00Z"}`+"\n")
	for _, args := range []string{
		"replay --rules rules.yml --samples in.jsonl",
		"replay --rules rules.yml --from 2026-03-01T10:01:00Z --to 2026-03-01T10:30:00Z --data data",
	} {
		all := ok(t, dir, strings.Fields("rules "+args)...)
		var want strings.Builder
		for _, line := range strings.SplitAfter(all, "\n") {
			if strings.Contains(line, `"customer":"beta"`) {
				want.WriteString(line)
			}
		}
		if got := ok(t, dir, strings.Fields("rules "+args+" --customer beta")...); got != want.String() || got == "" || got == all {
			t.Errorf("%s:\n%sof\n%s", args, got, all)
		}
	}
	for args, want := range map[string]string{"": "2 only old, 0 only new", " --customer beta": "1 only old, 0 only new"} {
		r := run(t, dir, strings.Fields("rules diff rules.yml stricter.yml --since 1d --data data"+args)...)
		if r.code != exitFound || !strings.Contains(r.stdout, want) || args != "" && strings.Contains(r.stdout, "acme") {
			t.Errorf("diff%s: exit code %d: %s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	for _, alert := range []string{"CPUHigh", "CPUHigh{}", `CPUHigh{instance="a"}`, `ecs-cpu{instance=~"a|b"}`} {
		args := []string{"rules", "explain", alert, "--data", "data", "--rules", "rules.yml", "--format", "json"}
		if es := decoded[[]replay.Explanation](t, dir, args...); len(es) != 2 {
			t.Errorf("%s: %d alerts", alert, len(es))
		}
		if es := decoded[[]replay.Explanation](t, dir, append(args, "--customer", "beta")...); len(es) != 1 || es[0].Labels.Get("customer") != "beta" {
			t.Errorf("%s of beta: %+v", alert, es)
		}
	}
	if r := run(t, dir, "rules", "coverage", "--data", "data", "--customer", "nobody"); r.code != exitFailed || !strings.Contains(r.stderr, `no resource of the customer "nobody" is known`) || r.stdout != "" {
		t.Errorf("coverage: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

// A running server answers the same questions.
func TestRulesOverARunningServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "watchkeeper.yml"), "data_dir: data\napi: {listen: 127.0.0.1:0}\ningest: {listen: \"\"}\n")
	write(t, filepath.Join(dir, "rules.yml"), cpuRules)
	d := start(t, dir)
	if out := ok(t, dir, "rules", "replay", "--rules", "rules.yml", "--from", "2026-03-01T10:00:00Z", "--to", "2026-03-01T11:00:00Z", "--url", d.url); out != "" {
		t.Errorf("lines of a series that was never there: %s", out)
	}
	if out := ok(t, dir, "rules", "diff", "rules.yml", "rules.yml", "--url", d.url); !strings.Contains(out, "0 the same") {
		t.Errorf("diff: %s", out)
	}
	// Of a customer that was never there an empty answer would look like a good one.
	for _, q := range []string{"replay --rules rules.yml --from 2026-03-01T10:00:00Z --to 2026-03-01T11:00:00Z", "diff rules.yml rules.yml", "coverage", "list"} {
		if r := run(t, dir, append(append([]string{"rules"}, strings.Fields(q)...), "--customer", "acme", "--url", d.url)...); r.code != exitFailed || !strings.Contains(r.stderr, `customer "acme"`) || r.stdout != "" {
			t.Errorf("%s: exit code %d: %s%s", q, r.code, r.stdout, r.stderr)
		}
	}
	if r := run(t, dir, "rules", "explain", "Nothing", "--url", d.url); r.code != 2 || !strings.Contains(r.stderr, `no rule with consecutive is named "Nothing"`) {
		t.Errorf("unknown alert: exit code %d: %s", r.code, r.stderr)
	}
	if r := run(t, dir, "rules", "explain", "{", "--url", d.url); r.code != 2 || !strings.Contains(r.stderr, `"{": want ALERT{labels}`) {
		t.Errorf("wrong alert: exit code %d: %s", r.code, r.stderr)
	}
}

// The settled log that a server wrote while it ran is what replay makes of its
// folder when it has stopped, byte for byte.
func TestRulesReplayEqualsTheServersLog(t *testing.T) {
	t.Parallel()
	dir, _ := pushed(t)
	write(t, filepath.Join(dir, "rules.yml"), `groups: [{name: queue, interval: 1s, rules: [{alert: QueueLong, expr: queue_length > 10, consecutive: 3, lateness: 2s}]}]`)
	d := start(t, dir)
	series := labels.FromStrings("__name__", "queue_length", "instance", "mail")
	now := time.Now().Truncate(time.Second)
	var points []apptest.Point
	for i, v := range []float64{5, 99, 98, 97, 5, 5, 99, 98, 97, 5, 5, 5, 5, 5, 5, 5} {
		points = append(points, apptest.Point{Series: series, T: now.Add(time.Duration(i-16) * time.Second).UnixMilli(), V: v})
	}
	if code, body := apptest.WriteV1(t, d.url+"/api/v1/write", "", points...); code != http.StatusNoContent {
		t.Fatalf("write: %d %s", code, body)
	}
	settled := func() string {
		var out strings.Builder
		names, err := filepath.Glob(filepath.Join(dir, "data", "log", "settled-*.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(b)
		}
		return out.String()
	}
	apptest.Until(t, "two resolved alerts in the settled log", func() bool { return strings.Count(settled(), `"to":"resolved"`) == 2 })
	if code := d.stop(syscall.SIGTERM); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	replayed := ok(t, dir, "rules", "replay", "--rules", "rules.yml", "--data", "data",
		"--from", now.Add(-time.Hour).UTC().Format(time.RFC3339), "--to", now.Add(time.Hour).UTC().Format(time.RFC3339))
	if want := settled(); replayed != want || strings.Count(want, "\n") != 6 {
		t.Errorf("the server wrote\n%sreplay says\n%s", want, replayed)
	}
}
