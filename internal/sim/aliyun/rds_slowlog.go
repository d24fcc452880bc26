package aliyun

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Slow logs.
const (
	slowLogRange     = 31 * day
	slowRecordLag    = time.Minute
	slowStatisticLag = 6 * time.Hour // the daily figures are some hours old
	maxSlowPerMinute = 1000
)

// SlowQueries adds PerMinute slow queries of the given Duration to every minute of
// [From, To) of an RDS instance (MySQL or SQL Server).
type SlowQueries struct {
	Instance  string
	From, To  time.Time
	PerMinute int
	Duration  time.Duration
}

func (f SlowQueries) add(s *Server) error {
	r := s.estate.byID[f.Instance]
	if r == nil || r.product.namespace != nsRDS {
		return fmt.Errorf("slow queries: no RDS instance %q", f.Instance)
	}
	if f.PerMinute < 1 || f.PerMinute > maxSlowPerMinute || f.Duration < 0 {
		return fmt.Errorf("slow queries: PerMinute %d or Duration %s is out of range", f.PerMinute, f.Duration)
	}
	s.faults.slowQueries = append(s.faults.slowQueries, f)
	return nil
}

// slowQuery is one execution.
type slowQuery struct {
	at       time.Time
	duration time.Duration
	shape    int // which of slowTexts
}

var slowTexts = []string{
	"select * from orders where customer = ?",
	"select count(*) from log where created < ?",
	"update stock set amount = amount - ? where item = ?",
}

// slowQueriesOf are the slow queries of [from, to) by time. Without a fault there is
// one in every twenty minutes or so.
func (s *Server) slowQueriesOf(r *resource, from, to time.Time) []slowQuery {
	s.faultMu.RLock()
	defer s.faultMu.RUnlock()
	life := s.faults.lives[r.id]
	var out []slowQuery
	for minute := from.Truncate(time.Minute); minute.Before(to); minute = minute.Add(time.Minute) {
		if !life.exists(minute) {
			continue
		}
		h := mix(mix(r.key, 97), uint64(minute.Unix()))
		if h%20 == 0 {
			out = append(out, slowQuery{
				at: minute.Add(time.Duration(h>>8%60) * time.Second), shape: int(h >> 16 % uint64(len(slowTexts))),
				duration: time.Second + time.Duration(h>>24%4000)*time.Millisecond,
			})
		}
		for _, f := range s.faults.slowQueries {
			if f.Instance != r.id || minute.Before(f.From) || !minute.Before(f.To) {
				continue
			}
			for n := range f.PerMinute {
				out = append(out, slowQuery{at: minute.Add(time.Duration(n*60/f.PerMinute) * time.Second), duration: f.Duration})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b slowQuery) int { return a.at.Compare(b.at) })
	return slices.DeleteFunc(out, func(q slowQuery) bool { return q.at.Before(from) || !q.at.Before(to) })
}

// SlowQueryCount is the ground truth: how many slow queries began in [from, to).
func (s *Server) SlowQueryCount(instance string, from, to time.Time) int {
	r := s.estate.byID[instance]
	if r == nil || r.product.namespace != nsRDS {
		return 0
	}
	return len(s.slowQueriesOf(r, from, to))
}

func (s *Server) describeSlowLogRecords(c *call) (any, *apiError) {
	r, e := s.instance(c, nsRDS, "DBInstanceId", rdsNoInstance)
	if e != nil {
		return nil, e
	}
	for _, name := range []string{"StartTime", "EndTime"} {
		if c.params[name] == "" {
			return nil, missingParameter(name)
		}
	}
	from, to, e := s.minuteRange(c, slowLogRange)
	if e != nil {
		return nil, e
	}
	if to.Sub(from) > slowLogRange {
		return nil, invalidParameter("StartTime")
	}
	if newest := s.now().Add(-slowRecordLag); to.After(newest) {
		to = newest
	}
	rows := []slowQuery{}
	if !c.empty && from.Before(to) {
		rows = append(rows, s.slowQueriesOf(r, from, to)...)
	}
	number, size, e := c.page(databasePaging)
	if e != nil {
		return nil, e
	}
	engine, _ := r.engine()
	shown := objects(pageOf(rows, number, size), slowQuery.record)
	return object{
		"RequestId": c.requestID, "DBInstanceId": r.id, "Engine": engine, "PageNumber": number, "PageRecordCount": len(shown),
		"TotalRecordCount": len(rows), "Items": object{"SQLSlowRecord": shown},
	}, nil
}

func (q slowQuery) record() object {
	return object{
		"ExecutionStartTime": q.at.UTC().Format(secondLayout), "QueryTimes": int64(q.duration.Seconds()), "QueryTimeMS": q.duration.Milliseconds(),
		"LockTimes": 0, "ParseRowCounts": 100000, "ReturnRowCounts": 1, "DBName": "shop", "SQLText": slowTexts[q.shape],
		"SQLHash": idText(uint64(q.shape)+1, 32), "HostAddress": "app[app] @ [10.0.0.1]",
	}
}

// describeSlowLogs answers, by day and by statement, how often it was slow. Dates are
// those of UTC.
func (s *Server) describeSlowLogs(c *call) (any, *apiError) {
	r, e := s.instance(c, nsRDS, "DBInstanceId", rdsNoInstance)
	if e != nil {
		return nil, e
	}
	from, err := time.Parse("2006-01-02Z", c.params["StartTime"])
	if err != nil {
		return nil, invalidParameter("StartTime")
	}
	last, err := time.Parse("2006-01-02Z", c.params["EndTime"])
	if err != nil || last.Before(from) || last.Sub(from) > slowLogRange {
		return nil, invalidParameter("EndTime")
	}
	to := last.Add(day)
	if newest := s.now().Add(-slowStatisticLag); to.After(newest) {
		to = newest
	}
	rows := []slowStatistic{}
	if !c.empty && from.Before(to) {
		rows = slowStatistics(s.slowQueriesOf(r, from, to))
	}
	number, size, e := c.page(databasePaging)
	if e != nil {
		return nil, e
	}
	engine, _ := r.engine()
	shown := objects(pageOf(rows, number, size), func(t slowStatistic) object { return t.item(engine) })
	return object{
		"RequestId": c.requestID, "DBInstanceId": r.id, "Engine": engine, "StartTime": c.params["StartTime"], "EndTime": c.params["EndTime"],
		"PageNumber": number, "PageRecordCount": len(shown), "TotalRecordCount": len(rows), "Items": object{"SQLSlowLog": shown},
	}, nil
}

// slowStatistic is one statement on one day.
type slowStatistic struct {
	date           string
	shape, count   int
	total, longest time.Duration
}

func slowStatistics(queries []slowQuery) []slowStatistic {
	type key struct {
		date  string
		shape int
	}
	sums := map[key]*slowStatistic{}
	rows := []slowStatistic{}
	for _, q := range queries {
		k := key{q.at.UTC().Format(dateLayout), q.shape}
		if sums[k] == nil {
			sums[k] = &slowStatistic{date: k.date, shape: k.shape}
		}
		sums[k].count++
		sums[k].total += q.duration
		sums[k].longest = max(sums[k].longest, q.duration)
	}
	for _, t := range sums {
		rows = append(rows, *t)
	}
	slices.SortFunc(rows, func(a, b slowStatistic) int { return cmp.Or(cmp.Compare(a.date, b.date), a.shape-b.shape) })
	return rows
}

func (t slowStatistic) item(engine string) object {
	i := object{
		"CreateTime": t.date + "Z", "SQLHASH": idText(uint64(t.shape)+1, 32), "SQLText": slowTexts[t.shape], "DBName": "shop",
		"MaxExecutionTime": int64(t.longest.Seconds()), "MaxExecutionTimeMS": t.longest.Milliseconds(),
	}
	if engine == "SQLServer" {
		i["SQLServerTotalExecutionCounts"], i["SQLServerTotalExecutionTimes"] = t.count, t.total.Milliseconds()
	} else {
		i["MySQLTotalExecutionCounts"], i["MySQLTotalExecutionTimes"] = t.count, int64(t.total.Seconds())
	}
	return i
}
