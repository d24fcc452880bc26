package coverage

import (
	"strings"

	"watchkeeper/ruleset/contract"
)

// optional rows are for part of a product's resources only, and nothing but
// their series tells which: without any, the row does not apply. A series that
// was there and fell silent is a hole all the same.
var optional = map[string]string{
	"rds-replica-lag":            "not a read-only instance: it reports no lag",
	"mysql-replica-lag":          "not a replica: it reports no lag",
	"mysql-replica-broken":       "not a replica",
	"java-heap":                  "the JVM reports no maximum of its heap",
	"java-nonheap":               "the JVM reports no maximum of its non-heap memory",
	"tomcat-heap":                "the JVM reports no maximum of its heap",
	"tomcat-nonheap":             "the JVM reports no maximum of its non-heap memory",
	"slb-drop":                   "no listener",
	"slb-unhealthy-backends":     "no listener with a health check",
	"slb-qps":                    "no layer-7 listener",
	"host-inode":                 "no file system that counts inodes",
	"k8s-deployment-unavailable": "no deployment",
	"k8s-node-unschedulable":     "no node",
	"k8s-pod-failed":             "no pod",
	"k8s-container-terminated":   "no container has ended",
	"k8s-active-pods":            "no workload that wants pods",
}

// notOnWindows are rows about what Windows does not have.
var notOnWindows = map[string]bool{"ecs-iowait": true, "ecs-inode": true, "host-load": true, "host-iowait": true, "host-inode": true}

// notECS is how the contract marks rows for hosts that are not ECS instances.
const notECS = "(非 ECS)"

// notFor says why a row is not for a resource; empty when it is.
func (s *scan) notFor(res resource, row contract.Row) string {
	switch {
	case strings.Contains(row.RuleZH, notECS) && s.ecsHosts[res.onHost()]:
		return "the host is an ECS instance: the ECS rows are for it"
	case s.windows[res.onHost()] && notOnWindows[row.ID]:
		return "Windows has no such value"
	case s.stopped[res.onHost()]:
		return "the instance is not running"
	}
	return ""
}

// host identifies a machine, whatever product its series are of.
type host struct{ customer, product, instance string }

func (r resource) onHost() host { return host{r.customer, r.product, r.instance} }
