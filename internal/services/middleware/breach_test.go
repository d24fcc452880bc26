//go:build services

package middleware

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// provoked are the rows of the contract that TestBreaches provokes in real
// servers, and how.
var provoked = map[string]string{
	"apache-cpu":             "every request is compressed; the threshold is overridden, since tests cannot have a machine for themselves",
	"apache-restarted":       "killed, and started again after more than ten of the rule's minutes",
	"nginx-restarted":        "killed, and started again: at once, and after more than the hour that the rule looks back",
	"php-waiting":            "more requests than processes",
	"php-max-children":       "limit of processes reached",
	"java-cpu":               "threads that compute; threshold as above",
	"java-heap":              "heap filled",
	"java-nonheap":           "classes loaded below a limit",
	"java-restarted":         "killed, and started again after more than ten of the rule's minutes",
	"tomcat-cpu":             "threads that compute; threshold as above",
	"tomcat-heap":            "heap filled",
	"tomcat-nonheap":         "classes loaded below a limit",
	"tomcat-restarted":       "killed, and started again after more than ten of the rule's minutes",
	"mysql-replica-lag":      "an old event held up by a lock",
	"mysql-replica-broken":   "SQL thread stopped",
	"zookeeper-outstanding":  "both followers hang: the leader has no quorum for what it is asked",
	"zookeeper-latency":      "the followers go on, what waited is answered",
	"zookeeper-fds":          "connections up to a limit of files",
	"rabbitmq-disk":          "more free disk demanded than there is",
	"rabbitmq-memory":        "less memory allowed than is used",
	"rabbitmq-health":        "both",
	"rabbitmq-processes":     "Erlang processes up to their limit",
	"rabbitmq-sockets":       "connections up to a limit of files",
	"rabbitmq-fds":           "connections up to a limit of files",
	"kafka-under-replicated": "a JVM with a broker's beans, their values written",
	"kafka-queue-time":       "a JVM with a broker's beans, their values written",
	"kafka-response-time":    "a JVM with a broker's beans, their values written",
	"process-down":           "memcached killed",
	"port-down":              "memcached killed",
	"website-failed":         "Nginx killed",
}

// whereAllowed are rows that are provoked where the machine lets the server run.
var whereAllowed = map[string]string{
	"docker-cpu":    "a container that uses up its quota; the Docker engine needs the right to mount and to make control groups",
	"docker-memory": "a container that fills its memory; as above",
}

// notProvoked are the rows of servers that no test here provokes, and why.
var notProvoked = map[string]string{
	"ping-unreachable":           "loopback addresses cannot be taken away from a machine that runs other tests; package probe tests addresses that do not answer",
	"iis-restarted":              "needs Windows",
	"iis-not-autostart":          "needs Windows",
	"iis-not-running":            "needs Windows",
	"es-yellow":                  "no server in Debian",
	"es-red":                     "no server in Debian",
	"es-fds":                     "no server in Debian",
	"es-cpu":                     "no server in Debian",
	"es-heap":                    "no server in Debian",
	"k8s-deployment-unavailable": "no cluster in Debian",
	"k8s-node-unschedulable":     "no cluster in Debian",
	"k8s-pod-failed":             "no cluster in Debian",
	"k8s-container-terminated":   "no cluster in Debian",
	"k8s-active-pods":            "no cluster in Debian",
}

// Every row about a server, a process or a service is provoked, or it says why not.
func TestEveryRowIsProvokedOrSaysWhyNot(t *testing.T) {
	listed := map[string]int{}
	for _, list := range []map[string]string{provoked, whereAllowed, notProvoked} {
		for row := range list {
			listed[row]++
		}
	}
	pack, err := contract.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range pack {
		if strings.HasPrefix(f.Name, "contract/aliyun-") || f.Name == "contract/host.yml" {
			continue // not about a server that a collector reads
		}
		groups, err := ruleset.Parse(f.Name, f.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			for _, r := range g.Rules {
				if listed[r.ID()] != 1 {
					t.Errorf("%s: row %s is in %d of the lists of this file, want 1", f.Name, r.ID(), listed[r.ID()])
				}
				delete(listed, r.ID())
			}
		}
	}
	if len(listed) > 0 {
		t.Errorf("no rows of the contract about servers: %v", slices.Sorted(maps.Keys(listed)))
	}
}

// Breaches provoked in real servers are found on the whole path: read by the
// collectors of one server of ours, stored, judged by the shipped rules, kept as
// incidents that name row and resource, and told.
func TestBreaches(t *testing.T) {
	t.Parallel()
	victims := []victim{
		nginxVictim(t), nginxCounterVictim(t), apacheVictim(t), phpVictim(t), mysqlVictim(t), zooVictim(t), zooFilesVictim(t), rabbitVictim(t),
		rabbitLimitsVictim(t), javaVictim(t), tomcatVictim(t), kafkaVictim(t), processVictim(t), websiteVictim(t), dockerVictim(t),
	}
	p := watchVictims(t, victims)
	var ran atomic.Int64 // of the subtests, which -run may choose from
	// They wait more than they compute.
	var all sync.WaitGroup
	for _, v := range victims {
		all.Go(func() {
			t.Run(v.name, func(t *testing.T) {
				ran.Add(1)
				v.provoke(t, p)
			})
		})
	}
	all.Wait()
	// One after another, since each takes what it gets of the machine.
	for _, v := range victims {
		if v.busy != nil {
			t.Run(v.name+" busy", func(t *testing.T) { v.busy(t, p) })
		}
	}
	if int(ran.Load()) == len(victims) {
		for row := range provoked {
			if !p.found[row] {
				t.Errorf("no incident of row %s", row)
			}
		}
	}
	p.told(t)
}
