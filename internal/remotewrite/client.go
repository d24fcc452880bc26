package remotewrite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	commoncfg "github.com/prometheus/common/config"

	"watchkeeper/internal/sample"
)

// maxMessage bounds what is read of an answer.
const maxMessage = 2 << 10

// maxRetryAfter bounds how long a receiver may ask to wait.
const maxRetryAfter = 5 * time.Minute

// refusal is an answer for good: the receiver has what it takes of the request.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

// later is an answer after which the same request is sent again, not before wait.
type later struct {
	reason string // of the failures counter
	wait   time.Duration
	err    error
}

func (l *later) Error() string { return l.err.Error() }
func (l *later) Unwrap() error { return l.err }

// client posts requests to one receiver.
type client struct {
	url     string
	timeout time.Duration
	http    *http.Client
}

// newClient reads the certificate files that the configuration names.
func newClient(cfg *Config) (*client, error) {
	h := cfg.http()
	c, err := commoncfg.NewClientFromConfig(h, "remote_write_"+cfg.Name)
	if err != nil {
		return nil, err
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a token follows nobody
	return &client{url: cfg.URL, timeout: time.Duration(cfg.Timeout), http: c}, nil
}

// post sends one request. The error is a *refusal or a *later.
func (c *client) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return &later{reason: "config", err: bare(err)}
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", string(remoteapi.SnappyBlockCompression))
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	req.Header.Set("User-Agent", "watchkeeper")
	req.Header.Set(sample.SectionsHeader, sample.SectionsOrdered)
	resp, err := c.http.Do(req)
	if err != nil {
		return &later{reason: "connect", err: bare(err)}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection lives on
	return verdict(resp, hideQuery(req.URL, strings.TrimSpace(string(text))), len(body))
}

// bare takes from an error the URL, whose query may hold a key, and the local
// port, which differs at each attempt.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		op.Source = nil
	}
	return err
}

// hideQuery takes the values of the URL's query from an answer, which may repeat
// the URL: redirects do. What is shorter is no key, and may be anywhere in the text.
func hideQuery(u *url.URL, text string) string {
	for param := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, ok := strings.Cut(param, "=")
		if !ok {
			value = name
		}
		if len(value) >= 6 {
			text = strings.ReplaceAll(text, value, "***")
		}
	}
	return text
}

// fromReceiver tells the answer of a receiver of remote write from that of a
// proxy (HTML) and of a TLS listener that is spoken to without TLS (HTTP/1.0).
func fromReceiver(resp *http.Response) bool {
	return resp.ProtoAtLeast(1, 1) && !strings.HasPrefix(strings.ToLower(resp.Header.Get("Content-Type")), "text/html")
}

// verdict says what an answer means. Only what the receiver says of samples is
// for good: anything else somebody can mend, and nothing is lost meanwhile.
func verdict(resp *http.Response, text string, size int) error {
	status := resp.StatusCode
	hint, reason := "", "status"
	switch {
	case status/100 == 2:
		return nil
	case status == http.StatusBadRequest, status == http.StatusConflict, status == http.StatusUnprocessableEntity:
		if fromReceiver(resp) {
			return &refusal{fmt.Sprintf("HTTP status %d: %s", status, text)}
		}
		hint = "; this is no receiver's answer but a proxy's or a TLS listener's: is it http or https?"
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		reason, hint = "auth", "; compare token_file here with the receiver's (watchkeeper: ingest.senders)"
	case status/100 == 3, status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
		hint = "; is the url that of remote write? watchkeeper's ends in /api/v1/write"
	case status == http.StatusRequestEntityTooLarge:
		hint = fmt.Sprintf("; the body has %d bytes: raise the limit of the receiver or of the proxy before it", size)
	case status == http.StatusUnsupportedMediaType:
		hint = "; the receiver must take remote write 1.0 with snappy"
	}
	return &later{reason: reason, wait: retryAfter(resp.Header.Get("Retry-After")), err: fmt.Errorf("HTTP status %d: %s%s", status, text, hint)}
}

func retryAfter(v string) time.Duration {
	s, err := strconv.Atoi(v)
	if err != nil || s < 0 {
		return 0
	}
	return min(time.Duration(min(s, 3600))*time.Second, maxRetryAfter)
}
