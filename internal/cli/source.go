package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// tokenEnv names the environment variable with the API token.
const tokenEnv = "WATCHKEEPER_TOKEN"

// defaultURL is where a running server listens.
const defaultURL = "http://127.0.0.1:9370"

// maxAnswer bounds what is read of a server's answer, in bytes.
const maxAnswer = 256 << 20

// dataSource is where a command takes its data from: a running server, or the
// folder of a stopped one.
type dataSource struct {
	url  string
	data string
}

func (s *dataSource) urlFlag(c *cobra.Command) {
	c.Flags().StringVar(&s.url, "url", defaultURL, "running server; the token comes from $"+tokenEnv)
}

func (s *dataSource) flags(c *cobra.Command) {
	s.urlFlag(c)
	c.Flags().StringVar(&s.data, "data", "", "data folder of a stopped server, opened read-only, instead of --url")
	c.MarkFlagsMutuallyExclusive("url", "data")
}

// client talks to a running server.
type client struct {
	base  string
	token string
	http  *http.Client
}

func (s *dataSource) client() (*client, error) {
	u, err := url.Parse(s.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("--url %q is not an http or https address", s.url)
	}
	return &client{base: strings.TrimRight(s.url, "/"), token: os.Getenv(tokenEnv), http: &http.Client{Timeout: 2 * time.Minute}}, nil
}

func (c *client) get(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodGet, path, "", nil, out)
}

func (c *client) post(ctx context.Context, path string, body, out any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, "application/json", b, out)
}

// do calls the server and decodes its JSON answer into out; a *[]byte takes it as it is.
func (c *client) do(ctx context.Context, method, path, contentType string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // the address stands before it
		}
		return fmt.Errorf("no answer from %s: %w; is 'watchkeeper serve' running there? For a stopped server use --data DIR", c.base, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", c.base, err)
	}
	if resp.StatusCode/100 != 2 {
		return refusal(method+" "+c.base+path, resp, b)
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = b
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("answer of %s%s: %w", c.base, path, err)
	}
	return nil
}

// maxRefusal bounds what is shown of an answer that is not one of ours, in bytes.
const maxRefusal = 500

// refusal is the error of an answer without success. What our server says of a wrong
// question is enough by itself; anything else names the request and the status.
func refusal(request string, resp *http.Response, body []byte) error {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error == "" {
		if e.Error = strings.TrimSpace(string(body)); len(e.Error) > maxRefusal {
			e.Error = strings.ToValidUTF8(e.Error[:maxRefusal], "") + "…"
		}
	} else if resp.StatusCode/100 == 4 {
		return errors.New(e.Error)
	}
	return fmt.Errorf("%s: %s: %s", request, resp.Status, e.Error)
}

// format is the --format flag.
type format string

func (f *format) flag(c *cobra.Command) {
	*f = "table"
	c.Flags().Var(f, "format", "table or json")
}

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }

// Set accepts table and json.
func (f *format) Set(s string) error {
	if s != "table" && s != "json" {
		return fmt.Errorf("must be table or json")
	}
	*f = format(s)
	return nil
}

// printJSON writes v indented.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
