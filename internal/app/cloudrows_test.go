package app_test

import (
	"fmt"
	"maps"
	"math"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/internal/app"
	"watchkeeper/internal/app/apptest"
	sim "watchkeeper/internal/sim/aliyun"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// estate is how many of everything the account of TestEveryCloudRow holds: of
// each architecture and engine several, in both regions.
var estate = map[string]int{
	"acs_rds_dashboard": 30, "acs_slb_dashboard": 8, "acs_kvstore": 18, "acs_mongodb": 18, "acs_drds": 6, "acs_cdn": 6, "acs_elasticsearch": 8,
}

// Each cloud row of the contract, for each metric that answers it (every
// architecture, engine and spelling): a resource whose points lie at the threshold
// has an incident of that row, one whose points lie just short of it has none,
// and nothing else in the account has any.
func TestEveryCloudRowBecomesAnIncident(t *testing.T) {
	t.Parallel()
	delay := sim.Delay{Min: time.Second, Max: 2 * time.Second}
	regions := []string{"cn-hangzhou", "cn-beijing"}
	cloud, err := sim.New(sim.Config{
		Seed: 11, Keys: []sim.Key{cloudKey}, Regions: regions, ECSInstances: 24, Products: estate, PointDelay: &delay, QuotaPerMonth: -1,
		RateLimits: map[string]float64{"Cms.DescribeMetricList": -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	known, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	rows := cloudRows(t)
	want, grazed := breachAll(t, cloud, known, rows)
	srv := httptest.NewServer(cloud)
	t.Cleanup(srv.Close)
	sources := 0
	for _, m := range known.Collected(products(known, rows)...) {
		if sources++; m.Scope != catalog.Global {
			sources += len(regions) - 1
		}
	}

	dir := files(t, map[string]string{"cloud-secret": cloudKey.Secret, "watchkeeper.yml": listeners + fmt.Sprintf(`
customers:
- name: acme
  aliyun:
    accounts:
    - name: main
      regions: [%s]
      products: [%s]
      access_key_id: testid
      access_key_secret_file: cloud-secret
      scheme: http
      endpoint: "%s"
      interval: 30s
      normal_interval: 24h
      fill_in: 40m
      calls_per_month: 1000000000
      api_calls_per_second: {Cms.DescribeMetricList: 500}
      performance: {off: true}
      cdn_requests: {off: true}
`, strings.Join(regions, ", "), strings.Join(products(known, rows), ", "), strings.TrimPrefix(srv.URL, "http://"))})
	s := serve(t, dir+"/watchkeeper.yml")

	found := func() map[string]string {
		opened := map[string]string{}
		for _, i := range s.incidents("limit=1000") {
			opened[i.ContractRow+" "+i.Identity.Get("instance")] = string(i.State)
		}
		return opened
	}
	// What grazes a threshold is judged by the same batches as what breaches it.
	const long = 3 * time.Minute
	apptest.UntilWithin(t, long, "every source read", func() bool {
		var list []app.SourceStatus
		apptest.GetJSON(t, s.URL()+"/api/sources", &list)
		read := 0
		for _, src := range list {
			if strings.Contains(src.Source, "/acs_") && src.Current {
				read++
			}
		}
		return read >= sources
	})
	apptest.UntilWithin(t, long, "an incident for each breach", func() bool {
		opened := found()
		for where := range want {
			if opened[where] == "" {
				return false
			}
		}
		return true
	})
	if d := cmp.Diff(want, found()); d != "" {
		t.Errorf("incidents by row and resource (-want +got):\n%s", d)
	}
	for where := range grazed {
		if _, ok := want[where]; ok {
			t.Errorf("%s breaches and grazes: the account is too small to tell them apart", where)
		}
	}
}

var cloudName = regexp.MustCompile(`\baliyun_[a-z0-9_]+`)

// cloudRows are the rows whose shipped rule reads a metric of CloudMonitor.
func cloudRows(t *testing.T) map[string]contract.Row {
	t.Helper()
	cloud := map[string]bool{}
	for _, m := range contract.Metrics() {
		cloud[m.Name] = strings.HasPrefix(m.Source, "aliyun/acs_")
	}
	packed, err := contract.Pack()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]contract.Row{}
	for _, f := range packed {
		groups, err := ruleset.Parse(f.Name, f.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			for _, r := range g.Rules {
				if !slices.ContainsFunc(cloudName.FindAllString(r.Expr, -1), func(name string) bool { return cloud[name] }) {
					continue
				}
				row, ok := contract.LookupRow(r.Contract.Row)
				if !ok {
					t.Fatalf("%s: rule %s has no row", f.Name, r.Alert)
				}
				out[row.ID] = row
			}
		}
	}
	if len(out) < 35 {
		t.Fatalf("%d cloud rows; the contract has 35: %v", len(out), slices.Sorted(maps.Keys(out)))
	}
	return out
}

// products are the catalogue's that have a metric for one of the rows.
func products(known *catalog.Catalog, rows map[string]contract.Row) []string {
	var out []string
	for _, m := range known.Metrics() {
		for _, row := range m.Rows {
			if _, ok := rows[row]; ok && m.Lane != catalog.Off && !slices.Contains(out, m.Product) {
				out = append(out, m.Product)
			}
		}
	}
	return out
}

// breachAll breaches every metric of every row on one series of one resource,
// and lets it graze the threshold on all series of another. Each resource has
// as few as possible.
func breachAll(t *testing.T, cloud *sim.Server, known *catalog.Catalog, rows map[string]contract.Row) (breached, grazed map[string]string) {
	t.Helper()
	from, to := time.Now().Add(-15*time.Minute), time.Now().Add(time.Hour)
	load := map[string]int{}
	breached, grazed = map[string]string{}, map[string]string{}
	answered := map[string]bool{}
	for _, m := range known.Metrics() {
		for _, id := range m.Rows {
			row, ok := rows[id]
			if !ok || m.Lane == catalog.Off {
				continue
			}
			var having []string
			for _, instance := range cloud.Instances(m.Namespace) {
				if len(cloud.Published(instance, m.Metric, from, time.Now())) > 0 {
					having = append(having, instance)
				}
			}
			having = slices.DeleteFunc(having, func(i string) bool { return breached[id+" "+i] != "" || grazed[id+" "+i] != "" })
			if len(having) < 2 {
				t.Errorf("row %s: the simulator has %d resources with %s %s, the test needs two", id, len(having), m.Namespace, m.Metric)
				continue
			}
			slices.SortStableFunc(having, func(a, b string) int { return load[a] - load[b] })
			hit, short := having[0], having[1]
			load[hit]++
			load[short]++
			over, under := around(t, row)
			series := cloud.Published(hit, m.Metric, from, time.Now())
			inject(t, cloud, sim.Breach{Instance: hit, Metric: m.Metric, Dimensions: series[len(series)-1].Dimensions, From: from, To: to, Value: over})
			inject(t, cloud, sim.Breach{Instance: short, Metric: m.Metric, From: from, To: to, Value: under})
			breached[id+" "+hit], grazed[id+" "+short] = string(incident.Firing), "-"
			answered[id] = true
		}
	}
	for id := range rows {
		if !answered[id] {
			t.Errorf("row %s: no metric of the catalogue was breached", id)
		}
	}
	return breached, grazed
}

// around is a value at the threshold and one just short of it.
func around(t *testing.T, row contract.Row) (over, under float64) {
	t.Helper()
	if len(row.Thresholds) != 1 {
		t.Fatalf("row %s has %d thresholds", row.ID, len(row.Thresholds))
	}
	limit := row.Thresholds[0]
	step := 0.01
	if row.Unit == "state" || row.Unit == "count" { // whole numbers
		step = 1
	}
	switch row.Op {
	case ">=":
		return limit, math.Max(limit-step, 0)
	case ">":
		return limit + step, limit
	case "<":
		return limit - step, limit
	}
	t.Fatalf("row %s: operator %s is not known here", row.ID, row.Op)
	return 0, 0
}

func inject(t *testing.T, cloud *sim.Server, f sim.Fault) {
	t.Helper()
	if err := cloud.Inject(f); err != nil {
		t.Fatal(err)
	}
}
