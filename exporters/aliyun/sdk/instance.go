package sdk

import (
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"watchkeeper/exporters/aliyun"
)

// expiryForms are the forms in which the API writes a time.
var expiryForms = []string{"2006-01-02T15:04Z", "2006-01-02T15:04:05Z", "2006-01-02 15:04:05"}

// never: from this year on, an expiry means that there is none.
const neverYear = 2099

func instanceOf(in ecs.Instance) aliyun.Instance {
	out := aliyun.Instance{
		ID: in.InstanceId, Name: in.InstanceName, Zone: in.ZoneId, Type: in.InstanceType,
		OS: firstOf(in.OSNameEn, in.OSName, in.OSType), Status: in.Status, VPC: in.VpcAttributes.VpcId,
		PrivateIP: firstOf(append(in.VpcAttributes.PrivateIpAddress.IpAddress, in.InnerIpAddress.IpAddress...)...),
		PublicIP:  firstOf(append([]string{in.EipAddress.IpAddress}, in.PublicIpAddress.IpAddress...)...),
		Prepaid:   in.InstanceChargeType == "PrePaid",
		Expires:   expiryOf(in.ExpiredTime),
		Tags:      map[string]string{},
	}
	for _, tag := range in.Tags.Tag {
		// Older answers name the parts Key and Value.
		if key := firstOf(tag.TagKey, tag.Key); key != "" {
			out.Tags[key] = firstOf(tag.TagValue, tag.Value)
		}
	}
	return out
}

func expiryOf(text string) time.Time {
	for _, form := range expiryForms {
		if t, err := time.Parse(form, text); err == nil && t.Year() < neverYear {
			return t
		}
	}
	return time.Time{}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
