package inventory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"watchkeeper/exporters/aliyun"
)

// product is a kind of resource and the action that lists it.
type product struct {
	name   string // label product
	stem   string // of aliyun_STEM_info
	global bool   // listed once for the account, through its first region

	service, version, action string
	path                     string // of an action of the ROA style
	paging                   paging
	queries                  []map[string]string // lists that make up the whole; nil: one, without parameters
	rows                     string              // path of the list in the answer
	total                    string              // path of the count of all rows; "" when there is none
	id                       string              // field of the resource's id
	classLabel               string              // label of the class; "" is class
	running                  []string            // statuses in which the resource works
	read                     func(i item, r *resource)
	detail                   *detail // nil: the list says all
}

// paging is how a list is asked for in parts.
type paging struct {
	number, size string // parameters of page and page size; or
	token, limit string // parameters of token and page size
	length       int    // rows per page
}

func byNumber(length int) paging {
	return paging{number: "PageNumber", size: "PageSize", length: length}
}

func byToken(length int) paging {
	return paging{token: "NextToken", limit: "MaxResults", length: length}
}

// resource is one entry of an inventory.
type resource struct {
	id, name, zone, status     string
	class, os, engine, version string
	storageGB                  string
	privateIP, publicIP        string
	endpoint, vpc              string
	tags                       map[string]string
	created, expires           time.Time // zero: unknown; never or unknown
	prepaid                    bool
}

// Products lists what an inventory can be made of, by the label product.
func Products() []string {
	var out []string
	for _, p := range products {
		out = append(out, p.name)
	}
	slices.Sort(out)
	return out
}

func productOf(name string) *product {
	for i := range products {
		if products[i].name == name {
			return &products[i]
		}
	}
	return nil
}

// request is the product's action in a region.
func (p *product) request(action, region string, query map[string]string) aliyun.Request {
	return aliyun.Request{
		Product: p.service, Version: p.version, Action: action, Region: region,
		Host: aliyun.Host(p.service, region), Path: p.path, Query: query,
	}
}

// works tells whether a resource is in a status in which it does its work.
func (p *product) works(r *resource) bool {
	return slices.ContainsFunc(p.running, func(s string) bool { return strings.EqualFold(s, r.status) })
}

// products is the catalogue. Statuses are the vendor's words for a resource that
// works; a product whose list has none has no series of it.
var products = []product{
	{
		name: "ecs", stem: "ecs", service: "Ecs", version: "2014-05-26", action: "DescribeInstances", paging: byToken(100),
		rows: "Instances.Instance", total: "TotalCount", id: "InstanceId", classLabel: "instance_type", running: []string{"Running"}, read: readECS,
	},
	{
		name: "rds", stem: "rds", service: "Rds", version: "2014-08-15", action: "DescribeDBInstances", paging: byNumber(100),
		rows: "Items.DBInstance", total: "TotalRecordCount", id: "DBInstanceId", running: []string{"Running"}, read: readRDS,
		detail: &detail{
			action: "DescribeDBInstanceAttribute", parameter: "DBInstanceId", batch: 30, rows: "Items.DBInstanceAttribute", id: "DBInstanceId",
			wanted: func(*resource) bool { return true },
			read:   func(i item, e *extra) { e.storageGB = i.text("DBInstanceStorage") },
		},
	},
	{
		name: "slb", stem: "slb", service: "Slb", version: "2014-05-15", action: "DescribeLoadBalancers", paging: byNumber(100),
		rows: "LoadBalancers.LoadBalancer", total: "TotalCount", id: "LoadBalancerId", running: []string{"active"}, read: readSLB,
		detail: &detail{ // the list does not say when a load balancer expires
			action: "DescribeLoadBalancerAttribute", parameter: "LoadBalancerId", batch: 1, id: "LoadBalancerId",
			wanted: func(r *resource) bool { return r.prepaid },
			read: func(i item, e *extra) {
				if e.expires = i.when("EndTimeStamp"); e.expires.IsZero() {
					e.expires = i.when("EndTime")
				}
			},
		},
	},
	{
		name: "alb", stem: "alb", service: "Alb", version: "2020-06-16", action: "ListLoadBalancers", paging: byToken(100),
		rows: "LoadBalancers", total: "TotalCount", id: "LoadBalancerId", running: []string{"Active"}, read: readALB,
	},
	{
		name: "kvstore", stem: "kvstore", service: "R-kvstore", version: "2015-01-01", action: "DescribeInstances", paging: byNumber(100),
		queries: []map[string]string{{"InstanceType": "Redis"}},
		rows:    "Instances.KVStoreInstance", total: "TotalCount", id: "InstanceId", running: []string{"Normal"}, read: readKVStore,
	},
	{ // that Memcache is in the list of Redis is not confirmed by the vendor's documents
		name: "memcache", stem: "memcache", service: "R-kvstore", version: "2015-01-01", action: "DescribeInstances", paging: byNumber(100),
		queries: []map[string]string{{"InstanceType": "Memcache"}},
		rows:    "Instances.KVStoreInstance", total: "TotalCount", id: "InstanceId", running: []string{"Normal"}, read: readKVStore,
	},
	{ // without a type, the list may hold one kind only
		name: "mongodb", stem: "mongodb", service: "Dds", version: "2015-12-01", action: "DescribeDBInstances", paging: byNumber(100),
		queries: []map[string]string{{"DBInstanceType": "replicate"}, {"DBInstanceType": "sharding"}},
		rows:    "DBInstances.DBInstance", total: "TotalCount", id: "DBInstanceId", running: []string{"Running"}, read: readMongoDB,
	},
	{
		name: "drds", stem: "drds", service: "Drds", version: "2019-01-23", action: "DescribeDrdsInstances", paging: byNumber(50),
		rows: "Instances.Instance", total: "Total", id: "DrdsInstanceId", running: []string{"RUN"}, read: readDRDS,
	},
	{
		name: "cdn", stem: "cdn", global: true, service: "Cdn", version: "2018-05-10", action: "DescribeUserDomains", paging: byNumber(500),
		rows: "Domains.PageData", total: "TotalCount", id: "DomainName", running: []string{"online"}, read: readCDN,
	},
	{
		name: "es-cloud", stem: "elasticsearch", service: "elasticsearch", version: "2017-06-13", action: "ListInstance", path: "/openapi/instances",
		paging: paging{number: "page", size: "size", length: 100},
		rows:   "Result", total: "Headers.X-Total-Count", id: "instanceId", running: []string{"active"}, read: readElasticsearch,
	},
	{
		name: "eip", stem: "eip", service: "Vpc", version: "2016-04-28", action: "DescribeEipAddresses", paging: byNumber(100),
		rows: "EipAddresses.EipAddress", total: "TotalCount", id: "AllocationId", running: []string{"InUse", "Available"}, read: readEIP,
	},
	{ // OSS has no list in the API's style: the buckets are those that have metering points
		name: "oss", stem: "oss", service: "Cms", version: "2019-01-01", action: "DescribeMetricLast",
		paging:  paging{token: "NextToken", limit: "Length", length: 1000},
		queries: []map[string]string{{"Namespace": "acs_oss_dashboard", "MetricName": "MeteringStorageUtilization", "Period": "3600"}},
		rows:    "Datapoints", id: "BucketName", read: func(i item, r *resource) { r.name, r.class = i.text("BucketName"), i.text("storageType") },
	},
}

func readECS(i item, r *resource) {
	r.name, r.zone, r.status, r.class = i.text("InstanceName"), i.text("ZoneId"), i.text("Status"), i.text("InstanceType")
	r.os = i.text("OSNameEn", "OSName", "OSType")
	r.vpc = i.text("VpcAttributes.VpcId")
	if r.privateIP = i.first("VpcAttributes.PrivateIpAddress.IpAddress"); r.privateIP == "" {
		r.privateIP = i.first("InnerIpAddress.IpAddress")
	}
	if r.publicIP = i.text("EipAddress.IpAddress"); r.publicIP == "" {
		r.publicIP = i.first("PublicIpAddress.IpAddress")
	}
	r.created = i.when("CreationTime")
	if i.text("InstanceChargeType") == "PrePaid" {
		r.expires = i.when("ExpiredTime")
	}
}

func readRDS(i item, r *resource) {
	r.name, r.zone, r.status, r.class = i.text("DBInstanceDescription"), i.text("ZoneId"), i.text("DBInstanceStatus"), i.text("DBInstanceClass")
	r.engine, r.version, r.storageGB = i.text("Engine"), i.text("EngineVersion"), i.text("DBInstanceStorage")
	r.endpoint, r.vpc = i.text("ConnectionString"), i.text("VpcId")
	r.created, r.expires = i.when("CreateTime"), i.when("ExpireTime")
}

func readSLB(i item, r *resource) {
	r.name, r.zone, r.status, r.class = i.text("LoadBalancerName"), i.text("MasterZoneId"), i.text("LoadBalancerStatus"), i.text("LoadBalancerSpec")
	r.vpc, r.created = i.text("VpcId"), i.when("CreateTime")
	r.prepaid = i.text("PayType") == "PrePay"
	if i.text("AddressType") == "internet" {
		r.publicIP = i.text("Address")
	} else {
		r.privateIP = i.text("Address")
	}
}

func readALB(i item, r *resource) {
	r.name, r.status, r.class = i.text("LoadBalancerName"), i.text("LoadBalancerStatus"), i.text("LoadBalancerEdition")
	r.endpoint, r.vpc, r.created = i.text("DNSName"), i.text("VpcId"), i.when("CreateTime")
}

func readKVStore(i item, r *resource) {
	r.name, r.zone, r.status, r.class = i.text("InstanceName"), i.text("ZoneId"), i.text("InstanceStatus"), i.text("InstanceClass")
	r.engine, r.version = i.text("InstanceType"), i.text("EngineVersion")
	if mb, ok := i.number("Capacity"); ok {
		r.storageGB = strconv.FormatFloat(float64(mb)/1024, 'f', -1, 64)
	}
	r.privateIP, r.endpoint, r.vpc = i.text("PrivateIp"), i.text("ConnectionDomain"), i.text("VpcId")
	r.created, r.expires = i.when("CreateTime"), i.when("EndTime")
}

func readMongoDB(i item, r *resource) {
	r.name, r.zone, r.status, r.class = i.text("DBInstanceDescription"), i.text("ZoneId"), i.text("DBInstanceStatus"), i.text("DBInstanceClass")
	r.engine, r.version, r.storageGB = i.text("Engine"), i.text("EngineVersion"), i.text("DBInstanceStorage")
	r.vpc, r.created, r.expires = i.text("VPCId", "VpcId"), i.when("CreationTime"), i.when("ExpireTime")
}

func readDRDS(i item, r *resource) {
	r.name, r.zone, r.status, r.class = i.text("Description"), i.text("ZoneId"), i.text("Status"), i.text("InstanceSpec", "InstanceSeries")
	r.version, r.vpc = i.text("ProductVersion"), i.text("VpcId")
	vips, _ := i.items("Vips.Vip")
	for _, vip := range vips {
		if vip.text("Type") == "intranet" {
			r.privateIP = vip.text("IP")
		} else {
			r.publicIP = vip.text("IP")
		}
	}
	r.created, r.expires = i.when("CreateTime"), i.when("ExpireDate")
}

func readCDN(i item, r *resource) {
	r.name, r.status, r.class = i.text("DomainName"), i.text("DomainStatus"), i.text("CdnType")
	r.endpoint, r.created = i.text("Cname"), i.when("GmtCreated")
}

func readElasticsearch(i item, r *resource) {
	r.name, r.status, r.class = i.text("description"), i.text("status"), i.text("nodeSpec.spec")
	r.engine, r.version, r.storageGB = "Elasticsearch", i.text("esVersion"), i.text("nodeSpec.disk")
	r.vpc, r.zone = i.text("networkConfig.vpcId"), i.text("networkConfig.vsArea")
	r.created, r.expires = i.when("createdAt"), i.when("endTime")
}

func readEIP(i item, r *resource) {
	r.name, r.zone, r.status, r.class = i.text("Name"), i.text("Zone"), i.text("Status"), i.text("ISP")
	r.publicIP, r.privateIP, r.vpc = i.text("IpAddress"), i.text("PrivateIpAddress"), i.text("VpcId")
	r.created, r.expires = i.when("AllocationTime"), i.when("ExpiredTime")
}

// selected resolves the products that an account lists.
func selected(cfg aliyun.AccountConfig) ([]*product, error) {
	var out []*product
	for i, name := range cfg.Inventory {
		p := productOf(name)
		if p == nil {
			return nil, fmt.Errorf("inventory[%d]: no product %q; there are %s", i, name, strings.Join(Products(), ", "))
		}
		if slices.Contains(out, p) {
			return nil, fmt.Errorf("inventory[%d]: %q is there twice", i, name)
		}
		out = append(out, p)
	}
	if cfg.Inventory != nil {
		return out, nil
	}
	for _, name := range cfg.Products {
		if p := productOf(name); p != nil {
			out = append(out, p)
		}
	}
	return out, nil
}
