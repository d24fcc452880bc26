// Package sdk adapts Alibaba Cloud's official SDK to aliyun.Client. It is the
// only package that imports the SDK, whose services take long to compile, and it
// keeps the SDK's ways from the rest of the program:
//
//   - Clients and requests are changed by their use and cannot be shared: each
//     call makes its own, under a mutex, since the constructors write to
//     package-level tables. What is shared is the transport.
//   - The SDK knows no context, reads bodies without a limit, follows redirects
//     with signed requests and lets environment variables choose a proxy: the
//     transport ends all that.
//   - Its errors contain signed URLs: none leaves this package as it is.
//   - It panics on some answers: every call recovers.
package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	vendor "github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/cms"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"

	"watchkeeper/exporters/aliyun"
)

// construct serializes the SDK's constructors, in the whole process.
var construct sync.Mutex

// Client calls the API of one account. Use New.
type Client struct {
	cfg       aliyun.ClientConfig
	transport *transport
}

var _ aliyun.Client = (*Client)(nil)

// New makes an adapter; it calls nothing. Its signature fits aliyun.Deps.NewClient.
func New(cfg aliyun.ClientConfig) (aliyun.Client, error) {
	// The SDK looks once, when the program starts, and would print every
	// request with its signature.
	if slices.Contains(strings.Split(os.Getenv("DEBUG"), ","), "sdk") {
		return nil, errors.New("the environment's DEBUG=sdk makes the Alibaba Cloud SDK print signed requests: unset it")
	}
	return &Client{cfg: cfg, transport: newTransport(cfg)}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.transport.base.CloseIdleConnections() }

// MetricList implements aliyun.Client.
func (c *Client) MetricList(ctx context.Context, q aliyun.MetricQuery) (aliyun.MetricPage, error) {
	var page aliyun.MetricPage
	err := c.call(ctx, func(creds aliyun.Credentials) error {
		client, err := newCMS(q.Region, c.config(ctx), creds)
		if err != nil {
			return err
		}
		request := cms.CreateDescribeMetricListRequest()
		c.prepare(request.RpcRequest, q.Region, "metrics."+q.Region+".aliyuncs.com")
		request.Namespace = q.Namespace
		request.MetricName = q.Metric
		request.Period = strconv.Itoa(q.Period)
		request.StartTime = strconv.FormatInt(q.Start.UnixMilli(), 10)
		request.EndTime = strconv.FormatInt(q.End.UnixMilli(), 10)
		request.Length = strconv.Itoa(q.Length)
		request.NextToken = q.NextToken
		response, err := client.DescribeMetricList(request)
		if err != nil {
			return err
		}
		// The code of a good answer is 200; some answers leave it out.
		if !response.Success || (response.Code != "" && response.Code != "200") {
			return &aliyun.Error{
				Kind: aliyun.Classify(response.Code, response.GetHttpStatus(), response.Message), Code: response.Code,
				Status: response.GetHttpStatus(), Message: aliyun.Redact(response.Message, creds), RequestID: response.RequestId,
			}
		}
		page = aliyun.MetricPage{Datapoints: response.Datapoints, NextToken: response.NextToken}
		return nil
	})
	return page, err
}

// Instances implements aliyun.Client.
func (c *Client) Instances(ctx context.Context, q aliyun.InstanceQuery) (aliyun.InstancePage, error) {
	var page aliyun.InstancePage
	err := c.call(ctx, func(creds aliyun.Credentials) error {
		client, host, err := newECS(q.Region, c.config(ctx), creds)
		if err != nil {
			return err
		}
		request := ecs.CreateDescribeInstancesRequest()
		c.prepare(request.RpcRequest, q.Region, host)
		request.MaxResults = requests.NewInteger(q.Length)
		request.NextToken = q.NextToken
		response, err := client.DescribeInstances(request)
		if err != nil {
			return err
		}
		page.NextToken = response.NextToken
		for _, in := range response.Instances.Instance {
			page.Instances = append(page.Instances, instanceOf(in))
		}
		return nil
	})
	return page, err
}

// Do implements aliyun.Client.
func (c *Client) Do(ctx context.Context, r aliyun.Request) ([]byte, error) {
	var body []byte
	err := c.call(ctx, func(creds aliyun.Credentials) error {
		client, err := newCommon(r.Region, c.config(ctx), creds)
		if err != nil {
			return err
		}
		request := requests.NewCommonRequest()
		request.Product, request.Version, request.ApiName = r.Product, r.Version, r.Action
		request.RegionId, request.Domain, request.Scheme = r.Region, r.Host, c.cfg.Scheme
		request.PathPattern = r.Path
		if r.Path != "" {
			request.Method = requests.GET
		}
		for k, v := range r.Query {
			request.QueryParams[k] = v
		}
		response, err := client.ProcessCommonRequest(request)
		if err != nil {
			return err
		}
		body = response.GetHttpContentBytes()
		return refused(body, response.GetHttpStatus(), creds)
	})
	if err != nil {
		return nil, err
	}
	return body, nil
}

// refused finds the errors that come with status 200. The fields are of other
// types in some answers, which is why their texts are compared.
func refused(body []byte, status int, creds aliyun.Credentials) error {
	var answer struct {
		Success, Code, Message, RequestID json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return &aliyun.Error{Kind: aliyun.ErrAnswer, Status: status, Message: "the answer is not a JSON object"}
	}
	if text(answer.Success) != "false" {
		return nil
	}
	code, message := text(answer.Code), text(answer.Message)
	return &aliyun.Error{
		Kind: aliyun.Classify(code, status, message), Code: code, Status: status,
		Message: aliyun.Redact(message, creds), RequestID: aliyun.Redact(text(answer.RequestID), creds),
	}
}

// text is a JSON value as a word: true and "true" are the same.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return strings.TrimSpace(s)
	}
	return string(raw)
}

func (c *Client) prepare(r *requests.RpcRequest, region, host string) {
	r.RegionId = region
	r.Domain = host
	r.Scheme = c.cfg.Scheme
}

// config is one call's: the transport carries the call's context.
func (c *Client) config(ctx context.Context) *vendor.Config {
	cfg := vendor.NewConfig()
	cfg.Scheme = strings.ToUpper(c.cfg.Scheme)
	cfg.Transport = &callTransport{ctx: ctx, shared: c.transport}
	// The SDK's own limit, for what the context does not reach.
	cfg.Timeout = c.cfg.Timeout + time.Second
	return cfg
}

func newCMS(region string, cfg *vendor.Config, c aliyun.Credentials) (*cms.Client, error) {
	construct.Lock()
	defer construct.Unlock()
	return cms.NewClientWithOptions(region, cfg, credentialOf(c))
}

func newCommon(region string, cfg *vendor.Config, c aliyun.Credentials) (*vendor.Client, error) {
	construct.Lock()
	defer construct.Unlock()
	return vendor.NewClientWithOptions(region, cfg, credentialOf(c))
}

// newECS also looks up the region's host, in a table that the constructor fills.
func newECS(region string, cfg *vendor.Config, c aliyun.Credentials) (*ecs.Client, string, error) {
	construct.Lock()
	defer construct.Unlock()
	host := ecs.GetEndpointMap()[region]
	if host == "" {
		host = "ecs." + region + ".aliyuncs.com"
	}
	client, err := ecs.NewClientWithOptions(region, cfg, credentialOf(c))
	return client, host, err
}

func credentialOf(c aliyun.Credentials) auth.Credential {
	if !c.SecurityToken.IsZero() {
		return credentials.NewStsTokenCredential(c.AccessKeyID, c.AccessKeySecret.Reveal(), c.SecurityToken.Reveal())
	}
	return credentials.NewAccessKeyCredential(c.AccessKeyID, c.AccessKeySecret.Reveal())
}

// call runs one SDK call with the current credentials, and turns whatever goes
// wrong into an error that can be shown.
func (c *Client) call(ctx context.Context, do func(aliyun.Credentials) error) (err error) {
	creds, err := c.cfg.Credentials()
	var own *aliyun.Error
	switch {
	case errors.As(err, &own): // a temporary key could not be fetched
		return fmt.Errorf("credentials: %w", err)
	case err != nil:
		return &aliyun.Error{Kind: aliyun.ErrAuth, Message: err.Error()}
	}
	defer func() {
		if p := recover(); p != nil {
			err = &aliyun.Error{Kind: aliyun.ErrAnswer, Message: aliyun.Redact(fmt.Sprintf("the SDK panicked: %v", p), creds)}
		}
	}()
	if err := do(creds); err != nil {
		return translate(ctx, err, creds)
	}
	return nil
}
