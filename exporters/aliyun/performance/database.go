package performance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/fleet"
)

// Paging of the list of instances.
const (
	// PageSize is how many instances one call lists.
	PageSize = 100
	maxPages = 200
)

// database calls RDS in one region.
type database struct {
	client aliyun.Client
	region string
}

func (d database) call(ctx context.Context, action string, query map[string]string) ([]byte, error) {
	return d.client.Do(ctx, aliyun.Request{
		Product: "Rds", Version: "2014-08-15", Action: action, Region: d.region, Host: aliyun.Host("Rds", d.region), Query: query,
	})
}

// do calls an action on an instance. The error of an instance that is not there
// is also fleet.ErrGone.
func (d database) do(ctx context.Context, action, id string, query map[string]string) ([]byte, error) {
	query = maps.Clone(query)
	query["DBInstanceId"] = id
	body, err := d.call(ctx, action, query)
	var own *aliyun.Error
	if errors.As(err, &own) && strings.HasPrefix(own.Code, "InvalidDBInstance") && strings.HasSuffix(own.Code, ".NotFound") {
		return nil, fmt.Errorf("%w: %w", fleet.ErrGone, err)
	}
	return body, err
}

// list returns the region's instances of the engines that are wanted; an
// instance that moves between pages is there once.
func (d database) list(ctx context.Context, wanted func(engine string) bool) ([]fleet.Resource, error) {
	var out []fleet.Resource
	seen := map[string]bool{}
	rows := 0
	for page := 1; ; page++ {
		body, err := d.call(ctx, "DescribeDBInstances", map[string]string{"PageSize": strconv.Itoa(PageSize), "PageNumber": strconv.Itoa(page)})
		if err != nil {
			return nil, err
		}
		var a struct {
			TotalRecordCount fleet.Scalar
			Items            struct {
				DBInstance []struct {
					ID     string `json:"DBInstanceId"`
					Engine string
				}
			}
		}
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: "DescribeDBInstances: " + err.Error()}
		}
		for _, i := range a.Items.DBInstance {
			if i.ID != "" && !seen[i.ID] && wanted(i.Engine) {
				out = append(out, fleet.Resource{ID: i.ID, Kind: i.Engine})
			}
			seen[i.ID] = true
		}
		rows += len(a.Items.DBInstance)
		total, _ := a.TotalRecordCount.Int() // none: the last page is the short one
		if len(a.Items.DBInstance) == 0 || total > 0 && rows >= int(total) || total == 0 && len(a.Items.DBInstance) < PageSize {
			return out, nil
		}
		if page >= maxPages {
			return nil, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: fmt.Sprintf("paging does not end (page %d)", page)}
		}
	}
}
