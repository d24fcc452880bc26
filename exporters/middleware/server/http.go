package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// maxBodyBytes bounds an answer; a status page has a few kilobytes.
	maxBodyBytes    = 4 << 20
	maxHeaderBytes  = 64 << 10
	excerptBytes    = 80
	idleConnTimeout = 2 * time.Second
)

// HTTP says how a server that answers HTTP is reached.
type HTTP struct {
	// URL of the status page or API: http:// or https://. Required.
	URL string `yaml:"url"`
	// The user and password of basic authentication.
	Credentials `yaml:",inline"`
	// Trust of https.
	TLS `yaml:",inline"`
}

// Validate names the first value that cannot be used.
func (h HTTP) Validate() error {
	if err := ValidateURL(h.URL); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if err := h.Credentials.Validate(); err != nil {
		return err
	}
	return h.TLS.Validate()
}

// ResolvePaths makes the files' paths relative to a folder.
func (h *HTTP) ResolvePaths(resolve func(string) string) {
	h.Credentials.ResolvePaths(resolve)
	h.TLS.ResolvePaths(resolve)
}

// ValidateURL accepts http:// and https:// without credentials.
func ValidateURL(text string) error {
	if text == "" {
		return fmt.Errorf("must not be empty")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("cannot be parsed") // the error quotes the URL, credentials included
	case u.User != nil:
		return fmt.Errorf("holds credentials; give username and password_file or password_env instead")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%q: want http://host/… or https://host/…", u.Redacted())
	}
	return nil
}

// Client asks one server over HTTP. Redirects are not followed: what redirects
// a status page is a log-in page or another server.
type Client struct {
	base     *url.URL
	username string
	secret   Secret
	bearer   bool // the secret is a token, not a password
	client   *http.Client
}

// NewClient returns a client for a validated configuration. It fails when a
// certificate file cannot be read.
func NewClient(h HTTP) (*Client, error) {
	base, err := url.Parse(h.URL)
	if err != nil {
		return nil, fmt.Errorf("url: cannot be parsed")
	}
	tlsConfig, err := h.TLS.Config()
	if err != nil {
		return nil, err
	}
	return newClient(base, h.Username, h.Credentials.Secret(), &http.Transport{
		TLSClientConfig:   tlsConfig,
		DialContext:       new(net.Dialer).DialContext,
		ForceAttemptHTTP2: true,
	}), nil
}

// NewTokenClient returns a client that shows a token instead of a user and
// password. It fails when a certificate file cannot be read.
func NewTokenClient(address string, token Secret, t TLS) (*Client, error) {
	c, err := NewClient(HTTP{URL: address, TLS: t})
	if err != nil {
		return nil, err
	}
	c.secret, c.bearer = token, true
	return c, nil
}

// NewSocketClient returns a client for a server at a Unix socket.
func NewSocketClient(path string) *Client {
	return newClient(&url.URL{Scheme: "http", Host: "localhost", Path: "/"}, "", Secret{}, &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	})
}

func newClient(base *url.URL, username string, secret Secret, t *http.Transport) *Client {
	t.IdleConnTimeout = idleConnTimeout // serves the requests of one check, then closes by itself
	t.MaxResponseHeaderBytes = maxHeaderBytes
	t.DisableCompression = true // the limit counts the bytes that are parsed
	return &Client{base: base, username: username, secret: secret, client: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Secrets are what must not be shown.
func (c *Client) Secrets() []Secret { return []Secret{c.secret} }

// Get fetches the base URL with path appended and query added; the answer must
// be 200. Errors name the path, never the query.
func (c *Client) Get(ctx context.Context, path string, query url.Values) ([]byte, error) {
	status, body, err := c.Do(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	return body, c.CheckStatus(path, status, body)
}

// CheckStatus returns a failure for what is not 200.
func (c *Client) CheckStatus(path string, status int, body []byte) error {
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		return Failed(ReasonAuth, "%s: HTTP status %d", c.where(path), status)
	case http.StatusForbidden:
		return Failed(ReasonDenied, "%s: HTTP status %d", c.where(path), status)
	}
	return Failed(ReasonStatus, "%s: HTTP status %d: %s", c.where(path), status, Excerpt(string(body), excerptBytes))
}

// Do sends one request and returns the answer whatever its status. A body is sent as JSON.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body []byte) (int, []byte, error) {
	resp, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := ReadLimited(resp.Body, maxBodyBytes)
	if err != nil {
		return 0, nil, c.failure(ctx, path, err)
	}
	return resp.StatusCode, answer, nil
}

// Stream fetches the base URL and hands the answer, which must be 200, to read
// while it comes. Reading fails after limit bytes.
func (c *Client) Stream(ctx context.Context, limit int64, read func(io.Reader) error) error {
	resp, err := c.send(ctx, http.MethodGet, "", nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := ReadLimited(resp.Body, maxHeaderBytes) // an excerpt is shown
		return c.CheckStatus("", resp.StatusCode, body)
	}
	if err := read(&limited{resp.Body, limit, limit}); err != nil {
		return c.failure(ctx, "", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	u := *c.base
	if path != "" {
		u = *c.base.JoinPath(path)
	}
	if len(query) > 0 {
		u.RawQuery = strings.TrimPrefix(c.base.RawQuery+"&"+query.Encode(), "&")
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, Failed(ReasonConfig, "%s: request cannot be made", c.where(path))
	}
	if err := c.authorize(req); err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "watchkeeper")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, c.failure(ctx, path, err)
	}
	return resp, nil
}

func (c *Client) failure(ctx context.Context, path string, err error) error {
	f := failureOf(err, ctx.Err())
	return &Failure{f.Reason, fmt.Errorf("%s: %w", c.where(path), f.Err)}
}

func (c *Client) authorize(req *http.Request) error {
	plain, err := c.secret.Reveal()
	switch {
	case err != nil:
		return err
	case c.bearer && plain != "":
		req.Header.Set("Authorization", "Bearer "+plain)
	case !c.bearer && (c.username != "" || plain != ""):
		req.SetBasicAuth(c.username, plain)
	}
	return nil
}

// where names a request without its query.
func (c *Client) where(path string) string {
	if path == "" {
		return c.base.Host + c.base.Path
	}
	return c.base.Host + c.base.JoinPath(path).Path
}

// Close closes the connections that wait for another request.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// ReadLimited reads an answer that must not exceed limit bytes.
func ReadLimited(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if int64(len(b)) > limit {
		return nil, Failed(ReasonTooLarge, "the answer is larger than %d bytes", limit)
	}
	return b, err
}

// limited reads at most so many bytes; what is larger is a failure, not an end.
type limited struct {
	r           io.Reader
	left, limit int64
}

// Read implements io.Reader.
func (l *limited) Read(b []byte) (int, error) {
	if int64(len(b)) > l.left+1 {
		b = b[:l.left+1]
	}
	n, err := l.r.Read(b)
	if l.left -= int64(n); l.left < 0 {
		l.left = 0
		return 0, Failed(ReasonTooLarge, "the answer is larger than %d bytes", l.limit)
	}
	return n, err
}
