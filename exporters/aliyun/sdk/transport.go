package sdk

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"watchkeeper/exporters/aliyun"
)

// maxBody bounds an answer: it is CloudMonitor's own limit, in bytes.
const maxBody = 2 << 20

// transport is the one pool of connections of an account. It is deliberately
// not an *http.Transport, which the SDK would reconfigure in the middle of
// other calls.
type transport struct {
	base *http.Transport
}

func newTransport(cfg aliyun.ClientConfig) *transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	dial := dialer.DialContext
	switch {
	case cfg.Dial != nil:
		dial = cfg.Dial
	case cfg.Endpoint != "":
		dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, cfg.Endpoint)
		}
	}
	return &transport{base: &http.Transport{
		Proxy:               nil, // never from the environment
		DialContext:         dial,
		TLSHandshakeTimeout: 5 * time.Second,
		// The service closes idle connections after about 10 s; closing first
		// avoids requests into a connection that is just going away.
		IdleConnTimeout:     5 * time.Second,
		MaxIdleConns:        64,
		MaxIdleConnsPerHost: 32,
		DisableCompression:  true,
	}}
}

// callTransport is the transport of one call. It attaches the call's context,
// which the SDK cannot, and hands over a body that is read and bounded.
type callTransport struct {
	ctx    context.Context
	shared *transport
}

// RoundTrip implements http.RoundTripper.
func (t *callTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	// The request's own context carries the SDK's time-out; both must hold.
	ctx, cancel := context.WithCancel(req.Context())
	defer cancel()
	stop := context.AfterFunc(t.ctx, cancel)
	defer stop()
	resp, err := t.shared.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return nil, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: resp.StatusCode, Message: "the API answered with a redirect (HTTP status " + statusText(resp.StatusCode) + ")"}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxBody {
		return nil, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: resp.StatusCode, Message: fmt.Sprintf("the answer is larger than %d bytes", maxBody)}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return resp, nil
}

func statusText(status int) string {
	return strconv.Itoa(status) + " " + http.StatusText(status)
}
