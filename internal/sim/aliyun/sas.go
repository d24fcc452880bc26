package aliyun

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

const sasVersion = "2018-12-03"

var sasPaging = paging{number: "CurrentPage", size: "PageSize", fallback: 20, largest: 100}

// SecurityAlert is an alert event of the Security Center on an ECS instance.
type SecurityAlert struct {
	Instance string
	Name     string    // of the event
	Level    string    // serious (default), suspicious or remind
	At       time.Time // when it occurred
	DealtAt  time.Time // when it was dealt with; zero: never
}

// Vulnerability is one that the Security Center found on an ECS instance.
type Vulnerability struct {
	Instance  string
	Name      string // of the notice
	AliasName string
	Type      string    // cve (default), sys, cms, app or emg
	Necessity string    // asap (default), later or nntf
	At        time.Time // when it was found
	FixedAt   time.Time // zero: never
}

func (f SecurityAlert) add(s *Server) error {
	if f.Level == "" {
		f.Level = "serious"
	}
	if !slices.Contains([]string{"serious", "suspicious", "remind"}, f.Level) {
		return fmt.Errorf("security alert: no level %q", f.Level)
	}
	if r := s.estate.byID[f.Instance]; r == nil || r.product.namespace != nsECS {
		return fmt.Errorf("security alert: no ECS instance %q", f.Instance)
	}
	s.faults.alerts = append(s.faults.alerts, f)
	return nil
}

func (f Vulnerability) add(s *Server) error {
	if f.Type == "" {
		f.Type = "cve"
	}
	if f.Necessity == "" {
		f.Necessity = "asap"
	}
	if !slices.Contains([]string{"cve", "sys", "cms", "app", "emg"}, f.Type) || !slices.Contains([]string{"asap", "later", "nntf"}, f.Necessity) {
		return fmt.Errorf("vulnerability: no type %q or necessity %q", f.Type, f.Necessity)
	}
	if r := s.estate.byID[f.Instance]; r == nil || r.product.namespace != nsECS {
		return fmt.Errorf("vulnerability: no ECS instance %q", f.Instance)
	}
	s.faults.vulnerability = append(s.faults.vulnerability, f)
	return nil
}

func registerSAS(s *Server) {
	add := s.adder(productSAS, sasVersion, "yundun-sas")
	add("DescribeSuspEvents", s.describeSuspEvents)
	add("DescribeVulList", s.describeVulList)
}

// ended tells whether something that ended at `at` (zero: never) has ended.
func ended(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

// happened keeps what the account shows: of an instance that exists, not of the future.
func (s *Server) happened(instance string, at, now time.Time) bool {
	return !at.After(now) && s.lifeOf(instance).exists(now)
}

// Statuses of alert events.
const (
	alertPending = 1
	alertDone    = 32
)

func (f SecurityAlert) status(now time.Time) int {
	if ended(f.DealtAt, now) {
		return alertDone
	}
	return alertPending
}

func yesNo(dealt bool, yes, no string) string {
	if dealt {
		return yes
	}
	return no
}

func (s *Server) describeSuspEvents(c *call) (any, *apiError) {
	now := s.now()
	s.faultMu.RLock()
	all := slices.Clone(s.faults.alerts)
	s.faultMu.RUnlock()
	rows := []SecurityAlert{}
	for _, f := range all {
		dealt := ended(f.DealtAt, now)
		if !c.empty && s.happened(f.Instance, f.At, now) && c.filterList("Levels", f.Level) && c.filter("Dealed", yesNo(dealt, "Y", "N")) &&
			c.filter("Status", strconv.Itoa(f.status(now))) {
			rows = append(rows, f)
		}
	}
	slices.SortStableFunc(rows, func(a, b SecurityAlert) int { return b.At.Compare(a.At) })
	number, size, e := c.page(sasPaging)
	if e != nil {
		return nil, e
	}
	shown := objects(pageOf(rows, number, size), func(f SecurityAlert) object { return s.suspEvent(f, now) })
	return object{
		"RequestId": c.requestID, "CurrentPage": number, "PageSize": size, "Count": len(shown), "TotalCount": len(rows), "SuspEvents": shown,
	}, nil
}

func (s *Server) suspEvent(f SecurityAlert, now time.Time) object {
	r := s.estate.byID[f.Instance]
	key := mixText(mixText(uint64(f.At.UnixMilli()), f.Instance), f.Name)
	at := f.At.In(chinaTime).Format("2006-01-02 15:04:05")
	return object{
		"AlarmEventName": f.Name, "AlarmEventNameDisplay": f.Name, "Name": f.Name, "AlarmEventType": "Suspicious process", "Level": f.Level,
		"InstanceId": r.id, "InstanceName": s.nameOf(r), "InternetIp": r.eip(), "IntranetIp": r.address(0), "Uuid": uuidText(r.key),
		"OccurrenceTime": at, "LastTime": at, "OccurrenceTimeStamp": f.At.UnixMilli(), "LastTimeStamp": f.At.UnixMilli(),
		"EventStatus": f.status(now), "UniqueInfo": idText(key, 32), "AlarmUniqueInfo": idText(key, 32), "SecurityEventIds": strconv.FormatUint(key%1e9, 10),
		"Id": int64(key % 1e9), "DataSource": "aegis_suspicious_event", "Desc": f.Name, "Details": []object{},
	}
}

func (s *Server) describeVulList(c *call) (any, *apiError) {
	now := s.now()
	s.faultMu.RLock()
	all := slices.Clone(s.faults.vulnerability)
	s.faultMu.RUnlock()
	rows := []Vulnerability{}
	for _, f := range all {
		fixed := ended(f.FixedAt, now)
		if !c.empty && s.happened(f.Instance, f.At, now) && c.filter("Type", f.Type) && c.filterList("Necessity", f.Necessity) &&
			c.filter("Dealed", yesNo(fixed, "y", "n")) {
			rows = append(rows, f)
		}
	}
	slices.SortStableFunc(rows, func(a, b Vulnerability) int { return b.At.Compare(a.At) })
	number, size, e := c.page(sasPaging)
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "CurrentPage": number, "PageSize": size, "TotalCount": len(rows),
		"VulRecords": objects(pageOf(rows, number, size), func(f Vulnerability) object { return s.vulRecord(f, now) }),
	}, nil
}

// Statuses of vulnerabilities.
const (
	vulUnfixed = 1
	vulFixed   = 7
)

func (s *Server) vulRecord(f Vulnerability, now time.Time) object {
	r := s.estate.byID[f.Instance]
	key := mixText(mixText(uint64(f.At.UnixMilli()), f.Instance), f.Name)
	status, repaired := vulUnfixed, int64(0)
	if ended(f.FixedAt, now) {
		status, repaired = vulFixed, f.FixedAt.UnixMilli()
	}
	return object{
		"Name": f.Name, "AliasName": f.AliasName, "Type": f.Type, "Necessity": f.Necessity, "Level": "high", "Status": status,
		"InstanceId": r.id, "InstanceName": s.nameOf(r), "InternetIp": r.eip(), "IntranetIp": r.address(0), "RegionId": r.region, "Uuid": uuidText(r.key),
		"FirstTs": f.At.UnixMilli(), "LastTs": now.UnixMilli(), "RepairTs": repaired, "Tag": "oval", "RecordId": int64(key % 1e9), "Related": f.Name,
	}
}
