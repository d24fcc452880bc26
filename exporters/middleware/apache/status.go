package apache

import (
	"strconv"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

// status is a page of mod_status in its form for machines.
type status struct {
	fields     map[string]float64
	scoreboard string
	uptime     float64
	cpuSeconds float64
	cpuKnown   bool // ExtendedStatus is on
}

// parse reads lines of "Key: value". The first line is the bare host name.
func parse(page string) (status, error) {
	s := status{fields: make(map[string]float64)}
	for line := range strings.Lines(page) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		if !ok {
			continue
		}
		if key == "Scoreboard" {
			s.scoreboard = value
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			s.fields[key] = v
		}
	}
	uptime, known := s.fields["ServerUptimeSeconds"]
	if !known {
		uptime, known = s.fields["Uptime"]
	}
	if _, workers := s.fields["BusyWorkers"]; !known || !workers {
		return status{}, server.Failed(server.ReasonFormat, "not a mod_status page for machines: %q", server.Excerpt(page, 60))
	}
	s.uptime = uptime
	for _, key := range []string{"CPUUser", "CPUSystem", "CPUChildrenUser", "CPUChildrenSystem"} {
		v, ok := s.fields[key]
		s.cpuSeconds += v
		s.cpuKnown = s.cpuKnown || ok
	}
	return s, nil
}

// figures lists the fields that are delivered as they are, times a factor.
var figures = []struct {
	field, metric string
	factor        float64
	state         string
}{
	{"Total Accesses", metricAccessesTotal, 1, ""},
	{"Total kBytes", metricSentBytesTotal, 1024, ""},
	{"Total Duration", metricDurationSecondsTotal, 1e-3, ""},
	{"BusyWorkers", metricWorkers, 1, "busy"},
	{"IdleWorkers", metricWorkers, 1, "idle"},
	{"GracefulWorkers", metricWorkers, 1, "graceful"},
	{"Processes", metricProcesses, 1, ""},
	{"ConnsTotal", metricConnections, 1, "total"},
	{"ConnsAsyncWaitIO", metricConnections, 1, "wait_io"},
	{"ConnsAsyncWriting", metricConnections, 1, "writing"},
	{"ConnsAsyncKeepAlive", metricConnections, 1, "keep_alive"},
	{"ConnsAsyncClosing", metricConnections, 1, "closing"},
}

// slots names the characters of the scoreboard.
var slots = []struct {
	char, state string
}{
	{"_", "waiting"}, {"S", "starting"}, {"R", "reading"}, {"W", "sending"}, {"K", "keep_alive"}, {"D", "dns"},
	{"C", "closing"}, {"L", "logging"}, {"G", "finishing"}, {"I", "idle_cleanup"}, {".", "open"},
}

func (s status) add(out *server.Reading) {
	out.Add(metricUptimeSeconds, s.uptime)
	for _, f := range figures {
		if v, ok := s.fields[f.field]; ok {
			out.Add(f.metric, v*f.factor, "state", f.state)
		}
	}
	if s.scoreboard == "" {
		return
	}
	for _, slot := range slots {
		out.Add(metricScoreboard, float64(strings.Count(s.scoreboard, slot.char)), "state", slot.state)
	}
}
