package aliyun

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const cdnVersion = "2018-05-10"

// Bounds of the CDN actions.
const (
	cdnDefaultPerPage = 20
	cdnMaxPerPage     = 500
	cdnLag            = 15 * time.Minute // until an interval's counts are there
	cdnSlot           = 5 * time.Minute  // the finest interval
)

// cdnIntervals are the intervals that can be asked for, and the widest range of each.
var cdnIntervals = map[int]time.Duration{300: 3 * day, 3600: 31 * day, 86400: 366 * day}

func registerCDN(s *Server) {
	add := s.adder(productCDN, cdnVersion, "cdn")
	add("DescribeUserDomains", s.describeUserDomains)
	add("DescribeDomainHttpCodeData", func(c *call) (any, *apiError) { return s.describeHTTPCodes(c, false) })
	add("DescribeDomainSrcHttpCodeData", func(c *call) (any, *apiError) { return s.describeHTTPCodes(c, true) })
}

func (s *Server) describeUserDomains(c *call) (any, *apiError) {
	rows := s.listed(c, nsCDN, func(r *resource) bool {
		fits := strings.Contains(r.id, c.params["DomainName"]) // fuzzy unless full_match is asked for
		if c.params["DomainSearchType"] == "full_match" {
			fits = c.filter("DomainName", r.id)
		}
		return fits && c.filter("DomainStatus", r.domainStatus())
	})
	number, size, e := c.page(pageNumber(cdnDefaultPerPage, cdnMaxPerPage))
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "PageNumber": number, "PageSize": size, "TotalCount": len(rows),
		"Domains": object{"PageData": objects(pageOf(rows, number, size), s.userDomain)},
	}, nil
}

func (r *resource) domainStatus() string {
	if mix(r.key, 60)%40 == 39 {
		return "offline"
	}
	return "online"
}

func (s *Server) userDomain(r *resource) object {
	return object{
		"DomainId": int64(mix(r.key, 85) >> 20), "DomainName": r.id, "Cname": r.id + ".w.kunlunsl.com", "DomainStatus": r.domainStatus(),
		"CdnType": "web", "Coverage": "domestic", "SslProtocol": pick(mix(r.key, 86), "on", "off"), "Description": "",
		"GmtCreated": r.created.Format(secondLayout), "GmtModified": r.created.Format(secondLayout), "ResourceGroupId": "", "Sandbox": "normal",
		"Sources": object{"Source": []object{{"Type": "ipaddr", "Content": r.address(0), "Port": 80, "Priority": "20", "Weight": "10"}}},
	}
}

// describeHTTPCodes answers the counts of each status code, as texts. Intervals that
// are not complete, or younger than the lag, are left out.
func (s *Server) describeHTTPCodes(c *call, source bool) (any, *apiError) {
	r, e := s.instance(c, nsCDN, "DomainName", "InvalidDomain.NotFound")
	if e != nil {
		return nil, e
	}
	seconds, e := c.number("Interval", 300, 1, 86400)
	widest, known := cdnIntervals[seconds]
	if e != nil || !known {
		return nil, invalidParameter("Interval")
	}
	from, to, e := s.cdnRange(c)
	if e != nil {
		return nil, e
	}
	if to.Sub(from) > widest {
		return nil, errorf(http.StatusBadRequest, "InvalidTimeSpan", "The time span exceeds the limit of the interval.")
	}
	interval := time.Duration(seconds) * time.Second
	rows := []object{}
	for at := from.Truncate(interval); at.Before(to) && !c.empty; at = at.Add(interval) {
		if at.Add(interval + cdnLag).After(s.now()) {
			break
		}
		if !at.Before(from) {
			rows = append(rows, object{"TimeStamp": at.Format(secondLayout), "Value": object{"CodeProportionData": s.codeRows(r, source, at, interval)}})
		}
	}
	return object{
		"RequestId": c.requestID, "DomainName": r.id, "DataInterval": strconv.Itoa(seconds),
		"StartTime": from.Format(secondLayout), "EndTime": to.Format(secondLayout), "HttpCodeData": object{"UsageData": rows},
	}, nil
}

// cdnRange is by default the last 24 hours.
func (s *Server) cdnRange(c *call) (from, to time.Time, e *apiError) {
	to = s.now().UTC().Truncate(time.Second)
	from = to.Add(-day)
	if c.params["StartTime"] == "" && c.params["EndTime"] == "" {
		return from, to, nil
	}
	var err error
	if from, err = time.Parse(secondLayout, c.params["StartTime"]); err != nil {
		return from, to, errorf(http.StatusBadRequest, "InvalidStartTime.Malformed", "Specified StartTime is malformed.")
	}
	if to, err = time.Parse(secondLayout, c.params["EndTime"]); err != nil {
		return from, to, errorf(http.StatusBadRequest, "InvalidEndTime.Malformed", "Specified EndTime is malformed.")
	}
	if !from.Before(to) {
		return from, to, errorf(http.StatusBadRequest, "InvalidEndTime.Mismatch", "Specified EndTime is earlier than StartTime.")
	}
	return from, to, nil
}

func (s *Server) codeRows(r *resource, source bool, at time.Time, interval time.Duration) []object {
	counts, total := map[int]int64{}, int64(0)
	for slot := at; slot.Before(at.Add(interval)); slot = slot.Add(cdnSlot) {
		for code, n := range s.slotCodes(r, source, slot) {
			counts[code] += n
			total += n
		}
	}
	codes := make([]int, 0, len(counts))
	for code := range counts {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return objects(codes, func(code int) object {
		return object{
			"Code": strconv.Itoa(code), "Count": strconv.FormatInt(counts[code], 10),
			"Proportion": strconv.FormatFloat(float64(counts[code])*100/float64(total), 'f', -1, 64),
		}
	})
}
