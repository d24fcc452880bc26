package aliyun

// Health of instances. The numbers are not confirmed.
var healthStatuses = map[string]int{"Impaired": 0, "Maintaining": 1, "Initializing": 2, "InsufficientData": 3, "NotApplicable": 4, "OK": 7}

// describeInstancesFullStatus lists the instances with their health and the events
// that are yet to come.
func (s *Server) describeInstancesFullStatus(c *call) (any, *apiError) {
	if e := s.requireRegion(c); e != nil {
		return nil, e
	}
	now := s.now()
	open := map[string][]InstanceEvent{}
	for _, f := range s.announcedEvents(now) {
		if status := f.status(now); status == "Scheduled" || status == "Executing" {
			open[f.Instance] = append(open[f.Instance], f)
		}
	}
	ids := c.repeated("InstanceId")
	rows := s.listed(c, nsECS, func(r *resource) bool {
		return contains(ids, r.id) && c.filter("Status", s.ecsStatus(r)) && c.filter("HealthStatus", s.health(r, open[r.id]))
	})
	number, size, e := c.page(pageNumber(defaultPageSize, maxPageSize))
	if e != nil {
		return nil, e
	}
	shown := objects(pageOf(rows, number, size), func(r *resource) object {
		health := s.health(r, open[r.id])
		return object{
			"InstanceId": r.id, "Status": object{"Name": s.ecsStatus(r), "Code": 1},
			"HealthStatus":            object{"Name": health, "Code": healthStatuses[health]},
			"ScheduledSystemEventSet": object{"ScheduledSystemEventType": objects(open[r.id], func(f InstanceEvent) object { return f.item(now) })},
		}
	})
	return object{
		"RequestId": c.requestID, "TotalCount": len(rows), "PageNumber": number, "PageSize": size,
		"InstanceFullStatusSet": object{"InstanceFullStatusType": shown},
	}, nil
}

// health is Impaired while an event caused by a failure runs.
func (s *Server) health(r *resource, open []InstanceEvent) string {
	if s.ecsStatus(r) != "Running" {
		return "NotApplicable"
	}
	for _, f := range open {
		if f.failure() && f.status(s.now()) == "Executing" {
			return "Impaired"
		}
	}
	return "OK"
}
