package kubernetes

import (
	"maps"
	"slices"
)

// collection puts the state's objects together from single samples.
type collection struct {
	lists     map[string]bool // those that are on the page
	nodes     map[string]*node
	workloads map[string]*workload
	pods      map[string]*pod
}

func newCollection() *collection {
	return &collection{make(map[string]bool), make(map[string]*node), make(map[string]*workload), make(map[string]*pod)}
}

// wanted says what becomes of a sample of kube-state-metrics.
var wanted = map[string]func(c *collection, label func(string) string, v float64){
	"kube_node_info":               func(c *collection, l func(string) string, _ float64) { c.node(l).kubelet = l("kubelet_version") },
	"kube_node_spec_unschedulable": func(c *collection, l func(string) string, v float64) { c.node(l).unschedulable = v == 1 },
	"kube_node_status_condition": func(c *collection, l func(string) string, v float64) {
		if l("status") == "true" { // beside "false" and "unknown", one of which is 1
			c.node(l).conditions[l("condition")] = v == 1
		}
	},

	"kube_deployment_spec_replicas":                  desired("deployment"),
	"kube_deployment_status_replicas_ready":          ready("deployment"),
	"kube_deployment_status_replicas_unavailable":    unavailable("deployment"),
	"kube_statefulset_replicas":                      desired("statefulset"),
	"kube_statefulset_status_replicas_ready":         ready("statefulset"),
	"kube_daemonset_status_desired_number_scheduled": desired("daemonset"),
	"kube_daemonset_status_number_ready":             ready("daemonset"),
	"kube_daemonset_status_number_unavailable":       unavailable("daemonset"),

	"kube_pod_status_phase": func(c *collection, l func(string) string, v float64) {
		if p := c.pod(l); v == 1 {
			p.phase = l("phase")
		}
	},
	"kube_pod_container_status_restarts_total":    func(c *collection, l func(string) string, v float64) { c.container(l).restarts = v },
	"kube_pod_container_status_running":           in("running"),
	"kube_pod_container_status_waiting":           in("waiting"),
	"kube_pod_container_status_terminated":        in("terminated"),
	"kube_pod_container_status_waiting_reason":    reason,
	"kube_pod_container_status_terminated_reason": reason,
}

func desired(kind string) func(*collection, func(string) string, float64) {
	return func(c *collection, l func(string) string, v float64) { c.workload(kind, l).desired = v }
}

func ready(kind string) func(*collection, func(string) string, float64) {
	return func(c *collection, l func(string) string, v float64) { c.workload(kind, l).ready = v }
}

func unavailable(kind string) func(*collection, func(string) string, float64) {
	return func(c *collection, l func(string) string, v float64) { c.workload(kind, l).unavailable = v }
}

func in(state string) func(*collection, func(string) string, float64) {
	return func(c *collection, l func(string) string, v float64) {
		if v == 1 {
			c.container(l).state = state
		}
	}
}

func reason(c *collection, l func(string) string, v float64) {
	if v == 1 {
		c.container(l).reason = l("reason")
	}
}

// entry returns the value of a key, which is first at first.
func entry[T any](m map[string]*T, key string, first T) *T {
	if m[key] == nil {
		m[key] = &first
	}
	return m[key]
}

func (c *collection) node(label func(string) string) *node {
	name := label("node")
	return entry(c.nodes, name, node{name: name, conditions: make(map[string]bool)})
}

func (c *collection) workload(kind string, label func(string) string) *workload {
	ns, name := label("namespace"), label(kind)
	return entry(c.workloads, kind+"/"+ns+"/"+name, workload{kind: kind, namespace: ns, name: name})
}

func (c *collection) pod(label func(string) string) *pod {
	ns, name := label("namespace"), label("pod")
	return entry(c.pods, ns+"/"+name, pod{namespace: ns, name: name})
}

func (c *collection) container(label func(string) string) *container {
	p, name := c.pod(label), label("container")
	i := slices.IndexFunc(p.containers, func(c container) bool { return c.name == name })
	if i < 0 {
		i = len(p.containers)
		p.containers = append(p.containers, container{name: name})
	}
	return &p.containers[i]
}

// state returns the objects in the order of their names. kube-state-metrics
// tells why a container ended, not with which exit code: 0 stands for
// "Completed", 1 for every other reason.
func (c *collection) state() state {
	var s state
	for _, key := range slices.Sorted(maps.Keys(c.nodes)) {
		s.nodes = append(s.nodes, *c.nodes[key])
	}
	for _, key := range slices.Sorted(maps.Keys(c.workloads)) {
		w := *c.workloads[key]
		if w.kind == "statefulset" {
			w.unavailable = max(0, w.desired-w.ready)
		}
		s.workloads = append(s.workloads, w)
	}
	for _, key := range slices.Sorted(maps.Keys(c.pods)) {
		p := *c.pods[key]
		for i, container := range p.containers {
			p.containers[i].exitCode = flag(container.reason != "Completed")
		}
		s.pods = append(s.pods, p)
	}
	return s
}
