package aliyun

import "strings"

func replicaRoles(r *resource) [][]string {
	if r.variant != mongoReplicaSet {
		return nil
	}
	return [][]string{{"Primary"}, {"Secondary"}}
}

func shardRoles(r *resource) [][]string {
	var out [][]string
	for _, shard := range nodesOf(mongoSharded, "d-$-%d", 2)(r) {
		id := strings.Replace(shard[0], "dds-", "", 1)
		out = append(out, []string{id, "Primary"}, []string{id, "Secondary"})
	}
	return out
}

// mongoRows makes the same metrics for each kind of instance, under its prefix.
func mongoRows() []metric {
	kinds := []struct {
		prefix string
		keys   []string
		series func(*resource) [][]string
		names  []string
	}{
		{"", []string{"role"}, replicaRoles, []string{"CPU", "Memory", "Disk", "IOPS", "Connection"}},
		{"Sharding", []string{"subinstanceId", "role"}, shardRoles, []string{"CPU", "Memory", "Disk", "IOPS", "Connection"}},
		{"SingleNode", nil, isVariant(mongoSingle), []string{"CPU", "Memory", "Disk", "Connection"}},
	}
	var all []metric
	for _, kind := range kinds {
		for _, name := range kind.names {
			row := metric{name: kind.prefix + name + "Utilization", unit: "%", keys: kind.keys, shape: percent(5, 55)}
			if name == "Disk" {
				row.shape = row.shape.slow()
			}
			all = append(all, namespaceRows(nsMongoDB, minAvgMax, kind.series, row)...)
		}
	}
	return all
}

var mongoMetrics = mongoRows()
