// Package sdktest runs the official SDK against the simulator. It stands apart
// because the SDK is heavy to compile and link.
package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/cms"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"watchkeeper/internal/sim/aliyun"
)

const region = "cn-hangzhou"

var key = aliyun.Key{ID: "testid", Secret: "testsecret"}

// world is a simulator on loopback and the transport that leads every host name to it.
type world struct {
	*aliyun.Server
	transport http.RoundTripper
	timeout   time.Duration // of the clients
}

// transport hides the *http.Transport, whose fields the SDK would write to.
type transport struct{ inner *http.Transport }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t.inner.RoundTrip(r) }

func newWorld(t *testing.T, change func(*aliyun.Config)) *world {
	t.Helper()
	cfg := aliyun.Config{Seed: 3, Keys: []aliyun.Key{key}, ECSInstances: 250}
	if change != nil {
		change(&cfg)
	}
	server, err := aliyun.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	inner := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
		},
	}
	t.Cleanup(func() {
		inner.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &world{Server: server, transport: transport{inner}, timeout: time.Minute}
}

func config(w *world) *sdk.Config {
	c := sdk.NewConfig()
	c.Scheme, c.Transport, c.Timeout = "HTTP", w.transport, w.timeout
	return c
}

func credential(k aliyun.Key) auth.Credential {
	if k.SecurityToken != "" {
		return credentials.NewStsTokenCredential(k.ID, k.Secret, k.SecurityToken)
	}
	return credentials.NewAccessKeyCredential(k.ID, k.Secret)
}

func cmsClient(t *testing.T, w *world, k aliyun.Key) *cms.Client {
	t.Helper()
	c, err := cms.NewClientWithOptions(region, config(w), credential(k))
	if err != nil {
		t.Fatal(err)
	}
	c.Domain = "metrics." + region + ".aliyuncs.com"
	return c
}

func ecsClient(t *testing.T, w *world, k aliyun.Key) *ecs.Client {
	t.Helper()
	c, err := ecs.NewClientWithOptions(region, config(w), credential(k))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func metricRequest(from, to time.Time) *cms.DescribeMetricListRequest {
	r := cms.CreateDescribeMetricListRequest()
	r.Namespace, r.MetricName, r.Period = "acs_ecs_dashboard", "CPUUtilization", "60"
	r.StartTime, r.EndTime = strconv.FormatInt(from.UnixMilli(), 10), strconv.FormatInt(to.UnixMilli(), 10)
	return r
}

// list asks for one page of the last ten minutes.
func list(t *testing.T, w *world, k aliyun.Key) (*cms.DescribeMetricListResponse, error) {
	t.Helper()
	now := time.Now()
	return cmsClient(t, w, k).DescribeMetricList(metricRequest(now.Add(-10*time.Minute), now))
}

func serverError(t *testing.T, err error) *sdkerrors.ServerError {
	t.Helper()
	var e *sdkerrors.ServerError
	if !errors.As(err, &e) {
		t.Fatalf("error is %T: %v", err, err)
	}
	return e
}

func TestMetricListPages(t *testing.T) {
	w := newWorld(t, nil)
	to := time.Now().Truncate(time.Minute)
	from := to.Add(-30 * time.Minute)
	got := map[string]bool{}
	token, calls := "", 0
	for {
		r := metricRequest(from, to)
		r.Length, r.NextToken = "1440", token
		answer, err := cmsClient(t, w, key).DescribeMetricList(r)
		if err != nil || !answer.Success || answer.Code != "200" || answer.Period != "60" {
			t.Fatalf("%+v, %v", answer, err)
		}
		calls++
		var points []struct {
			Timestamp  int64  `json:"timestamp"`
			InstanceID string `json:"instanceId"`
			Average    *float64
		}
		if err := json.Unmarshal([]byte(answer.Datapoints), &points); err != nil {
			t.Fatal(err)
		}
		for _, p := range points {
			id := p.InstanceID + " " + strconv.FormatInt(p.Timestamp, 10)
			if got[id] || p.Average == nil {
				t.Fatalf("%s is there twice or has no Average", id)
			}
			got[id] = true
		}
		if token = answer.NextToken; token == "" {
			break
		}
	}
	for _, id := range w.Instances("acs_ecs_dashboard") {
		for _, p := range w.Published(id, "CPUUtilization", from, to) {
			name := id + " " + strconv.FormatInt(p.Time.UnixMilli(), 10)
			if p.PublishedAt.Before(to) && !got[name] {
				t.Fatalf("%s was published at %s and is not answered", name, p.PublishedAt)
			}
		}
	}
	if calls < 4 || w.Calls()["Cms.DescribeMetricList"] != calls {
		t.Errorf("%d calls, counted %v", calls, w.Calls())
	}
}

func TestWrongSecretIsNamedAsSuch(t *testing.T) {
	w := newWorld(t, nil)
	wrong := aliyun.Key{ID: "testid", Secret: "wrong"}
	_, err := list(t, w, wrong)
	e := serverError(t, err)
	if e.HttpStatus() != 400 || e.ErrorCode() != "SignatureDoesNotMatch" || !strings.Contains(e.Recommend(), "InvalidAccessKeySecret") {
		t.Errorf("Cms: %d %s %q", e.HttpStatus(), e.ErrorCode(), e.Recommend())
	}
	_, err = ecsClient(t, w, wrong).DescribeRegions(ecs.CreateDescribeRegionsRequest())
	e = serverError(t, err)
	if e.HttpStatus() != 403 || e.ErrorCode() != "SignatureDoesNotMatch" || !strings.Contains(e.Recommend(), "InvalidAccessKeySecret") {
		t.Errorf("Ecs: %d %s %q", e.HttpStatus(), e.ErrorCode(), e.Recommend())
	}
}

func TestKeysAndTokens(t *testing.T) {
	temporary := aliyun.Key{ID: "STS.x", Secret: "s", SecurityToken: "tok/+=", Expires: time.Now().Add(time.Hour)}
	w := newWorld(t, func(c *aliyun.Config) { c.Keys = append(c.Keys, temporary) })
	if _, err := list(t, w, temporary); err != nil {
		t.Fatal(err)
	}
	expired := temporary
	expired.Expires = time.Now().Add(-time.Second)
	w.SetKey(expired)
	_, err := list(t, w, temporary)
	if e := serverError(t, err); e.HttpStatus() != 403 || e.ErrorCode() != "InvalidSecurityToken.Expired" {
		t.Errorf("expired: %v", e)
	}
	_, err = list(t, w, aliyun.Key{ID: "nobody", Secret: "s"})
	if e := serverError(t, err); e.HttpStatus() != 404 || e.ErrorCode() != "InvalidAccessKeyId.NotFound" {
		t.Errorf("unknown: %v", e)
	}
}

func TestInstancesPageBothWays(t *testing.T) {
	w := newWorld(t, nil)
	byNumber, byToken := map[string]bool{}, map[string]bool{}
	for page := 1; page <= 3; page++ {
		r := ecs.CreateDescribeInstancesRequest()
		r.PageSize, r.PageNumber = requests.NewInteger(100), requests.NewInteger(page)
		answer, err := ecsClient(t, w, key).DescribeInstances(r)
		if err != nil || answer.TotalCount != 250 {
			t.Fatalf("page %d: %d instances, %v", page, answer.TotalCount, err)
		}
		for _, i := range answer.Instances.Instance {
			byNumber[i.InstanceId] = true
		}
	}
	token := ""
	for {
		r := ecs.CreateDescribeInstancesRequest()
		r.MaxResults, r.NextToken = requests.NewInteger(100), token
		answer, err := ecsClient(t, w, key).DescribeInstances(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range answer.Instances.Instance {
			byToken[i.InstanceId] = true
		}
		if token = answer.NextToken; token == "" {
			break
		}
	}
	if len(byNumber) != 250 || len(byToken) != 250 {
		t.Errorf("%d instances by number, %d by token, want 250", len(byNumber), len(byToken))
	}
	answer, err := ecsClient(t, w, key).DescribeInstances(ecs.CreateDescribeInstancesRequest())
	if err != nil || len(answer.Instances.Instance) != 10 {
		t.Fatalf("default page: %d instances, %v", len(answer.Instances.Instance), err)
	}
	i := answer.Instances.Instance[0]
	if _, err := time.Parse("2006-01-02T15:04Z", i.CreationTime); err != nil {
		t.Error(err)
	}
	if i.RegionId != region || len(i.Tags.Tag) < 2 || i.Tags.Tag[0].TagKey == "" || len(i.VpcAttributes.PrivateIpAddress.IpAddress) != 1 ||
		i.Cpu == 0 || i.Memory == 0 || i.VpcAttributes.VpcId == "" || i.ZoneId == "" || i.InstanceName == "" {
		t.Errorf("instance lacks fields: %+v", i)
	}
}

// Elasticsearch speaks the ROA protocol, and some actions of the others come as GET.
func TestOtherProtocols(t *testing.T) {
	w := newWorld(t, func(c *aliyun.Config) { c.Products = map[string]int{"acs_elasticsearch": 3} })
	client, err := sdk.NewClientWithOptions(region, config(w), credential(key))
	if err != nil {
		t.Fatal(err)
	}
	r := requests.NewCommonRequest()
	r.Product, r.Version, r.PathPattern, r.ApiName = "elasticsearch", "2017-06-13", "/openapi/instances", "ListInstance"
	r.Method, r.Scheme, r.Domain = "GET", "HTTP", "elasticsearch."+region+".aliyuncs.com"
	r.QueryParams["size"], r.QueryParams["description"] = "2", "-"
	answer, err := client.ProcessCommonRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	if text := answer.GetHttpContentString(); strings.Count(text, `"instanceId"`) != 2 || !strings.Contains(text, `"X-Total-Count":3`) {
		t.Errorf("instances: %s", text)
	}
	get := cms.CreateDescribeProjectMetaRequest()
	get.Method, get.PageSize = requests.GET, "7"
	projects, err := cmsClient(t, w, key).DescribeProjectMeta(get)
	if err != nil || len(projects.Resources.Resource) != 7 || projects.Total != "12" {
		t.Errorf("projects: %+v, %v", projects, err)
	}
	if calls := w.Calls(); calls["elasticsearch.ListInstance"] != 1 || calls["Cms.DescribeProjectMeta"] != 1 {
		t.Errorf("calls %v", calls)
	}
}

func TestMetaAndAgents(t *testing.T) {
	w := newWorld(t, nil)
	r := cms.CreateDescribeMetricMetaListRequest()
	r.Namespace, r.PageSize = "acs_ecs_dashboard", requests.NewInteger(100)
	meta, err := cmsClient(t, w, key).DescribeMetricMetaList(r)
	if err != nil || len(meta.Resources.Resource) < 25 || strconv.Itoa(len(meta.Resources.Resource)) != meta.TotalCount {
		t.Fatalf("meta list: %d of %s, %v", len(meta.Resources.Resource), meta.TotalCount, err)
	}
	hosts, err := cmsClient(t, w, key).DescribeMonitoringAgentHosts(cms.CreateDescribeMonitoringAgentHostsRequest())
	if err != nil || hosts.Total < 200 || len(hosts.Hosts.Host) != 30 || !hosts.Hosts.Host[0].IsAliyunHost || hosts.Hosts.Host[0].AliUid == 0 {
		t.Errorf("hosts: %+v, %v", hosts, err)
	}
}

func TestThrottling(t *testing.T) {
	w := newWorld(t, func(c *aliyun.Config) {
		stopped := time.Now()
		c.Now = func() time.Time { return stopped }
		c.RateLimits = map[string]float64{"Cms.DescribeMetricList": 3}
	})
	for range 3 {
		if _, err := list(t, w, key); err != nil {
			t.Fatal(err)
		}
	}
	_, err := list(t, w, key)
	if e := serverError(t, err); e.HttpStatus() != 400 || e.ErrorCode() != "Throttling.User" {
		t.Errorf("got %v", e)
	}
}

func TestFailuresAsTheSDKSeesThem(t *testing.T) {
	w := newWorld(t, nil)
	f := func(o aliyun.Outage, check func(*cms.DescribeMetricListResponse, error) bool) {
		t.Helper()
		w.ClearFaults()
		o.API = "Cms.DescribeMetricList"
		if err := w.Inject(o); err != nil {
			t.Fatal(err)
		}
		if answer, err := list(t, w, key); !check(answer, err) {
			t.Errorf("kind %d: %+v, %v", o.Kind, answer, err)
		}
	}
	status := func(status int, code string) func(*cms.DescribeMetricListResponse, error) bool {
		return func(_ *cms.DescribeMetricListResponse, err error) bool {
			e := serverError(t, err)
			return e.HttpStatus() == status && e.ErrorCode() == code
		}
	}
	f(aliyun.Outage{Kind: aliyun.InternalError}, status(500, "InternalError"))
	f(aliyun.Outage{Kind: aliyun.Unavailable}, status(503, ""))
	f(aliyun.Outage{Kind: aliyun.NotJSON}, status(502, ""))
	transport := func(_ *cms.DescribeMetricListResponse, err error) bool {
		var e *sdkerrors.ServerError
		return err != nil && !errors.As(err, &e)
	}
	f(aliyun.Outage{Kind: aliyun.Reset}, transport)
	w.timeout = 300 * time.Millisecond
	f(aliyun.Outage{Kind: aliyun.Slow, Delay: time.Hour}, func(a *cms.DescribeMetricListResponse, err error) bool {
		var e net.Error
		return transport(a, err) && errors.As(err, &e) && e.Timeout()
	})
	w.timeout = time.Minute
	f(aliyun.Outage{Kind: aliyun.Slow, Delay: time.Millisecond}, func(a *cms.DescribeMetricListResponse, err error) bool {
		return err == nil && a.Success
	})
	f(aliyun.Outage{Kind: aliyun.Truncated}, transport)
	f(aliyun.Outage{Kind: aliyun.EmptyList}, func(a *cms.DescribeMetricListResponse, err error) bool {
		return err == nil && a.Success && a.Datapoints == "[]"
	})
	f(aliyun.Outage{Kind: aliyun.Unsuccessful}, func(a *cms.DescribeMetricListResponse, err error) bool {
		return err == nil && !a.Success && a.Code == "500" && a.Datapoints == ""
	})
	f(aliyun.Outage{Kind: aliyun.Huge}, func(a *cms.DescribeMetricListResponse, err error) bool {
		return err == nil && len(a.GetHttpContentBytes()) > 2<<20
	})
	f(aliyun.Outage{Kind: aliyun.WrongTypes}, func(a *cms.DescribeMetricListResponse, err error) bool {
		return err == nil && a.Success && a.Code == "200" && strings.Contains(a.GetHttpContentString(), `"Code":200`)
	})
}
