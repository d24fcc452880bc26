package java

import (
	"encoding/json"
	"net/http"

	"watchkeeper/exporters/middleware/jolokia"
	"watchkeeper/exporters/middleware/server"
)

type usage struct {
	Used, Committed, Max *float64
}

type memory struct {
	HeapMemoryUsage, NonHeapMemoryUsage usage
}

type runtimeBean struct {
	Uptime                         *float64
	SpecVersion, VmName, VmVersion string
}

// system holds what the JVM knows of its process and host. A load is negative
// until it has been measured.
type system struct {
	ProcessCpuLoad, SystemCpuLoad, OpenFileDescriptorCount, MaxFileDescriptorCount *float64
}

type collector struct {
	CollectionCount, CollectionTime *float64
}

func addPlatform(answers []jolokia.Answer, out *server.Reading) error {
	var (
		m  memory
		rt runtimeBean
		s  system
	)
	for i, v := range []any{&m, &rt, &s} {
		if err := json.Unmarshal(answers[i].Value, v); err != nil {
			return server.Failed(server.ReasonFormat, "%s: %w", platform[i].MBean, err)
		}
	}
	if m.HeapMemoryUsage.Used == nil || rt.Uptime == nil {
		return server.Failed(server.ReasonFormat, "a JVM without heap or uptime")
	}
	add := func(metric string, v *float64, factor float64) {
		if v != nil && *v >= 0 { // -1: not known, or no maximum
			out.Add(metric, *v*factor)
		}
	}
	add(metricHeapUsedBytes, m.HeapMemoryUsage.Used, 1)
	add(metricHeapCommittedBytes, m.HeapMemoryUsage.Committed, 1)
	add(metricHeapMaxBytes, m.HeapMemoryUsage.Max, 1)
	add(metricNonHeapUsedBytes, m.NonHeapMemoryUsage.Used, 1)
	add(metricNonHeapMaxBytes, m.NonHeapMemoryUsage.Max, 1)
	out.Add(metricUptimeSeconds, *rt.Uptime/1000)
	out.Add(metricInfo, 1, "spec_version", rt.SpecVersion, "vm_name", rt.VmName, "vm_version", rt.VmVersion)
	add(metricCPUUsedPercent, s.ProcessCpuLoad, 100)
	add(metricSystemCPUUsedPercent, s.SystemCpuLoad, 100)
	add(metricOpenFileDescriptors, s.OpenFileDescriptorCount, 1)
	add(metricMaxFileDescriptors, s.MaxFileDescriptorCount, 1)
	addOptional(answers[required:], out)
	return nil
}

func addOptional(answers []jolokia.Answer, out *server.Reading) {
	for i, metric := range []string{metricThreads, metricClassesLoaded} {
		if v, err := answers[i].Number(); err == nil && answers[i].Status == http.StatusOK {
			out.Add(metric, v)
		}
	}
	var collectors map[string]collector
	if json.Unmarshal(answers[2].Value, &collectors) != nil {
		return
	}
	for name, c := range collectors {
		dims := []string{"collector", jolokia.BeanKey(name, "name")}
		if c.CollectionCount != nil && c.CollectionTime != nil {
			out.Add(metricGarbageCollectionsTotal, *c.CollectionCount, dims...)
			out.Add(metricGarbageCollectionSecondsTotal, *c.CollectionTime/1000, dims...)
		}
	}
}
