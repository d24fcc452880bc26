package aliyun

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Bounds of BatchExport.
const (
	defaultExport = 1000
	maxExport     = 10_000
)

// exportCursor is where an export goes on. It is part of the token, which is bound
// to the namespace and the metric alone: BatchExport names nothing else.
type exportCursor struct {
	Period     int64               `json:"p"`
	From       int64               `json:"f"`
	To         int64               `json:"t"`
	Filters    []map[string]string `json:"m,omitempty"`
	Resource   int                 `json:"r"`
	Series     int                 `json:"s"`
	Step       int64               `json:"n"`
	LastAnchor int64               `json:"a"`
}

// matcher narrows an export. Which operators there are is not documented but for =.
type matcher struct{ Label, Operator, Value string }

// needsHybrid refuses accounts without the edition. The error is not documented.
func (s *Server) needsHybrid() *apiError {
	if s.cfg.HybridCloud {
		return nil
	}
	return errorf(http.StatusForbidden, "AccessForbidden", "Hybrid cloud monitoring is not activated.")
}

// openCursor is the action Cursor: it begins an export.
func (s *Server) openCursor(c *call) (any, *apiError) {
	if e := s.needsHybrid(); e != nil {
		return nil, e
	}
	m, e := exported(c)
	if e != nil {
		return nil, e
	}
	q := metricQuery{m: m}
	if c.params["Period"] == "" {
		return nil, missingParameter("Period")
	}
	if q.parsePeriod(c.params["Period"]) != nil || q.parseRange(c.params, s.now()) != nil {
		return nil, illegalParameters()
	}
	at := exportCursor{Period: q.period, From: q.from, To: q.to}
	if at.Filters, e = parseMatchers(c.params["Matchers"], m.allKeys()); e != nil {
		return nil, e
	}
	return object{"RequestId": c.requestID, "Code": http.StatusOK, "Success": true, "Message": "", "Cursor": s.sealExport(c, at)}, nil
}

// batchExport answers the points of an export from its cursor on. Code is a number.
func (s *Server) batchExport(c *call) (any, *apiError) {
	if e := s.needsHybrid(); e != nil {
		return nil, e
	}
	m, e := exported(c)
	if e != nil {
		return nil, e
	}
	length, e := c.number("Length", defaultExport, 1, maxExport)
	if e != nil {
		return nil, illegalParameters()
	}
	var wanted []string
	if text := c.params["Measurements"]; text != "" && json.Unmarshal([]byte(text), &wanted) != nil {
		return nil, illegalParameters()
	}
	var at exportCursor
	payload, ok := s.tokens.open(exportQuery(c), c.params["Cursor"])
	if !ok || json.Unmarshal([]byte(payload), &at) != nil {
		return nil, illegalParameters()
	}
	q := metricQuery{m: m, period: at.Period, from: at.From, to: at.To, filters: at.Filters, tooFine: at.Period < int64(m.period)}
	q.keepRetained(s.now(), s.cfg.Retention)
	p := newPage(length)
	next, more := cursor{resource: at.Resource, series: at.Series, step: at.Step}, false
	if !c.empty && !q.tooFine {
		next, more = s.fill(p, &q, next, c.region)
	}
	rows := exportRows(p, m, at.Period, wanted)
	at.Resource, at.Series, at.Step = next.resource, next.series, next.step
	for _, r := range rows {
		at.LastAnchor = max(at.LastAnchor, r["Timestamp"].(int64))
	}
	return object{
		"RequestId": c.requestID, "Code": http.StatusOK, "Success": true, "Message": "", "Cursor": s.sealExport(c, at), "Length": len(rows),
		"Anchor": at.LastAnchor, "HasNext": more, "DataResults": rows,
	}, nil
}

// exported is the metric that Namespace and Metric name.
func exported(c *call) (*metric, *apiError) {
	for _, name := range []string{"Namespace", "Metric"} {
		if c.params[name] == "" {
			return nil, missingParameter(name)
		}
	}
	m := findMetric(c.params["Namespace"], c.params["Metric"])
	if m == nil {
		return nil, errorf(http.StatusNotFound, "ResourceNotFound", "The specified resource is not found.")
	}
	return m, nil
}

func exportQuery(c *call) string {
	return "export\n" + c.region + "\n" + percentEncode(c.params["Namespace"]) + "\n" + percentEncode(c.params["Metric"])
}

func (s *Server) sealExport(c *call, at exportCursor) string {
	payload, _ := json.Marshal(at) // cannot fail
	return s.tokens.seal(exportQuery(c), string(payload))
}

func parseMatchers(text string, known []string) ([]map[string]string, *apiError) {
	if text == "" {
		return nil, nil
	}
	var list []matcher
	if json.Unmarshal([]byte(text), &list) != nil {
		return nil, illegalParameters()
	}
	filter := map[string]string{}
	for _, m := range list {
		if m.Operator != "=" || !slices.Contains(known, m.Label) {
			return nil, illegalParameters()
		}
		filter[m.Label] = m.Value
	}
	if len(filter) == 0 {
		return nil, nil
	}
	return []map[string]string{filter}, nil
}

// exportRows turns the points of a page into the form of an export.
func exportRows(p *page, m *metric, period int64, wanted []string) []object {
	var points []map[string]any
	decoder := json.NewDecoder(strings.NewReader(p.json()))
	decoder.UseNumber()
	if err := decoder.Decode(&points); err != nil {
		panic("BUG: a page is no JSON: " + err.Error())
	}
	rows := make([]object, 0, len(points))
	for _, point := range points {
		at, _ := point["timestamp"].(json.Number).Int64()
		measurements := object{}
		for _, name := range statisticNames {
			if v, ok := point[name]; ok && (len(wanted) == 0 || slices.Contains(wanted, name)) {
				measurements[name] = v
			}
		}
		dims := []object{}
		for _, key := range m.allKeys() {
			if v, ok := point[key]; ok {
				dims = append(dims, object{"Label": key, "Value": v})
			}
		}
		rows = append(rows, object{
			"Namespace": m.namespace, "Metric": m.name, "Period": period, "Timestamp": at, "LogTime": at,
			"Dimensions": dims, "Measurements": measurements, "Associated": object{},
		})
	}
	return rows
}
