package aliyun

import "testing"

func TestHost(t *testing.T) {
	f := func(product, region, want string) {
		t.Helper()
		if got := Host(product, region); got != want {
			t.Errorf("%s in %s: %s, want %s", product, region, got, want)
		}
	}
	f("Ecs", "cn-hangzhou", "ecs-cn-hangzhou.aliyuncs.com")
	f("Ecs", "cn-beijing", "ecs.cn-beijing.aliyuncs.com")
	f("Rds", "cn-beijing", "rds.aliyuncs.com")
	f("Rds", "cn-zhangjiakou", "rds.cn-zhangjiakou.aliyuncs.com")
	f("Slb", "us-west-1", "slb.aliyuncs.com")
	f("R-kvstore", "cn-hangzhou", "r-kvstore.aliyuncs.com")
	f("R-kvstore", "cn-hongkong", "r-kvstore.cn-hongkong.aliyuncs.com")
	f("Dds", "cn-wulanchabu", "mongodb.aliyuncs.com")
	f("Dds", "us-west-1", "mongodb.us-west-1.aliyuncs.com")
	f("Vpc", "cn-hangzhou", "vpc.aliyuncs.com")
	f("Vpc", "cn-beijing", "vpc.cn-beijing.aliyuncs.com")
	f("Drds", "cn-hangzhou", "drds.cn-hangzhou.aliyuncs.com")
	f("Alb", "cn-hangzhou", "alb.cn-hangzhou.aliyuncs.com")
	f("elasticsearch", "cn-hangzhou", "elasticsearch.cn-hangzhou.aliyuncs.com")
	f("Cdn", "cn-beijing", "cdn.aliyuncs.com")
	f("Cdn", "eu-central-1", "cdn.ap-southeast-1.aliyuncs.com")
	f("Cms", "cn-beijing", "metrics.cn-beijing.aliyuncs.com")
	f("BssOpenApi", "cn-hangzhou", "business.aliyuncs.com")
}
