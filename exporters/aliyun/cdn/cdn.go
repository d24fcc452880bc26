// Package cdn counts the requests of CDN domains by the class of their status:
// those of visitors and those that went to the origin, so that a service contract
// can tell the CDN's own errors from the origin's. CloudMonitor has percentages
// only.
//
// The counts are of five minutes each; that of [T-5m, T) stands at T.
package cdn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/fleet"
	"watchkeeper/internal/sample"
)

// product of CloudMonitor's catalogue and of the label.
const product = "cdn"

// Metrics, by the label class: 1xx to 5xx, other.
const (
	Requests       = "aliyun_cdn_requests"        // of visitors
	OriginRequests = "aliyun_cdn_origin_requests" // of the CDN to the origin
)

// Classes of statuses, in the order of their first digit; the last holds every
// other code.
var classes = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx", "other"}

const (
	slot = 5 * time.Minute
	// overlap costs nothing: an answer has no pages.
	overlap = 2 * time.Hour
	// chunk keeps within the three days for which slots of five minutes are answered.
	chunk = 48 * time.Hour

	// PageSize is how many domains one call lists.
	PageSize = 500
	maxPages = 100

	layout = "2006-01-02T15:04:05Z" // UTC, asked and answered
)

// Jobs makes the account's collector of CDN counts. None unless the account's
// products have cdn. Domains have no region: they are asked for once.
func Jobs(a *aliyun.Account) []exporters.Job {
	cfg := a.Config()
	if cfg.CDNRequests.Off || !slices.Contains(cfg.Products, product) {
		return nil
	}
	c := fleet.Config{
		Source: a.Source("global", "cdn-requests"),
		Labels: fmt.Sprintf("{customer=%q,account=%q,region=%q,namespace=%q", a.Customer(), a.Name(), "global", "cdn-requests"),
		Step:   slot, Delay: time.Duration(cfg.CDNRequests.Delay), Overlap: overlap, Chunk: chunk,
		FillIn: time.Duration(cfg.FillIn), CatchUp: time.Duration(cfg.CatchUp),
	}
	r := newReader(a)
	r.malformed = a.Metrics().GetOrCreateCounter("watchkeeper_aliyun_points_dropped_total" + c.Labels + `,reason="malformed"}`)
	return []exporters.Job{a.Job(fleet.New(c, r, a.Resume, a.Metrics(), a.Log()), time.Duration(cfg.CDNRequests.Interval))}
}

// Domains counts an account's domains that serve, by listing them.
func Domains(ctx context.Context, a *aliyun.Account) (int, error) {
	listed, err := newReader(a).List(ctx)
	return len(listed), err
}

func newReader(a *aliyun.Account) *reader {
	return &reader{client: a.Client(), region: a.Config().Regions[0], identity: labels.FromStrings("customer", a.Customer(), "product", product)}
}

// reader reads the counts of an account's domains.
type reader struct {
	client    aliyun.Client
	region    string // whose host is called
	identity  labels.Labels
	malformed *metrics.Counter
}

var _ fleet.Reader = (*reader)(nil)

func (r *reader) call(ctx context.Context, action string, query map[string]string, into any) error {
	body, err := r.client.Do(ctx, aliyun.Request{
		Product: "Cdn", Version: "2018-05-10", Action: action, Region: r.region, Host: aliyun.Host("Cdn", r.region), Query: query,
	})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: action + ": " + err.Error()}
	}
	return nil
}

// List implements fleet.Reader: the domains that serve.
func (r *reader) List(ctx context.Context) ([]fleet.Resource, error) {
	var out []fleet.Resource
	seen := map[string]bool{}
	rows := 0
	for page := 1; ; page++ {
		var a struct {
			TotalCount fleet.Scalar
			Domains    struct {
				PageData []struct{ DomainName, DomainStatus string }
			}
		}
		query := map[string]string{"PageSize": strconv.Itoa(PageSize), "PageNumber": strconv.Itoa(page)}
		if err := r.call(ctx, "DescribeUserDomains", query, &a); err != nil {
			return nil, err
		}
		for _, d := range a.Domains.PageData {
			if d.DomainName != "" && !seen[d.DomainName] && d.DomainStatus != "offline" {
				out = append(out, fleet.Resource{ID: d.DomainName})
			}
			seen[d.DomainName] = true
		}
		rows += len(a.Domains.PageData)
		total, _ := a.TotalCount.Int() // none: the last page is the short one
		if len(a.Domains.PageData) == 0 || total > 0 && rows >= int(total) || total == 0 && len(a.Domains.PageData) < PageSize {
			return out, nil
		}
		if page >= maxPages {
			return nil, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: fmt.Sprintf("paging of domains does not end (page %d)", page)}
		}
	}
}

// Read implements fleet.Reader.
func (r *reader) Read(ctx context.Context, domain fleet.Resource, from, to time.Time) ([]sample.Sample, error) {
	out, err := r.counts(ctx, nil, Requests, "DescribeDomainHttpCodeData", domain.ID, from, to)
	if err != nil {
		return nil, err
	}
	return r.counts(ctx, out, OriginRequests, "DescribeDomainSrcHttpCodeData", domain.ID, from, to)
}

// codes is the answer of both actions.
type codes struct {
	DataInterval fleet.Scalar
	HTTPCodeData struct {
		UsageData []struct {
			TimeStamp fleet.Scalar
			Value     struct {
				CodeProportionData []struct {
					Code, Count fleet.Scalar
				}
			}
		}
	} `json:"HttpCodeData"`
}

func (r *reader) counts(ctx context.Context, out []sample.Sample, name, action, domain string, from, to time.Time) ([]sample.Sample, error) {
	var a codes
	err := r.call(ctx, action, map[string]string{
		"DomainName": domain, "Interval": strconv.Itoa(int(slot.Seconds())),
		"StartTime": from.UTC().Format(layout), "EndTime": to.UTC().Format(layout),
	}, &a)
	var own *aliyun.Error
	if errors.As(err, &own) && own.Code == "InvalidDomain.NotFound" {
		return nil, fmt.Errorf("%w: %w", fleet.ErrGone, err)
	}
	if err != nil {
		return nil, err
	}
	if n, ok := a.DataInterval.Int(); ok && n != int64(slot.Seconds()) {
		return nil, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: fmt.Sprintf("%s: slots of %d s instead of 300", action, n)}
	}
	for _, u := range a.HTTPCodeData.UsageData {
		began, err := time.Parse(layout, string(u.TimeStamp))
		if err != nil || !began.Equal(began.Truncate(slot)) {
			r.malformed.Inc()
			continue
		}
		var n [len(classes)]int64
		good := true
		for _, c := range u.Value.CodeProportionData {
			count, ok := c.Count.Int()
			if good = good && ok && count >= 0; good {
				n[classOf(string(c.Code))] += count
			}
		}
		if !good { // a part of the counts would be a wrong figure
			r.malformed.Inc()
			continue
		}
		b := labels.NewBuilder(r.identity).Set(model.MetricNameLabel, name).Set("instance", domain)
		for i, count := range n {
			out = append(out, sample.Sample{Labels: b.Set("class", classes[i]).Labels(), T: began.Add(slot).UnixMilli(), V: float64(count)})
		}
	}
	return out, nil
}

// classOf is the index of a status' class.
func classOf(code string) int {
	if len(code) == 3 && code[0] >= '1' && code[0] <= '5' && strings.Trim(code, "0123456789") == "" {
		return int(code[0] - '1')
	}
	return len(classes) - 1
}
