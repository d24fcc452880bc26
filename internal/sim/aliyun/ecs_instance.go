package aliyun

import "fmt"

// ecsInstance is an item of DescribeInstances, with the fields that matter to
// monitoring and inventory.
type ecsInstance struct {
	InstanceID              string `json:"InstanceId"`
	InstanceName            string
	HostName                string
	Description             string
	RegionID                string `json:"RegionId"`
	ZoneID                  string `json:"ZoneId"`
	Status                  string
	InstanceType            string
	InstanceTypeFamily      string
	CPU                     int `json:"Cpu"`
	Memory                  int // MiB
	OSName                  string
	OSType                  string
	ImageID                 string `json:"ImageId"`
	SerialNumber            string
	CreationTime            string
	StartTime               string
	ExpiredTime             string
	AutoReleaseTime         string
	InstanceChargeType      string
	InternetChargeType      string
	InternetMaxBandwidthIn  int
	InternetMaxBandwidthOut int
	InstanceNetworkType     string
	IoOptimized             bool
	DeviceAvailable         bool
	ResourceGroupID         string `json:"ResourceGroupId"`
	StoppedMode             string
	OperationLocks          struct{ LockReason []lockReason }
	Tags                    struct{ Tag []tag }
	SecurityGroupIDs        struct {
		SecurityGroupID []string `json:"SecurityGroupId"`
	} `json:"SecurityGroupIds"`
	PublicIPAddress addressSet `json:"PublicIpAddress"`
	InnerIPAddress  addressSet `json:"InnerIpAddress"`
	EipAddress      struct {
		IPAddress            string `json:"IpAddress"`
		AllocationID         string `json:"AllocationId"`
		Bandwidth            int
		InternetChargeType   string
		IsSupportUnassociate bool
	}
	VpcAttributes struct {
		VpcID            string     `json:"VpcId"`
		VSwitchID        string     `json:"VSwitchId"`
		NatIPAddress     string     `json:"NatIpAddress"`
		PrivateIPAddress addressSet `json:"PrivateIpAddress"`
	}
}

type addressSet struct {
	IPAddress []string `json:"IpAddress"`
}

type lockReason struct{ LockReason, LockMsg string }

func (s *Server) ecsInstance(r *resource) ecsInstance {
	cores := pick(mix(r.key, 70), 2, 4, 8, 16)
	i := ecsInstance{
		InstanceID:              r.id,
		InstanceName:            s.nameOf(r),
		HostName:                r.name,
		RegionID:                r.region,
		ZoneID:                  r.zone(),
		Status:                  s.ecsStatus(r),
		InstanceType:            fmt.Sprintf("%s.%s", r.typeFamily(), map[int]string{2: "large", 4: "xlarge", 8: "2xlarge", 16: "4xlarge"}[cores]),
		InstanceTypeFamily:      r.typeFamily(),
		CPU:                     cores,
		Memory:                  cores * 4 << 10,
		OSName:                  "Alibaba Cloud Linux 3.2104 LTS 64-bit",
		OSType:                  "linux",
		ImageID:                 "aliyun_3_x64_20G_alibase_20240528.vhd",
		SerialNumber:            idText(mix(r.key, 71), 32),
		CreationTime:            r.created.Format(minuteLayout),
		StartTime:               r.created.Format(minuteLayout),
		ExpiredTime:             s.expiryText(r, minuteLayout, neverExpires),
		InstanceChargeType:      s.chargeType(r),
		InternetChargeType:      "PayByTraffic",
		InternetMaxBandwidthIn:  100,
		InternetMaxBandwidthOut: 100,
		InstanceNetworkType:     "vpc",
		IoOptimized:             true,
		DeviceAvailable:         true,
		StoppedMode:             "Not-applicable",
	}
	if r.windows() {
		i.OSName, i.OSType, i.ImageID = "Windows Server 2022 Datacenter 64-bit", "windows", "win2022_21H2_x64_dtc_zh-cn_40G_alibase_20240516.vhd"
	}
	i.OperationLocks.LockReason = []lockReason{}
	if mix(r.key, 72)%200 == 0 {
		i.OperationLocks.LockReason = append(i.OperationLocks.LockReason, lockReason{LockReason: "security"})
	}
	if s.expired(r) {
		i.OperationLocks.LockReason = append(i.OperationLocks.LockReason, lockReason{LockReason: "financial"})
	}
	i.Tags.Tag = r.tags()
	i.SecurityGroupIDs.SecurityGroupID = []string{"sg-" + idText(mixText(2, r.region), 20)}
	i.PublicIPAddress.IPAddress = []string{}
	i.InnerIPAddress.IPAddress = []string{}
	if eip := r.eip(); eip != "" {
		i.EipAddress.IPAddress = eip
		i.EipAddress.AllocationID = "eip-" + idText(mix(r.key, 74), 20)
		i.EipAddress.Bandwidth = 100
		i.EipAddress.InternetChargeType = "PayByTraffic"
	}
	i.VpcAttributes.VpcID = r.vpc()
	i.VpcAttributes.VSwitchID = "vsw-" + idText(mixText(3, r.zone()), 20)
	i.VpcAttributes.PrivateIPAddress.IPAddress = []string{r.address(0)}
	return i
}
