package kubernetes

const (
	metricInfo = "kubernetes_info"

	metricNodeUnschedulable = "kubernetes_node_unschedulable" // by node, as all that follow
	metricNodeReady         = "kubernetes_node_ready"
	metricNodeCondition     = "kubernetes_node_condition" // by condition
	metricNodeInfo          = "kubernetes_node_info"

	metricDeploymentUnavailable = "kubernetes_deployment_unavailable_replicas" // by namespace, deployment
	metricWorkloadReady         = "kubernetes_workload_ready_pods"             // by namespace, kind, workload
	metricWorkloadDesired       = "kubernetes_workload_desired_pods"
	metricWorkloadUnavailable   = "kubernetes_workload_unavailable_pods"

	metricPods      = "kubernetes_pods"       // by phase
	metricPodFailed = "kubernetes_pod_failed" // by namespace, pod

	metricContainerTerminated = "kubernetes_container_terminated" // by namespace, pod, container
	metricContainerExitCode   = "kubernetes_container_exit_code"
	metricContainerWaiting    = "kubernetes_container_waiting"
	metricContainerRestarts   = "kubernetes_container_restarts_total"
	metricContainerStateInfo  = "kubernetes_container_state_info" // of one that does not run: state, reason
)
