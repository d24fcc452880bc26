package inventory

// Names of the series; package ruleset/contract declares the same.
const (
	resourceRunning   = "aliyun_resource_running"
	resourceExpiry    = "aliyun_resource_expiry_timestamp_seconds"
	resourceCreated   = "aliyun_resource_created_timestamp_seconds"
	resourceFirstSeen = "aliyun_resource_first_seen_timestamp_seconds"
	resources         = "aliyun_resources"

	ecsRunning = "aliyun_ecs_running"
	ecsExpiry  = "aliyun_ecs_expiry_timestamp_seconds"
)

// perResource are the series that a resource may have besides its info, in the
// order of the bits of described.has.
var perResource = []string{resourceRunning, resourceExpiry, resourceCreated, resourceFirstSeen, ecsRunning, ecsExpiry}

// infoName is that of the series that describe a product's resources.
func (p *product) infoName() string { return "aliyun_" + p.stem + "_info" }
