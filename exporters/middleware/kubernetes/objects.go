package kubernetes

// The API's objects, as far as they are read.

type meta struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

type nodeObject struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		Unschedulable bool `json:"unschedulable"`
	} `json:"spec"`
	Status struct {
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
		NodeInfo struct {
			KubeletVersion string `json:"kubeletVersion"`
		} `json:"nodeInfo"`
	} `json:"status"`
}

func (o nodeObject) node() node {
	n := node{name: o.Metadata.Name, kubelet: o.Status.NodeInfo.KubeletVersion, unschedulable: o.Spec.Unschedulable, conditions: make(map[string]bool)}
	for _, c := range o.Status.Conditions {
		n.conditions[c.Type] = c.Status == "True" // or "False", or "Unknown" while the kubelet is silent
	}
	return n
}

// workloadObject is a deployment, stateful set or daemon set. Counts that are 0
// are not there.
type workloadObject struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		Replicas *float64 `json:"replicas"`
	} `json:"spec"`
	Status struct {
		ReadyReplicas       float64 `json:"readyReplicas"`
		UnavailableReplicas float64 `json:"unavailableReplicas"` // of a deployment

		DesiredNumberScheduled float64 `json:"desiredNumberScheduled"` // of a daemon set, as the rest
		NumberReady            float64 `json:"numberReady"`
		NumberUnavailable      float64 `json:"numberUnavailable"`
	} `json:"status"`
}

func (o workloadObject) workload(kind string) workload {
	w := workload{kind: kind, namespace: o.Metadata.Namespace, name: o.Metadata.Name}
	if kind == "daemonset" {
		w.desired, w.ready, w.unavailable = o.Status.DesiredNumberScheduled, o.Status.NumberReady, o.Status.NumberUnavailable
		return w
	}
	w.desired = 1 // the API server's own default
	if o.Spec.Replicas != nil {
		w.desired = *o.Spec.Replicas
	}
	w.ready, w.unavailable = o.Status.ReadyReplicas, o.Status.UnavailableReplicas
	if kind == "statefulset" { // whose status has no such count
		w.unavailable = max(0, w.desired-w.ready)
	}
	return w
}

type podObject struct {
	Metadata meta `json:"metadata"`
	Status   struct {
		Phase             string            `json:"phase"`
		ContainerStatuses []containerStatus `json:"containerStatuses"`
	} `json:"status"`
}

type containerStatus struct {
	Name         string  `json:"name"`
	RestartCount float64 `json:"restartCount"`
	State        struct {
		Running *struct{} `json:"running"`
		Waiting *struct {
			Reason string `json:"reason"`
		} `json:"waiting"`
		Terminated *struct {
			ExitCode float64 `json:"exitCode"`
			Reason   string  `json:"reason"`
		} `json:"terminated"`
	} `json:"state"`
}

func (o podObject) pod() pod {
	p := pod{namespace: o.Metadata.Namespace, name: o.Metadata.Name, phase: o.Status.Phase}
	for _, s := range o.Status.ContainerStatuses {
		p.containers = append(p.containers, s.container())
	}
	return p
}

func (s containerStatus) container() container {
	c := container{name: s.Name, restarts: s.RestartCount}
	switch {
	case s.State.Terminated != nil:
		c.state, c.reason, c.exitCode = "terminated", s.State.Terminated.Reason, s.State.Terminated.ExitCode
	case s.State.Waiting != nil:
		c.state, c.reason = "waiting", s.State.Waiting.Reason
	case s.State.Running != nil:
		c.state = "running"
	}
	return c
}
