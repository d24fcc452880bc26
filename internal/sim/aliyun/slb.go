package aliyun

import (
	"strconv"
	"time"
)

const slbVersion = "2014-05-15"

// What the service says of load balancers that do not expire.
const (
	slbNever   = "2999-09-08T16:00:00Z"
	slbNeverMS = 32493801600000
)

const slbBackends = 3

func registerSLB(s *Server) {
	add := s.adder(productSLB, slbVersion, "slb")
	add("DescribeLoadBalancers", s.describeLoadBalancers)
	add("DescribeLoadBalancerAttribute", s.describeLoadBalancerAttribute)
	add("DescribeHealthStatus", s.describeHealthStatus)
}

func (s *Server) describeLoadBalancers(c *call) (any, *apiError) {
	if e := s.requireRegion(c); e != nil {
		return nil, e
	}
	rows := s.listed(c, nsSLB, func(r *resource) bool {
		return c.filterList("LoadBalancerId", r.id) && c.filterList("LoadBalancerName", s.nameOf(r)) &&
			c.filter("LoadBalancerStatus", s.slbStatus(r)) && c.filter("PayType", s.slbPayType(r)) && c.filter("VpcId", r.vpc())
	})
	number, size, e := c.page(pageNumber(50, 100))
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "PageNumber": number, "PageSize": size, "TotalCount": len(rows),
		"LoadBalancers": object{"LoadBalancer": objects(pageOf(rows, number, size), s.loadBalancer)},
	}, nil
}

// loadBalancer is an item of the list, which does not say when it expires.
func (s *Server) loadBalancer(r *resource) object {
	return object{
		"LoadBalancerId": r.id, "LoadBalancerName": s.nameOf(r), "LoadBalancerStatus": s.slbStatus(r),
		"RegionId": r.region, "RegionIdAlias": r.region, "MasterZoneId": r.zone(), "SlaveZoneId": r.region + "-k",
		"Address": r.address(0), "AddressType": pick(mix(r.key, 81), "internet", "intranet"), "AddressIPVersion": "ipv4",
		"NetworkType": "vpc", "VpcId": r.vpc(), "VSwitchId": "vsw-" + idText(mixText(3, r.zone()), 20),
		"LoadBalancerSpec": "slb.s2.small", "Bandwidth": 100, "InternetChargeType": "4", "PayType": s.slbPayType(r),
		"InstanceChargeType": "PayBySpec", "BusinessStatus": s.slbBusiness(r), "DeleteProtection": "off",
		"CreateTime": r.created.Format(secondLayout), "CreateTimeStamp": r.created.UnixMilli(),
		"ResourceGroupId": "", "Tags": object{"Tag": r.tags()},
	}
}

func (s *Server) slbPayType(r *resource) string {
	if s.prepaid(r) {
		return "PrePay"
	}
	return "PayOnDemand"
}

func (s *Server) slbStatus(r *resource) string {
	if s.expired(r) {
		return "locked"
	}
	return "active"
}

func (s *Server) slbBusiness(r *resource) string {
	if s.expired(r) {
		return "FinancialLocked"
	}
	return "Normal"
}

func (s *Server) describeLoadBalancerAttribute(c *call) (any, *apiError) {
	r, e := s.instance(c, nsSLB, "LoadBalancerId", "InvalidLoadBalancerId.NotFound")
	if e != nil {
		return nil, e
	}
	i := s.loadBalancer(r)
	i["RequestId"] = c.requestID
	i["EndTime"], i["EndTimeStamp"] = slbNever, int64(slbNeverMS)
	i["RenewalStatus"], i["AutoReleaseTime"] = "NotRenewal", 0
	if end := s.expiryOf(r); !end.IsZero() {
		i["EndTime"], i["EndTimeStamp"] = end.Format(secondLayout), end.UnixMilli()
		i["RenewalStatus"], i["RenewalDuration"], i["RenewalCycUnit"] = s.renewStatus(r), 1, "Year"
	}
	ports, withProtocol := []int{}, []object{}
	for _, l := range listeners(r) {
		port := listenerPort(l)
		ports = append(ports, port)
		withProtocol = append(withProtocol, object{"ListenerPort": port, "ListenerProtocol": l[1]})
	}
	i["ListenerPorts"] = object{"ListenerPort": ports}
	i["ListenerPortsAndProtocol"] = object{"ListenerPortAndProtocol": withProtocol}
	i["ListenerPortsAndProtocal"] = object{"ListenerPortAndProtocal": withProtocol} // spelt so, besides the other
	i["BackendServers"] = object{"BackendServer": objects(s.backendsOf(r), func(b *resource) object {
		return object{"ServerId": b.id, "ServerIp": b.address(0), "Weight": 100, "Type": "ecs", "Description": ""}
	})}
	return i, nil
}

func listenerPort(listener []string) int {
	port, _ := strconv.Atoi(listener[0]) // written in listeners
	return port
}

// backendsOf are up to three ECS instances of the load balancer's region.
func (s *Server) backendsOf(r *resource) []*resource {
	all := s.liveIn(nsECS, r.region)
	if len(all) <= slbBackends {
		return all
	}
	start := int(mix(r.key, 82) % uint64(len(all)-slbBackends))
	return all[start : start+slbBackends]
}

// describeHealthStatus agrees with the metric UnhealthyServerCount of this minute: so
// many servers of the listener are abnormal.
func (s *Server) describeHealthStatus(c *call) (any, *apiError) {
	r, e := s.instance(c, nsSLB, "LoadBalancerId", "InvalidLoadBalancerId.NotFound")
	if e != nil {
		return nil, e
	}
	items := []object{}
	for i, l := range listeners(r) {
		if c.empty || !c.filter("ListenerPort", l[0]) || !c.filter("ListenerProtocol", l[1]) {
			continue
		}
		sick := s.unhealthyServers(r, i, s.now())
		for n, b := range s.backendsOf(r) {
			health := "normal"
			if n < sick {
				health = "abnormal"
			}
			items = append(items, object{
				"ServerId": b.id, "ServerIp": b.address(0), "ListenerPort": listenerPort(l), "Protocol": l[1], "Port": 8080,
				"ServerHealthStatus": health, "Type": "ecs",
			})
		}
	}
	return object{"RequestId": c.requestID, "BackendServers": object{"BackendServer": items}}, nil
}

func (s *Server) unhealthyServers(r *resource, listener int, now time.Time) int {
	m := findMetric(nsSLB, "UnhealthyServerCount")
	x := s.newSeries(m, r, m.seriesOf(r)[listener])
	p, ok := x.member(now.Truncate(time.Minute).Unix())
	if !ok {
		return 0
	}
	return int(p.maximum)
}
