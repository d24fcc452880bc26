package aliyun

import (
	"math"
	"strings"
)

const elasticsearchVersion = "2017-06-13"

// registerElasticsearch adds the one product here that speaks ROA: the action is a
// method and a path, the region stands in the host only.
func registerElasticsearch(s *Server) {
	s.actions[actionName{elasticsearchVersion, "GET /openapi/instances"}] = action{
		product: productElasticsearch, name: "ListInstance", permission: "elasticsearch:ListInstance",
		handle: s.listElasticsearch,
	}
}

type esInstance struct {
	InstanceID  string `json:"instanceId"`
	Description string `json:"description"`
	Status      string `json:"status"`
	PaymentType string `json:"paymentType"`
	EsVersion   string `json:"esVersion"`
	NodeAmount  int    `json:"nodeAmount"`
	CreatedAt   string `json:"createdAt"`
	UpdatedAt   string `json:"updatedAt"`
	EndTime     int64  `json:"endTime,omitempty"` // ms; its unit is not confirmed
	NodeSpec    struct {
		Spec     string `json:"spec"`
		Disk     int    `json:"disk"` // GB
		DiskType string `json:"diskType"`
	} `json:"nodeSpec"`
	NetworkConfig struct {
		Type   string `json:"type"`
		VPCID  string `json:"vpcId"`
		VSArea string `json:"vsArea"`
	} `json:"networkConfig"`
	Tags []esTag `json:"tags"`
}

type esTag struct {
	Key   string `json:"tagKey"`
	Value string `json:"tagValue"`
}

func (s *Server) listElasticsearch(c *call) (any, *apiError) {
	page, e := c.number("page", 1, 1, math.MaxInt32)
	if e != nil {
		return nil, e
	}
	size, e := c.number("size", 10, 1, 500)
	if e != nil {
		return nil, e
	}
	rows := []esInstance{}
	if !c.empty {
		for _, r := range s.liveIn(nsES, c.region) {
			item := s.esInstance(r)
			if wanted(c.params["instanceId"], item.InstanceID) && strings.Contains(item.Description, c.params["description"]) {
				rows = append(rows, item)
			}
		}
	}
	return map[string]any{
		"RequestId": c.requestID,
		"Headers":   map[string]int{"X-Total-Count": len(rows)},
		"Result":    pageOf(rows, page, size),
	}, nil
}

func (s *Server) esInstance(r *resource) esInstance {
	created := r.created.Format("2006-01-02T15:04:05.000Z")
	i := esInstance{
		InstanceID: r.id, Description: s.nameOf(r), Status: "active", PaymentType: "postpaid",
		EsVersion: "7.10_with_X-Pack", NodeAmount: 3, CreatedAt: created, UpdatedAt: created,
	}
	i.NodeSpec.Spec, i.NodeSpec.Disk, i.NodeSpec.DiskType = "elasticsearch.sn2ne.large", 100*pick(mix(r.key, 80), 1, 2, 5), "cloud_essd"
	i.NetworkConfig.Type, i.NetworkConfig.VPCID, i.NetworkConfig.VSArea = "vpc", r.vpc(), r.zone()
	i.Tags = []esTag{}
	for _, t := range r.tags() {
		i.Tags = append(i.Tags, esTag{t.TagKey, t.TagValue})
	}
	if end := s.expiryOf(r); !end.IsZero() {
		i.PaymentType, i.EndTime = "prepaid", end.UnixMilli()
	}
	return i
}
