package catalog

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/ruleset/contract"
)

func shippedCatalog(t *testing.T) *Catalog {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// cloudProducts are the products of the alarm table that CloudMonitor measures,
// as the table names them, and as our label product does.
var cloudProducts = map[string]string{
	"ECS": contract.ProductECS, "RDS": contract.ProductRDS, "SLB": contract.ProductSLB,
	"云 Redis": contract.ProductKVStore, "云 MongoDB": contract.ProductMongoDB, "DRDS": contract.ProductDRDS,
	"CDN": contract.ProductCDN, "云 Elasticsearch": contract.ProductESCloud,
}

func TestEveryCloudRowOfTheContractHasItsMetric(t *testing.T) {
	f, err := os.Open("../../../ruleset/contract/thresholds.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	metrics := shippedCatalog(t).Metrics()
	cloudRows := 0
	for _, row := range rows[1:] {
		id, product := row[0], cloudProducts[row[1]]
		if product == "" {
			continue
		}
		cloudRows++
		answered := slices.ContainsFunc(metrics, func(m Metric) bool {
			return m.Product == product && m.Lane != Off && slices.Contains(m.Rows, id)
		})
		if !answered {
			t.Errorf("row %s: no collected metric of product %s answers it", id, product)
		}
	}
	if cloudRows != 35 {
		t.Errorf("the table has %d cloud rows, the test expects 35", cloudRows)
	}
}

// The counters of a listener that the contract names.
func TestEveryListenerCounterIsCollected(t *testing.T) {
	collected := shippedCatalog(t).Collected(contract.ProductSLB)
	for _, name := range []string{"PacketTX", "PacketRX", "TrafficRXNew", "TrafficTXNew", "ActiveConnection", "InactiveConnection", "NewConnection"} {
		if !slices.ContainsFunc(collected, func(m Metric) bool { return m.Metric == name && m.Dimensions["port"] != "" }) {
			t.Errorf("%s is not collected for each listener", name)
		}
	}
}

func TestDeclaredMetricsAndCatalogueAgree(t *testing.T) {
	byName := map[string][]Metric{}
	for _, m := range shippedCatalog(t).Metrics() {
		byName[m.Name] = append(byName[m.Name], m)
	}
	for _, declared := range contract.Metrics() {
		namespace, ok := strings.CutPrefix(declared.Source, "aliyun/acs_")
		if !ok {
			continue
		}
		entries := byName[declared.Name]
		if len(entries) == 0 {
			t.Errorf("%s: no catalogue entry produces it", declared.Name)
		}
		for _, m := range entries {
			if m.Namespace != "acs_"+namespace {
				t.Errorf("%s: from namespace %s, declared %s", m.Name, m.Namespace, declared.Source)
			}
			if m.Unit != declared.Unit {
				t.Errorf("%s (%s): unit %q, declared %q", m.Name, m.Metric, m.Unit, declared.Unit)
			}
			for _, dimensions := range []map[string]string{m.Dimensions, m.OptionalDimensions} {
				for key, label := range dimensions {
					if label != InstanceLabel && !slices.Contains(declared.Labels, label) {
						t.Errorf("%s (%s): %s becomes label %q, which is not declared", m.Name, m.Metric, key, label)
					}
				}
			}
		}
	}
}

func TestPeriodFollowsTheLaneAndTheSmallestPeriod(t *testing.T) {
	f := func(lane Lane, smallest, want int) {
		t.Helper()
		if got := (Metric{Lane: lane, MinPeriod: smallest}).Period(); got != want {
			t.Errorf("lane %s, smallest period %d: period %d, want %d", lane, smallest, got, want)
		}
	}
	f(Alarm, 15, 60)
	f(Alarm, 60, 60)
	f(Fast, 60, 60)
	f(Normal, 60, 300)
	f(Alarm, 300, 300)
	f(Normal, 3600, 3600)
}

const userFile = `product: ecs
namespace: acs_ecs_dashboard
metrics:
- metric: vm.DiskUtilization
  name: aliyun_ecs_disk_utilization_percent
  help: Used share of a file system.
  unit: percent
  statistics: [Average]
  dimensions: {instanceId: instance, mountpoint: mountpoint}
  lane: alarm
  rows: [ecs-disk]
`

func TestUserFileReplacesShippedMetric(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.yml")
	if err := os.WriteFile(path, []byte(userFile), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(c.Metrics()), len(shippedCatalog(t).Metrics()); got != want {
		t.Errorf("%d metrics, want %d: the user's entry replaces", got, want)
	}
	for _, m := range c.Collected("ecs") {
		if m.Metric == "vm.DiskUtilization" {
			want := Metric{
				Product: "ecs", Namespace: "acs_ecs_dashboard", Scope: Regional,
				Metric: "vm.DiskUtilization", Name: "aliyun_ecs_disk_utilization_percent",
				Help: "Used share of a file system.", Unit: "percent", Scale: 1,
				Statistics: []string{"Average"}, Dimensions: map[string]string{"instanceId": "instance", "mountpoint": "mountpoint"},
				MinPeriod: 60, Lane: Alarm, Rows: []string{"ecs-disk"},
			}
			if diff := cmp.Diff(want, m); diff != "" {
				t.Error(diff)
			}
			return
		}
	}
	t.Error("the metric that the user switched on is not collected")
}

func TestMistakesAreNamedWithTheirLine(t *testing.T) {
	f := func(from, to, want string) {
		t.Helper()
		broken := strings.Replace(userFile, from, to, 1)
		if broken == userFile {
			t.Fatalf("%q is not in the file", from)
		}
		path := filepath.Join(t.TempDir(), "mine.yml")
		if err := os.WriteFile(path, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mine.yml") {
			t.Errorf("error %v, want one with %q and the file's name", err, want)
		}
	}
	f("lane: alarm", "lane: alarms", "metrics[0].lane")
	f("lane: alarm", "lane: normal", "metrics[0].lane: a contract row needs")
	f("statistics: [Average]", "statistics: [Mean]", "metrics[0].statistics[0]")
	f("statistics: [Average]", "statistics: []", "metrics[0].statistics")
	f("unit: percent", "units: percent", "units")
	f("instanceId: instance,", "", "must become the label instance")
	f("mountpoint: mountpoint}", "mountpoint: region}", "metrics[0].dimensions.mountpoint")
	f("mountpoint: mountpoint}", "mountpoint: instance}", "is there twice")
	f("namespace: acs_ecs_dashboard", "namespace: ecs", "namespace")
	f("product: ecs", "product: ECS", "product")
	f("  lane: alarm", "  lane: alarm\n  min_period: 45", "metrics[0].min_period")
	f("name: aliyun_ecs_disk_utilization_percent", "name: vm.DiskUtilization", "metrics[0].name")
}
