package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"time"

	"watchkeeper/exporters"
)

// userAgent tells the target's operators who looks.
const userAgent = "watchkeeper-probe"

// httpProber fetches a URL. Every probe makes its own connections, since a kept
// one would hide a name that does not resolve or a certificate that expired;
// and it uses no proxy of the environment, since that would be probed instead.
type httpProber struct {
	url          string
	method       string
	expectStatus []int
	expectBody   *regexp.Regexp // nil: any
	rejectBody   *regexp.Regexp // nil: none
	maxBodyBytes int64
	redirects    int
	tls          *tls.Config
}

func newHTTPProber(t Target) (*httpProber, error) {
	u, err := t.URL.parse()
	if err != nil {
		return nil, err
	}
	p := &httpProber{
		url:          u.String(),
		method:       "GET",
		expectStatus: t.HTTP.ExpectStatus,
		maxBodyBytes: defaultMaxBodyBytes,
		redirects:    defaultMaxRedirects,
		tls: &tls.Config{
			ServerName:         t.HTTP.ServerName,
			InsecureSkipVerify: t.HTTP.InsecureSkipVerify,
		},
	}
	if t.HTTP.Method != "" {
		p.method = t.HTTP.Method
	}
	if t.HTTP.MaxBodyBytes > 0 {
		p.maxBodyBytes = t.HTTP.MaxBodyBytes
	}
	if t.HTTP.MaxRedirects != nil {
		p.redirects = *t.HTTP.MaxRedirects
	}
	if p.expectBody, err = compileIfSet(t.HTTP.ExpectBody); err != nil {
		return nil, err
	}
	if p.rejectBody, err = compileIfSet(t.HTTP.RejectBody); err != nil {
		return nil, err
	}
	if t.HTTP.CAFile != "" {
		pem, err := os.ReadFile(t.HTTP.CAFile)
		if err != nil {
			return nil, err
		}
		p.tls.RootCAs = x509.NewCertPool()
		if !p.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it", t.HTTP.CAFile)
		}
	}
	return p, nil
}

func compileIfSet(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	return regexp.Compile(pattern)
}

func (p *httpProber) probe(ctx context.Context) result {
	trace := newTrace()
	transport := &http.Transport{
		DialContext:       new(net.Dialer).DialContext,
		TLSClientConfig:   p.tls.Clone(), // the transport changes it
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
		// Some servers answer with headers without end.
		MaxResponseHeaderBytes: 1 << 20,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: p.checkRedirect}
	req, err := http.NewRequestWithContext(trace.with(ctx), p.method, p.url, nil)
	if err != nil {
		return result{local: errors.New("request could not be made")}
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := client.Do(req)
	if err != nil {
		return p.failed(ctx, trace, withoutURL(err))
	}
	defer resp.Body.Close()
	trace.handshaken(resp.TLS)
	body, err := io.ReadAll(io.LimitReader(resp.Body, p.maxBodyBytes))
	trace.end()
	r := p.judge(ctx, resp.StatusCode, body, err)
	r.samples = func(b *exporters.Builder) {
		b.Add(metricHTTPStatusCode, float64(resp.StatusCode))
		b.Add(metricHTTPBodyBytes, float64(len(body)))
		trace.samples(b)
	}
	return r
}

// checkRedirect follows up to p.redirects redirects; the next one becomes the answer.
func (p *httpProber) checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > p.redirects {
		return http.ErrUseLastResponse
	}
	return nil
}

// failed is the result of a request that got no answer.
func (p *httpProber) failed(ctx context.Context, trace *trace, err error) result {
	trace.end()
	if isLocal(err) {
		return result{local: err}
	}
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		trace.certificates(bad.UnverifiedCertificates)
	}
	r := result{code: trace.code(ctx, err), err: err}
	r.samples = trace.samples
	return r
}

// judge compares an answer with what is expected of it.
func (p *httpProber) judge(ctx context.Context, status int, body []byte, readErr error) result {
	switch {
	case !p.goodStatus(status):
		return result{code: StatusFailed, err: fmt.Errorf("status %d", status)}
	case readErr != nil && isTimeout(ctx, readErr):
		return result{code: Timeout, err: errors.New("body not complete in time")}
	case readErr != nil:
		return result{code: ProtocolError, err: fmt.Errorf("body: %w", readErr)}
	case p.expectBody != nil && !p.expectBody.Match(body):
		return result{code: BodyFailed, err: errors.New("body does not match expect_body")}
	case p.rejectBody != nil && p.rejectBody.Match(body):
		return result{code: BodyFailed, err: errors.New("body matches reject_body")}
	default:
		return result{code: OK}
	}
}

func (p *httpProber) goodStatus(status int) bool {
	if len(p.expectStatus) > 0 {
		return slices.Contains(p.expectStatus, status)
	}
	// A redirect is good where none was to be followed; otherwise it is one too many.
	return status >= 200 && status < 300 || p.redirects == 0 && status < 400 && status >= 300
}

// withoutURL strips the URL, which may hold credentials, from a client's error.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// earliest returns the first expiry among certificates, zero without any.
func earliest(certificates []*x509.Certificate) (first time.Time) {
	for _, c := range certificates {
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}
