package aliyun

import (
	"context"
	"time"
)

// Client makes single calls: no retries, no limits, no paging; those are the
// caller's. In production it is the adapter over the vendor's SDK (package
// sdk); in tests a fake. Its errors are *Error, or the context's own.
// It is used by several goroutines at once.
type Client interface {
	// MetricList is CloudMonitor's DescribeMetricList without Dimensions: one
	// page of the points of every resource of the account in the region.
	MetricList(ctx context.Context, q MetricQuery) (MetricPage, error)
	// Instances is ECS's DescribeInstances.
	Instances(ctx context.Context, q InstanceQuery) (InstancePage, error)
	// Do is any other action; it returns the answer's body, a JSON text. An
	// answer of status 200 that says "Success": false is an error.
	Do(ctx context.Context, r Request) ([]byte, error)
}

// Request is a call of any action. It only reads: no action that changes an
// account is ever named.
type Request struct {
	Product string // such as "Rds"
	Version string // such as "2014-08-15"
	Action  string // such as "DescribeDBInstances"
	Region  string // the region that signs and answers
	Host    string // such as "rds.aliyuncs.com"
	// Path makes it a request of the ROA style by GET, such as
	// "/openapi/instances"; "" is the RPC style.
	Path  string
	Query map[string]string
}

// MetricQuery asks for the points of (Start, End].
type MetricQuery struct {
	Region    string
	Namespace string
	Metric    string
	Period    int // seconds
	Start     time.Time
	End       time.Time
	Length    int    // points per page, at most MaxPoints
	NextToken string // "" asks for the first page
}

// MaxPoints is the largest page that DescribeMetricList gives.
const MaxPoints = 1440

// MetricPage is one page of points.
type MetricPage struct {
	// Datapoints is the service's JSON text of an array of objects.
	Datapoints string
	NextToken  string // "" on the last page
}

// InstanceQuery asks for a page of ECS instances.
type InstanceQuery struct {
	Region    string
	Length    int    // instances per page, at most MaxInstances
	NextToken string // "" asks for the first page
}

// MaxInstances is the largest page that DescribeInstances gives.
const MaxInstances = 100

// InstancePage is one page of ECS instances.
type InstancePage struct {
	Instances []Instance
	NextToken string // "" on the last page
}

// Instance is an ECS instance, as far as it is used.
type Instance struct {
	ID        string
	Name      string
	Zone      string
	Type      string
	OS        string
	Status    string // "Running", "Stopped", …
	VPC       string
	PrivateIP string
	PublicIP  string
	Prepaid   bool
	Expires   time.Time // zero: never, or unreadable
	Tags      map[string]string
}
