package aliyun

import (
	"strings"
	"time"
)

const bssVersion = "2017-12-14"

var bssPaging = paging{number: "PageNum", size: "PageSize", fallback: 20, largest: 300}

// maxBillInstanceIDs bounds the parameter InstanceIDs.
const maxBillInstanceIDs = 100

// registerBSS: the RAM actions of the bill service have names of their own.
func registerBSS(s *Server) {
	add := func(name, permission string, handle func(*call) (any, *apiError)) {
		s.actions[actionName{bssVersion, name}] = action{product: productBSS, name: name, permission: permission, handle: handle}
	}
	add("QueryAccountBalance", "bss:DescribeAcccount", s.queryAccountBalance) // spelt so
	add("DescribeInstanceBill", "bssapi:DescribeInstanceBill", s.describeInstanceBill)
	add("QueryAvailableInstances", "bss:DescribeInstances", s.queryAvailableInstances)
}

// billed tells whether a product's resources are instances to the bill service.
func (p *product) billed() bool { return p.namespace != nsCDN && p.namespace != nsOSS }

// queryAvailableInstances lists the instances of all products and regions.
func (s *Server) queryAvailableInstances(c *call) (any, *apiError) {
	if c.params["Region"] != "" && c.params["ProductCode"] == "" {
		return nil, missingParameter("ProductCode")
	}
	if len(splitList(c.params["InstanceIDs"])) > maxBillInstanceIDs {
		return nil, invalidParameter("InstanceIDs")
	}
	ends, e := c.within("EndTimeStart", "EndTimeEnd")
	if e != nil {
		return nil, e
	}
	created, e := c.within("CreateTimeStart", "CreateTimeEnd")
	if e != nil {
		return nil, e
	}
	now := s.now()
	rows := []*resource{}
	for i := range products {
		if p := &products[i]; !p.billed() || !c.filter("ProductCode", p.billCode) {
			continue
		}
		for _, r := range s.estate.byProduct[products[i].namespace] {
			if !c.empty && s.lifeOf(r.id).exists(now) && c.filter("Region", r.region) && c.filterList("InstanceIDs", r.id) &&
				c.filter("SubscriptionType", s.subscription(r)) && c.filter("RenewStatus", s.renewStatus(r)) && ends(s.expiryOf(r)) && created(r.created) {
				rows = append(rows, r)
			}
		}
	}
	number, size, e := c.page(bssPaging)
	if e != nil {
		return nil, e
	}
	return bssAnswer(c, object{
		"PageNum": number, "PageSize": size, "TotalCount": len(rows),
		"InstanceList": objects(pageOf(rows, number, size), s.availableInstance),
	}), nil
}

// bssAnswer is the bill service's success.
func bssAnswer(c *call, data object) object {
	return object{"RequestId": c.requestID, "Success": true, "Code": "Success", "Message": "Successful!", "Data": data}
}

// within reads two times, both included. What has no time passes only if none is given.
func (c *call) within(start, end string) (func(time.Time) bool, *apiError) {
	var bounds [2]time.Time
	for i, name := range []string{start, end} {
		if text := c.params[name]; text != "" {
			t, err := time.Parse(secondLayout, text)
			if err != nil {
				return nil, invalidParameter(name)
			}
			bounds[i] = t
		}
	}
	return func(t time.Time) bool {
		if t.IsZero() {
			return bounds[0].IsZero() && bounds[1].IsZero()
		}
		return (bounds[0].IsZero() || !t.Before(bounds[0])) && (bounds[1].IsZero() || !t.After(bounds[1]))
	}, nil
}

func (s *Server) subscription(r *resource) string {
	if s.prepaid(r) {
		return "Subscription"
	}
	return "PayAsYouGo"
}

// renewStatus: half of the subscriptions renew by themselves, but none that a
// scenario lets expire.
func (s *Server) renewStatus(r *resource) string {
	s.faultMu.RLock()
	_, scripted := s.faults.expiries[r.id]
	s.faultMu.RUnlock()
	switch {
	case !s.prepaid(r):
		return ""
	case !scripted && mix(r.key, 110)%2 == 0:
		return "AutoRenewal"
	}
	return "ManualRenewal"
}

// availableInstance: the Status of an expired one, and the EndTime of one without a
// subscription, are not documented.
func (s *Server) availableInstance(r *resource) object {
	status := "Normal"
	if s.expired(r) {
		status = "Expired"
	}
	i := object{
		"InstanceID": r.id, "ProductCode": r.product.billCode, "ProductType": "", "Region": r.region, "OwnerId": s.ownerID(),
		"SubscriptionType": s.subscription(r), "Status": status, "SubStatus": status, "CreateTime": r.created.Format(secondLayout),
		"EndTime": s.expiryText(r, secondLayout, ""), "StopTime": "", "ReleaseTime": "", "ExpectedReleaseTime": "", "Seller": "26842", "SellerId": 26842,
	}
	if s.prepaid(r) {
		i["RenewStatus"] = s.renewStatus(r)
		if i["RenewStatus"] == "AutoRenewal" {
			i["RenewalDuration"], i["RenewalDurationUnit"] = 1, "Y"
		}
	}
	return i
}

// cycleLayout is a billing month.
const cycleLayout = "2006-01"

// thousands puts separators into an amount, as the balance has them.
func thousands(text string) string {
	whole, part, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return sign + whole + "." + part
}
