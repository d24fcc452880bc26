package aliyun

const drdsVersion = "2019-01-23"

func registerDRDS(s *Server) {
	s.adder(productDRDS, drdsVersion, "drds")("DescribeDrdsInstances", s.describeDRDSInstances)
}

// describeDRDSInstances gives times in milliseconds, as numbers.
func (s *Server) describeDRDSInstances(c *call) (any, *apiError) {
	rows := s.listed(c, nsDRDS, func(*resource) bool { return true })
	number, size, e := c.page(pageNumber(30, 50))
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "Success": true, "PageNumber": number, "PageSize": size, "Total": len(rows),
		"Instances": object{"Instance": objects(pageOf(rows, number, size), s.drdsInstance)},
	}, nil
}

func (s *Server) drdsInstance(r *resource) object {
	expires := int64(0) // how pay-as-you-go instances answer is not documented
	if end := s.expiryOf(r); !end.IsZero() {
		expires = end.UnixMilli()
	}
	status := "RUN"
	if s.expired(r) {
		status = "EXPIRE"
	}
	return object{
		"DrdsInstanceId": r.id, "Description": s.nameOf(r), "Status": status, "Type": "PRIVATE", "RegionId": r.region, "ZoneId": r.zone(),
		"NetworkType": "VPC", "VpcId": r.vpc(), "InstanceSeries": "drds.sn2.4c16g", "InstanceSpec": "drds.sn2.4c16g.8C32G",
		"CreateTime": r.created.UnixMilli(), "ExpireDate": expires, "Version": 1, "ProductVersion": "V1", "InstRole": "MASTER",
		"CommodityCode": "drds", "Vips": object{"Vip": []object{{"Type": "intranet", "IP": r.address(0), "Port": "3306", "VpcId": r.vpc()}}},
	}
}
