// Package jolokia asks a JVM for the attributes of its MBeans by JMX over HTTP:
// Jolokia's bulk read.
package jolokia

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

// Request is one element of a bulk read.
type Request struct {
	Type      string `json:"type"`                // "read"
	MBean     string `json:"mbean"`               // an object name; a wildcard in it asks for all that match
	Attribute any    `json:"attribute,omitempty"` // a name or several; none asks for all
	Path      string `json:"path,omitempty"`      // the key inside a composite attribute
}

// Read makes the request for attributes of a bean; attribute is a name, several or nil.
func Read(mbean string, attribute any, path string) Request {
	return Request{Type: "read", MBean: mbean, Attribute: attribute, Path: path}
}

// Answer is the JVM's answer to one request.
type Answer struct {
	Status int             `json:"status"` // as HTTP's: 404 where there is no such bean or attribute
	Error  string          `json:"error"`
	Value  json.RawMessage `json:"value"`
}

// Client reads one fixed list of requests.
type Client struct {
	http *server.Client
	body []byte
	n    int
}

// NewClient returns a client that asks for the given requests at each Read.
func NewClient(h *server.Client, requests []Request) (*Client, error) {
	body, err := json.Marshal(requests)
	if err != nil {
		return nil, err
	}
	return &Client{http: h, body: body, n: len(requests)}, nil
}

// Read asks once and returns one answer for each request, in their order. Its
// connection is closed afterwards.
func (c *Client) Read(ctx context.Context) ([]Answer, error) {
	defer c.http.Close()
	status, body, err := c.http.Do(ctx, http.MethodPost, "", nil, c.body)
	if err != nil {
		return nil, err
	}
	if err := c.http.CheckStatus("", status, body); err != nil {
		return nil, err
	}
	var answers []Answer
	if json.Unmarshal(body, &answers) != nil || len(answers) != c.n {
		return nil, server.Failed(server.ReasonFormat, "not Jolokia's answer: %q", server.Excerpt(string(body), 60))
	}
	return answers, nil
}

// Failure returns why a bean was not read, nil if it was.
func (a Answer) Failure(mbean string) error {
	switch a.Status {
	case http.StatusOK:
		return nil
	case http.StatusForbidden:
		return server.Failed(server.ReasonDenied, "%s: %s", mbean, server.Excerpt(a.Error, 100))
	}
	return server.Failed(server.ReasonStatus, "%s: status %d: %s", mbean, a.Status, server.Excerpt(a.Error, 100))
}

// Number returns the answer's value as a number; true is 1.
func (a Answer) Number() (float64, error) { return Number(a.Value) }

// Number returns a JSON value as a number; true is 1.
func Number(raw json.RawMessage) (float64, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case float64:
		return v, nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	}
	return 0, fmt.Errorf("%T is not a number", v)
}

// BeanKey returns the value of a key property of an object name.
func BeanKey(name, key string) string {
	_, rest, _ := strings.Cut(name, ":")
	for pair := range strings.SplitSeq(rest, ",") {
		if v, ok := strings.CutPrefix(pair, key+"="); ok {
			return v
		}
	}
	return ""
}
