package aliyun

import "net/netip"

const vpcVersion = "2016-04-28"

func registerEIP(s *Server) {
	s.adder(productVPC, vpcVersion, "vpc")("DescribeEipAddresses", s.describeEIPs)
}

func (s *Server) describeEIPs(c *call) (any, *apiError) {
	if e := s.requireRegion(c); e != nil {
		return nil, e
	}
	rows := s.listed(c, nsEIP, func(r *resource) bool {
		return c.filterList("AllocationId", r.id) && c.filterList("EipAddress", r.publicAddress()) &&
			c.filter("ChargeType", s.chargeType(r)) && c.filter("EipName", s.nameOf(r))
	})
	number, size, e := c.page(pageNumber(10, 100))
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "PageNumber": number, "PageSize": size, "TotalCount": len(rows),
		"EipAddresses": object{"EipAddress": objects(pageOf(rows, number, size), s.eipAddress)},
	}, nil
}

// publicAddress is in the range that is reserved for benchmarks.
func (r *resource) publicAddress() string {
	base := uint32(198)<<24 | uint32(18)<<16 | uint32(r.number+1)
	return netip.AddrFrom4([4]byte{byte(base >> 24), byte(base >> 16), byte(base >> 8), byte(base)}).String()
}

func (s *Server) eipAddress(r *resource) object {
	business := "Normal"
	if s.expired(r) {
		business = "FinancialLocked"
	}
	i := object{
		"AllocationId": r.id, "Name": s.nameOf(r), "IpAddress": r.publicAddress(), "RegionId": r.region, "Status": "Available",
		"Bandwidth": "100", "EipBandwidth": "100", "InternetChargeType": "PayByTraffic", "ChargeType": s.chargeType(r),
		"AllocationTime": r.created.Format(secondLayout), "ExpiredTime": s.expiryText(r, minuteLayout, ""), "BusinessStatus": business,
		"InstanceId": "", "InstanceType": "", "ISP": "BGP", "DeletionProtection": false, "ResourceGroupId": "",
		"OperationLocks": object{"LockReason": []object{}}, "Tags": object{"Tag": objects(r.tags(), shortTag)},
	}
	if balancers := s.liveIn(nsSLB, r.region); len(balancers) > 0 && mix(r.key, 83)%2 == 0 {
		i["Status"], i["InstanceType"] = "InUse", "SlbInstance"
		i["InstanceId"] = pick(mix(r.key, 84), balancers...).id
	}
	return i
}
