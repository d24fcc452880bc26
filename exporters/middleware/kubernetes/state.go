package kubernetes

import (
	"slices"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

// Names of the lists; also the parts that an account may not see.
const (
	listNodes        = "nodes"
	listDeployments  = "deployments"
	listStatefulSets = "statefulsets"
	listDaemonSets   = "daemonsets"
	listPods         = "pods"
)

// state is a cluster at one check, whatever it was read from.
type state struct {
	version   string
	nodes     []node
	workloads []workload
	pods      []pod
}

type node struct {
	name          string
	kubelet       string // version
	unschedulable bool
	conditions    map[string]bool // by type: whether it is true
}

// pressures are the conditions beside Ready; true is bad.
var pressures = []string{"MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"}

type workload struct {
	kind, namespace, name       string // kind: deployment, statefulset, daemonset
	desired, ready, unavailable float64
}

type pod struct {
	namespace, name string
	phase           string // Pending, Running, Succeeded, Failed, Unknown
	containers      []container
}

type container struct {
	name     string
	restarts float64
	state    string // running, waiting, terminated; empty when it is not known yet
	reason   string
	exitCode float64 // of a terminated one
}

// troubled says that a pod is what somebody looks for.
func (p pod) troubled() bool {
	return p.phase == "Failed" || p.phase != "Succeeded" && slices.ContainsFunc(p.containers, func(c container) bool { return c.state != "running" })
}

// add adds the state's series and ends those of what is gone. What the limit of
// series cuts off are the last pods: those without trouble.
func (r *reader) add(s state, out *server.Reading) {
	if s.version != "" {
		out.Add(metricInfo, 1, "version", s.version)
	}
	for _, n := range s.nodes {
		r.nodes.Add(out, n.name, func() { n.add(out) })
	}
	for _, w := range s.workloads {
		key := strings.Join([]string{w.kind, w.namespace, w.name}, "/")
		r.workloads.Add(out, key, func() { w.add(out) })
		if w.desired > 0 {
			r.desired.Add(out, key, func() { out.Add(metricWorkloadDesired, w.desired, w.dims()...) })
		}
	}
	addPhases(s.pods, out)
	slices.SortStableFunc(s.pods, func(a, b pod) int { return int(flag(b.troubled()) - flag(a.troubled())) })
	for _, p := range s.pods {
		r.pods.Add(out, p.namespace+"/"+p.name, func() { p.add(out) })
	}
	r.settle(out)
}

func (r *reader) settle(out *server.Reading) {
	settle(&r.nodes, out, "deleted", listNodes)
	settle(&r.workloads, out, "deleted", listDeployments, listStatefulSets, listDaemonSets)
	settle(&r.desired, out, "wants no pods", listDeployments, listStatefulSets, listDaemonSets)
	settle(&r.pods, out, "deleted", listPods)
}

// settle ends the series of what is gone from lists that were read to their ends.
func settle(p *server.Presence, out *server.Reading, reason string, lists ...string) {
	if slices.ContainsFunc(lists, func(list string) bool { return out.Missed(list) != nil }) {
		p.Carry()
		return
	}
	p.Settle(out, reason)
}

func (n node) add(out *server.Reading) {
	out.Add(metricNodeUnschedulable, flag(n.unschedulable), "node", n.name)
	out.Add(metricNodeReady, flag(n.conditions["Ready"]), "node", n.name)
	for _, condition := range pressures {
		if v, ok := n.conditions[condition]; ok {
			out.Add(metricNodeCondition, flag(v), "node", n.name, "condition", condition)
		}
	}
	if n.kubelet != "" {
		out.Add(metricNodeInfo, 1, "node", n.name, "kubelet_version", n.kubelet)
	}
}

func (w workload) dims() []string {
	return []string{"namespace", w.namespace, "kind", w.kind, "workload", w.name}
}

func (w workload) add(out *server.Reading) {
	if w.kind == "deployment" {
		out.Add(metricDeploymentUnavailable, w.unavailable, "namespace", w.namespace, "deployment", w.name)
	}
	out.Add(metricWorkloadReady, w.ready, w.dims()...)
	out.Add(metricWorkloadUnavailable, w.unavailable, w.dims()...)
}

func addPhases(pods []pod, out *server.Reading) {
	if out.Missed(listPods) != nil {
		return
	}
	phases := map[string]float64{"Pending": 0, "Running": 0, "Succeeded": 0, "Failed": 0, "Unknown": 0}
	for _, p := range pods {
		if _, ok := phases[p.phase]; ok {
			phases[p.phase]++
		}
	}
	for phase, n := range phases {
		out.Add(metricPods, n, "phase", phase)
	}
}

func (p pod) add(out *server.Reading) {
	out.Add(metricPodFailed, flag(p.phase == "Failed"), "namespace", p.namespace, "pod", p.name)
	for _, c := range p.containers {
		dims := []string{"namespace", p.namespace, "pod", p.name, "container", c.name}
		out.Add(metricContainerRestarts, c.restarts, dims...)
		if c.state == "" {
			continue
		}
		out.Add(metricContainerTerminated, flag(c.state == "terminated"), dims...)
		out.Add(metricContainerWaiting, flag(c.state == "waiting"), dims...)
		if c.state == "terminated" {
			out.Add(metricContainerExitCode, c.exitCode, dims...)
		}
		if c.state != "running" {
			out.Add(metricContainerStateInfo, 1, append(dims, "state", c.state, "reason", c.reason)...)
		}
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
