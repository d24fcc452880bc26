package plan

import (
	"fmt"
	"slices"
	"strings"

	"watchkeeper/exporters/aliyun/cost"
	"watchkeeper/exporters/aliyun/events"
	"watchkeeper/exporters/aliyun/inventory"
)

const (
	// perDimension is how many series a resource is taken to have for each
	// dimension beside its own id (disks, listeners, nodes), when nobody says; also
	// how many disks an ECS instance has.
	perDimension = 2
	// snapshotsPerDisk is one a day, kept for a week.
	snapshotsPerDisk = 7
)

// Sizes says how much an account holds in one region; of global products, in all.
type Sizes struct {
	// Resources by product of the catalogue, and the Parts of some.
	Resources map[string]int
	// Series of single metrics, by NAMESPACE/METRICNAME or MetricName. Default: one for each resource, and
	// perDimension times as many for each further dimension.
	Series map[string]int
	// Lists of the inventory, by product. Default: what Resources says.
	Lists map[string]inventory.Size
	// Events and backups. Nil: what Resources says.
	Events *events.Size
	// Bills of the account, in its first region. Nil: an item for each resource.
	Bills *cost.Size
}

// Parts are names of Resources beside products, and what they are when they are
// not told: rds-mysql and other engines (all MySQL), rds-readonly (none),
// mongodb-sharding (none), slb-prepaid (all), ecs-disks (two an instance),
// ecs-snapshots (seven a disk), ecs-events of 30 days (none).
var Parts = []string{"rds-readonly", "mongodb-sharding", "slb-prepaid", "ecs-disks", "ecs-snapshots", "ecs-events"}

// part is a part's size.
func (s Sizes) part(name string, usual int) int {
	if n, ok := s.Resources[name]; ok {
		return n
	}
	return usual
}

func (s Sizes) list(product string) inventory.Size {
	if l, ok := s.Lists[product]; ok {
		return l
	}
	n := s.Resources[product]
	l := inventory.Size{Resources: n, Detailed: n}
	switch product {
	case "slb":
		l.Detailed = s.part("slb-prepaid", n)
	case "mongodb":
		sharded := min(s.part("mongodb-sharding", 0), n)
		l.Rows = []int{n - sharded, sharded}
	}
	return l
}

func (s Sizes) events() events.Size {
	if s.Events != nil {
		return *s.Events
	}
	e := events.Size{Events: s.part("ecs-events", 0), Databases: s.Resources["rds"], Disks: s.part("ecs-disks", perDimension*s.Resources["ecs"])}
	e.BackedUp = max(e.Databases-s.part("rds-readonly", 0), 0)
	e.Snapshots = s.part("ecs-snapshots", snapshotsPerDisk*e.Disks)
	return e
}

// ParseSizes reads ecs=200,rds=10 and metric:diskusage_utilization=650. known
// are the products that there may be.
func ParseSizes(texts []string, known []string) (Sizes, error) {
	s := Sizes{Resources: map[string]int{}, Series: map[string]int{}}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		var n int
		if _, err := fmt.Sscanf(value+"\n", "%d\n", &n); !ok || err != nil || n < 0 {
			return s, fmt.Errorf("%q: want PRODUCT=NUMBER, such as ecs=200", text)
		}
		if metric, ok := strings.CutPrefix(name, "metric:"); ok {
			s.Series[metric] = n
			continue
		}
		base, _, _ := strings.Cut(name, "-")
		if !slices.Contains(known, name) && !slices.Contains(Parts, name) && !(base == "rds" && slices.Contains(known, base)) {
			return s, fmt.Errorf("%q: no product %q; there are %s, and of some products %s", text, name, strings.Join(known, ", "), strings.Join(Parts, ", "))
		}
		s.Resources[name] = n
	}
	return s, nil
}

// empty are the sizes of a region that holds nothing.
func empty() *Sizes {
	return &Sizes{Resources: map[string]int{}, Series: map[string]int{}, Lists: map[string]inventory.Size{}}
}

// take adds the resources that a list holds.
func (s *Sizes) take(product string, l inventory.Size) {
	s.Lists[product] = l
	if _, ok := s.Resources[product]; !ok {
		s.Resources[product] = l.Resources
	}
}
