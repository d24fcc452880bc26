package probe

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// userAgent tells the target's operators who looks.
const userAgent = "watchkeeper-probe"

const contentTypeForm = "application/x-www-form-urlencoded"

// request is one HTTP request and what is expected of its answer.
type request struct {
	url          URL
	method       string
	headers      map[string]string
	body         string
	json         bool // the body is JSON
	form         map[string]string
	expectStatus []int
	expectBody   *regexp.Regexp // nil: any
	rejectBody   *regexp.Regexp // nil: none
	expectJSON   []jsonCheck
	checksum     *checksum // nil: none
	maxBodyBytes int64
	redirects    int
	hosts        []string // to which redirects may lead; nil: any
	tls          *tls.Config
	minValidity  time.Duration
}

// answer is what a request got.
type answer struct {
	url    *url.URL // after redirects
	status int
	header http.Header
	body   []byte
}

func newRequest(u URL, h HTTP) (r *request, err error) {
	r = &request{
		url: u, method: h.Method, headers: h.Headers, body: h.Body, form: h.Form,
		expectStatus: h.ExpectStatus,
		maxBodyBytes: defaultMaxBodyBytes,
		redirects:    defaultMaxRedirects,
		hosts:        h.RedirectHosts,
		minValidity:  time.Duration(h.MinValidity),
	}
	if r.method == "" {
		r.method = "GET"
		if h.Body != "" || len(h.Form) > 0 {
			r.method = "POST"
		}
	}
	for name, value := range h.Headers {
		r.json = r.json || strings.EqualFold(name, "Content-Type") && strings.Contains(value, "json")
	}
	if h.MaxBodyBytes > 0 {
		r.maxBodyBytes = h.MaxBodyBytes
	}
	if h.MaxRedirects != nil {
		r.redirects = *h.MaxRedirects
	}
	if r.expectBody, err = compileIfSet(h.ExpectBody); err != nil {
		return nil, err
	}
	if r.rejectBody, err = compileIfSet(h.RejectBody); err != nil {
		return nil, err
	}
	if r.expectJSON, err = newJSONChecks(h.ExpectJSON); err != nil {
		return nil, err
	}
	if r.checksum, err = newChecksum(h.Checksum); err != nil {
		return nil, err
	}
	r.tls, err = h.TLS.build()
	return r, err
}

func compileIfSet(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	return regexp.Compile(pattern)
}

// do sends the request over a connection of its own, since a kept one would
// hide a name that does not resolve or a certificate that expired, and through
// no proxy of the environment, since that would be probed instead. The answer
// is nil where there was none.
func (r *request) do(ctx context.Context, trace *trace, jar http.CookieJar, v values) (*answer, result) {
	req, err := r.build(trace.with(ctx), v)
	if err != nil {
		return nil, result{local: fmt.Errorf("request could not be made: %w", v.redacted(withoutURL(err)))}
	}
	transport := &http.Transport{
		DialContext:       new(net.Dialer).DialContext,
		TLSClientConfig:   r.tls.Clone(), // the transport changes it
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
		// Some servers answer with headers without end.
		MaxResponseHeaderBytes: 1 << 20,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: r.checkRedirect, Jar: jar}
	resp, err := client.Do(req)
	if err != nil {
		return nil, r.failed(ctx, trace, v, withoutURL(err))
	}
	defer resp.Body.Close()
	trace.handshaken(resp.TLS)
	body, err := io.ReadAll(io.LimitReader(resp.Body, r.maxBodyBytes))
	a := &answer{url: resp.Request.URL, status: resp.StatusCode, header: resp.Header, body: body}
	res := r.judge(ctx, a, trace, err)
	res.err = v.redacted(res.err)
	return a, res
}

// build makes the request with values in the places of ${name}.
func (r *request) build(ctx context.Context, v values) (*http.Request, error) {
	u, err := r.url.expand(v)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	switch {
	case len(r.form) > 0:
		form := url.Values{}
		for name, value := range r.form {
			form.Set(name, v.expand(value, nil))
		}
		body = strings.NewReader(form.Encode())
	case r.json:
		body = strings.NewReader(v.expand(r.body, escapeJSON))
	case r.body != "":
		body = strings.NewReader(v.expand(r.body, nil))
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	if len(r.form) > 0 {
		req.Header.Set("Content-Type", contentTypeForm)
	}
	for name, value := range r.headers {
		if strings.EqualFold(name, "Host") {
			req.Host = v.expand(value, nil)
			continue
		}
		req.Header.Set(name, v.expand(value, nil))
	}
	return req, nil
}

// errRedirectHost ends a request that is led where it may not go.
var errRedirectHost = errors.New("redirect to another host than redirect_hosts allows")

// checkRedirect follows up to r.redirects redirects; the next one becomes the
// answer. What was declared to be sent goes to the declared host only: headers
// do not follow elsewhere, and a request whose body would is not repeated.
func (r *request) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > r.redirects {
		return http.ErrUseLastResponse
	}
	first := via[0].URL
	if r.hosts != nil && req.URL.Hostname() != first.Hostname() && !slices.Contains(r.hosts, req.URL.Hostname()) {
		return errRedirectHost
	}
	if req.URL.Hostname() == first.Hostname() && (req.URL.Scheme == first.Scheme || req.URL.Scheme == "https") {
		return nil
	}
	if req.GetBody != nil && req.ContentLength != 0 {
		return http.ErrUseLastResponse
	}
	for name := range r.headers {
		req.Header.Del(name)
	}
	return nil
}

// failed is the result of a request that got no answer.
func (r *request) failed(ctx context.Context, trace *trace, v values, err error) result {
	if isLocal(err) {
		return result{local: err}
	}
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		trace.certificates(bad.UnverifiedCertificates)
	}
	code := trace.code(ctx, err)
	if errors.Is(err, errRedirectHost) {
		code = RedirectFailed
	}
	return result{code: code, err: v.redacted(err)}
}

// judge compares an answer with what is expected of it.
func (r *request) judge(ctx context.Context, a *answer, trace *trace, readErr error) result {
	switch {
	case !r.goodStatus(a.status):
		return result{code: StatusFailed, err: fmt.Errorf("status %d", a.status)}
	case readErr != nil && isTimeout(ctx, readErr):
		return result{code: Timeout, err: errors.New("body not complete in time")}
	case readErr != nil:
		return result{code: ProtocolError, err: fmt.Errorf("body: %w", readErr)}
	case r.expectBody != nil && !r.expectBody.Match(a.body):
		return result{code: BodyFailed, err: errors.New("body does not match expect_body")}
	case r.rejectBody != nil && r.rejectBody.Match(a.body):
		return result{code: BodyFailed, err: errors.New("body matches reject_body")}
	}
	if err := checkJSON(a.body, r.expectJSON); err != nil {
		return result{code: JSONFailed, err: err}
	}
	if r.checksum != nil {
		if sum := r.checksum.of(a.body); !r.checksum.good(sum) {
			return result{code: ContentChanged, err: fmt.Errorf("checksum is %s", sum)}
		}
	}
	return trace.judgeValidity(r.minValidity)
}

func (r *request) goodStatus(status int) bool {
	if len(r.expectStatus) > 0 {
		return slices.Contains(r.expectStatus, status)
	}
	// A redirect is good where none was to be followed; otherwise it is one too many.
	return status >= 200 && status < 300 || r.redirects == 0 && status < 400 && status >= 300
}

// withoutURL strips the URL, which may hold credentials, from a client's error.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func escapeQuery(s string) string { return url.QueryEscape(s) }

func escapePath(s string) string { return url.PathEscape(s) }

// escapeJSON is the text as it stands between the quotes of a JSON string.
func escapeJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	return string(b[1 : len(b)-1])
}
