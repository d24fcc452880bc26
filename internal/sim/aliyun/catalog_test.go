package aliyun

import (
	"testing"
	"time"
)

// Every metric that an alarm of the service contract judges can be breached here.
func TestAlarmMetricsCanBreach(t *testing.T) {
	alarms := map[string][]string{
		nsECS: {"CPUUtilization", "cpu_total", "diskusage_utilization", "vm.DiskUtilization", "memory_usedutilization",
			"vm.MemoryUtilization", "cpu_wait", "fs_inodeutilization", "vm.DiskIusedUtilization"},
		nsRDS: {"ConnectionUsage", "DataDelay", "IOPSUsage", "CpuUsage", "DiskUsage", "MemoryUsage",
			"cpu_usage", "mem_usage", "iops_usage", "conn_usgae", "local_fs_size_usage", "PG_RO_ReadLag"},
		nsSLB: {"DropConnection", "InstanceDropConnection", "InstanceMaxConnectionUtilization", "InstanceQpsUtilization", "UnhealthyServerCount"},
		nsRedis: {"StandardCpuUsage", "ShardingCpuUsage", "SplitrwCpuUsage", "CpuUsage",
			"StandardConnectionUsage", "ShardingConnectionUsage", "SplitrwConnectionUsage", "ConnectionUsage",
			"StandardMemoryUsage", "ShardingMemoryUsage", "SplitrwMemoryUsage", "MemoryUsage",
			"StandardQPSUsage", "ShardingQPSUsage", "SplitrwQPSUsage"},
		nsMongoDB: {"CPUUtilization", "MemoryUtilization", "DiskUtilization", "IOPSUtilization", "ConnectionUtilization",
			"ShardingCPUUtilization", "ShardingMemoryUtilization", "ShardingDiskUtilization", "ShardingIOPSUtilization", "ShardingConnectionUtilization",
			"SingleNodeCPUUtilization", "SingleNodeMemoryUtilization", "SingleNodeDiskUtilization", "SingleNodeConnectionUtilization"},
		nsDRDS: {"CPUUtilization", "MemoryUtilization", "LogicRT", "PhysicsRT"},
		nsCDN:  {"hitRate"},
		nsES: {"ClusterStatus", "NodeDiskUtilization", "NodeHeapMemoryUtilization", "NodeCPUUtilization",
			"NodeStatsFullGcCollectionCount", "ClusterAutoSnapshotLatestStatus"},
	}
	counts := map[string]int{}
	for namespace := range alarms {
		if namespace != nsECS {
			counts[namespace] = 12
		}
	}
	s := newTestServer(t, func(c *Config) { c.Products = counts })
	for namespace, names := range alarms {
		for _, name := range names {
			if id := breachable(s, namespace, name); id == "" {
				t.Errorf("%s %s: no instance has it", namespace, name)
			} else if got := s.Published(id, name, noon, noon.Add(time.Minute)); got[0].Statistics[anyKey(got[0].Statistics)] != 12345 {
				t.Errorf("%s %s of %s: breach does not act: %v", namespace, name, id, got[0])
			}
		}
	}
}

// breachable breaches the metric at the first instance that has it.
func breachable(s *Server, namespace, name string) string {
	for _, id := range s.Instances(namespace) {
		if s.Inject(Breach{Instance: id, Metric: name, From: noon, To: noon.Add(time.Hour), Value: 12345}) == nil {
			return id
		}
	}
	return ""
}

func anyKey(m map[string]float64) string {
	for k := range m {
		return k
	}
	return ""
}
