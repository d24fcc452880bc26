package aliyun

// api names one action of the cloud as limits, budgets and metrics do:
// "Cms.DescribeMetricList". Two products may have an action of the same name.
type api string

const (
	apiMetricList api = "Cms.DescribeMetricList"
	apiInstances  api = "Ecs.DescribeInstances"
)

// apiOf is the api of a request.
func apiOf(r Request) api { return api(r.Product + "." + r.Action) }

// documentedRates are the calls per second that the provider's documents allow
// an account. For other actions there is no figure: calls_per_second bounds them.
var documentedRates = map[api]float64{
	"Cms.DescribeMetricList":          50,
	"Cms.DescribeMetricLast":          50,
	"Cms.DescribeMetricData":          10,
	"Cms.DescribeMetricTop":           10,
	"Cdn.DescribeUserDomains":         100,
	"BssOpenApi.QueryAccountBalance":  10,
	"BssOpenApi.DescribeInstanceBill": 10,
	"Actiontrail.LookupEvents":        2,
}

// otherCMSRate is that of every action of CloudMonitor that has none of its own.
const otherCMSRate = 20

// countsForMonth reports whether calls of a use up the account's free calls of
// the month.
func (a api) countsForMonth() bool {
	switch a {
	case "Cms.DescribeMetricList", "Cms.DescribeMetricLast", "Cms.DescribeMetricData", "Cms.DescribeMetricTop":
		return true
	}
	return false
}

// Rate is how many calls of an API ("Cms.DescribeMetricList") the account may
// make in a second.
func (c AccountConfig) Rate(name string) float64 { return c.rate(api(name)) }

// rate is how many calls of a the account may make in a second: what the
// configuration says of this api, else the smaller of calls_per_second and the
// documented limit.
func (c AccountConfig) rate(a api) float64 {
	if r, ok := c.APICallsPerSecond[string(a)]; ok {
		return r
	}
	documented, ok := documentedRates[a]
	if !ok && len(a) > 4 && a[:4] == "Cms." {
		documented, ok = otherCMSRate, true
	}
	if ok {
		return min(c.CallsPerSecond, documented)
	}
	return c.CallsPerSecond
}
