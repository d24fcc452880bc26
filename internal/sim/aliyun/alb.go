package aliyun

const albVersion = "2020-06-16"

func registerALB(s *Server) {
	s.adder(productALB, albVersion, "alb")("ListLoadBalancers", s.listALB)
}

// listALB pages by token alone, and its list is flat.
func (s *Server) listALB(c *call) (any, *apiError) {
	ids := c.repeated("LoadBalancerIds")
	rows := s.listed(c, nsALB, func(r *resource) bool { return contains(ids, r.id) && c.filter("ZoneId", r.zone()) })
	shown, next, size, e := tokenPage(s, c, rows, byNumber, 20, 100)
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "MaxResults": size, "TotalCount": len(rows), "NextToken": next,
		"LoadBalancers": objects(shown, s.albInstance),
	}, nil
}

func (s *Server) albInstance(r *resource) object {
	return object{
		"LoadBalancerId": r.id, "LoadBalancerName": s.nameOf(r), "LoadBalancerStatus": "Active", "LoadBalancerEdition": "Standard",
		"LoadBalancerBussinessStatus": "Normal", // spelt so
		"AddressType":                 pick(mix(r.key, 81), "Internet", "Intranet"), "AddressAllocatedMode": "Dynamic", "AddressIpVersion": "IPv4",
		"DNSName": r.id + "." + r.region + ".alb.aliyuncs.com", "VpcId": r.vpc(), "ResourceGroupId": "",
		"CreateTime":                 r.created.Format(minuteLayout),
		"LoadBalancerBillingConfig":  object{"PayType": "PostPay"},
		"LoadBalancerOperationLocks": []object{},
		"Tags":                       objects(r.tags(), shortTag),
	}
}

// shortTag is a tag as the younger products print it.
func shortTag(t tag) object { return object{"Key": t.TagKey, "Value": t.TagValue} }
