package aliyun

import (
	"slices"
	"strings"
)

// Host returns the host name of a product's API ("Rds", "R-kvstore", …) in a
// region, as the vendor's SDK resolves it. Products that it does not list have a
// host in each region.
func Host(product, region string) string {
	name := strings.ToLower(product)
	e := endpoints[name]
	if e.host != "" {
		name = e.host
	}
	switch {
	case product == "Ecs" && region == "cn-hangzhou":
		return "ecs-cn-hangzhou.aliyuncs.com" // for historical reasons
	case slices.Contains(e.central, region), e.global && strings.HasPrefix(region, "cn-"):
		return name + ".aliyuncs.com"
	case e.global:
		return name + ".ap-southeast-1.aliyuncs.com"
	}
	return name + "." + region + ".aliyuncs.com"
}

// endpoint says how a product's hosts are named: HOST.REGION.aliyuncs.com, with
// exceptions.
type endpoint struct {
	host    string   // "" is the product's name in lower case
	global  bool     // one host for China and one for the rest of the world
	central []string // regions that HOST.aliyuncs.com serves
}

// Regions that the products' central hosts serve.
var (
	centralOld = []string{"cn-qingdao", "cn-beijing", "cn-hangzhou", "cn-shanghai", "cn-shenzhen"}
	centralSea = append(slices.Clone(centralOld), "cn-hongkong", "ap-southeast-1", "us-east-1", "us-west-1")
	centralNew = append(slices.Clone(centralOld), "cn-heyuan", "cn-guangzhou", "cn-wulanchabu")
)

var endpoints = map[string]endpoint{
	"cms":        {host: "metrics"},
	"rds":        {central: append(slices.Clone(centralSea), "cn-heyuan")},
	"slb":        {central: centralSea},
	"r-kvstore":  {central: centralNew},
	"dds":        {host: "mongodb", central: centralNew},
	"drds":       {central: []string{"cn-chengdu"}},
	"vpc":        {central: []string{"cn-hangzhou"}},
	"cdn":        {global: true},
	"bssopenapi": {host: "business", global: true},
	"sas":        {host: "tds", global: true},
}
