package aliyun

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// defaultMetaPage is the page size of the meta lists.
const defaultMetaPage = 30

type metricMeta struct {
	Namespace, MetricName, Description, Unit, Statistics, Dimensions, Periods, Labels string
}

func (s *Server) describeMetricMetaList(c *call) (any, *apiError) {
	var rows []metricMeta
	for _, m := range catalog {
		if wanted(c.params["Namespace"], m.namespace) && wanted(c.params["MetricName"], m.name) {
			rows = append(rows, m.meta())
		}
	}
	shown, _, _, e := metaPage(c, rows)
	if e != nil {
		return nil, e
	}
	return map[string]any{
		"RequestId": c.requestID, "Success": true, "Code": "200",
		"TotalCount": strconv.Itoa(len(rows)),
		"Resources":  map[string]any{"Resource": shown},
	}, nil
}

func (m *metric) meta() metricMeta {
	var statistics []string
	for i := range len(m.statistics) {
		statistics = append(statistics, statisticNames[m.statistics[i]])
	}
	slices.Sort(statistics)
	return metricMeta{
		Namespace: m.namespace, MetricName: m.name, Description: m.name, Unit: m.unit,
		Statistics: strings.Join(statistics, ","),
		Dimensions: strings.Join(m.allKeys(), ","),
		Periods:    strings.Join(m.periods(), ","),
		Labels:     fmt.Sprintf(`[{"name":"alertEnable","value":"true"},{"name":"alertUnit","value":%q}]`, m.unit),
	}
}

func wanted(filter, value string) bool { return filter == "" || filter == value }

func (s *Server) describeProjectMeta(c *call) (any, *apiError) {
	type projectMeta struct{ Namespace, Description, Labels string }
	var rows []projectMeta
	for _, p := range products {
		rows = append(rows, projectMeta{p.namespace, p.description, `[{"name":"product","value":"` + p.description + `"}]`})
	}
	shown, number, size, e := metaPage(c, rows)
	if e != nil {
		return nil, e
	}
	return map[string]any{
		"RequestId": c.requestID, "Success": true, "Code": "200",
		"PageNumber": strconv.Itoa(number), "PageSize": strconv.Itoa(size), "Total": strconv.Itoa(len(rows)),
		"Resources": map[string]any{"Resource": shown},
	}, nil
}

// metaPage cuts the page that PageNumber and PageSize ask for.
func metaPage[T any](c *call, rows []T) (shown []T, number, size int, e *apiError) {
	if number, e = c.number("PageNumber", 1, 1, math.MaxInt32); e != nil {
		return nil, 0, 0, illegalParameters()
	}
	if size, e = c.number("PageSize", defaultMetaPage, 1, 10000); e != nil {
		return nil, 0, 0, illegalParameters()
	}
	if c.empty {
		return []T{}, number, size, nil
	}
	return pageOf(rows, number, size), number, size, nil
}

// pageOf never returns nil, which JSON would print as null.
func pageOf[T any](rows []T, number, size int) []T {
	from := min((number-1)*size, len(rows))
	return append([]T{}, rows[from:min(from+size, len(rows))]...)
}

// describeMonitoringAgentHosts lists the ECS instances that run an agent.
func (s *Server) describeMonitoringAgentHosts(c *call) (any, *apiError) {
	var rows []*resource
	ids := splitList(c.params["InstanceIds"])
	for _, r := range s.liveIn(nsECS, c.region) {
		if r.agent() == noAgent || (len(ids) > 0 && !slices.Contains(ids, r.id)) {
			continue
		}
		rows = append(rows, r)
	}
	shown, number, size, e := metaPage(c, rows)
	if e != nil {
		return nil, e
	}
	hosts := []map[string]any{}
	for _, r := range shown {
		hosts = append(hosts, s.agentHost(r))
	}
	return map[string]any{
		"RequestId": c.requestID, "Success": true, "Code": "200",
		"PageNumber": number, "PageSize": size, "Total": len(rows), "PageTotal": (len(rows) + size - 1) / size,
		"Hosts": map[string]any{"Host": hosts},
	}, nil
}

func splitList(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// ownerID is the account as a number, 0 if it is none.
func (s *Server) ownerID() int64 {
	uid, _ := strconv.ParseInt(s.cfg.AccountID, 10, 64)
	return uid
}

func (s *Server) agentHost(r *resource) map[string]any {
	version, system := "3.5.12", "Linux"
	if r.agent() == oldAgent {
		version = "1.3.7"
	}
	if r.windows() {
		system = "Windows"
	}
	return map[string]any{
		"SerialNumber": idText(mix(r.key, 50), 12), "InstanceId": r.id, "HostName": r.name, "AliUid": s.ownerID(),
		"Region": r.region, "NetworkType": "vpc", "NatIp": "", "EipAddress": r.eip(), "EipId": "", "IpGroup": r.address(0),
		"AgentVersion": version, "OperatingSystem": system, "InstanceTypeFamily": r.typeFamily(), "isAliyunHost": true,
	}
}
