package aliyun

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// noon is the account's time in most tests.
var noon = time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)

// testKey may do everything.
var testKey = Key{ID: "testid", Secret: "testsecret"}

// newTestServer makes an account of one region at noon; change adapts it. Its flow
// control is off, because its clock stands.
func newTestServer(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	cfg := Config{
		Seed: 1, Keys: []Key{testKey}, ECSInstances: 30, Now: func() time.Time { return noon },
		RateLimits: DefaultRateLimits(),
	}
	for api := range cfg.RateLimits {
		cfg.RateLimits[api] = -1
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var nonce atomic.Int64

// signed is an RPC request as the SDK sends it. A parameter set to "-" is left out.
func signed(host string, key Key, params map[string]string) *http.Request {
	all := map[string]string{
		"AccessKeyId": key.ID, "Format": "JSON", "RegionId": "cn-hangzhou", "SignatureMethod": "HMAC-SHA1",
		"SignatureType": "", "SignatureVersion": "1.0", "Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05Z"),
		"SignatureNonce": strconv.FormatInt(nonce.Add(1), 16),
	}
	if key.SecurityToken != "" {
		all["SecurityToken"] = key.SecurityToken
	}
	maps.Copy(all, params)
	maps.DeleteFunc(all, func(_, v string) bool { return v == "-" })
	if _, given := params["Signature"]; !given {
		all["Signature"] = rpcSignature(rpcStringToSign("POST", all), key.Secret)
	}
	query := url.Values{}
	for k, v := range all {
		query.Set(k, v)
	}
	r := httptest.NewRequest(http.MethodPost, "http://"+host+"/?"+query.Encode(), nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// answer is any body of the API.
type answer struct {
	Status     int `json:"-"`
	Code       string
	Message    string
	Success    lenientBool // some actions say it as text
	NextToken  string
	Datapoints string
	Period     string
	TotalCount json.RawMessage
	Instances  struct{ Instance []ecsInstance }
	Raw        string `json:"-"`
}

// lenientBool is true, false, "true" or "false", as the actions differ.
type lenientBool string

func (b *lenientBool) UnmarshalJSON(text []byte) error {
	*b = lenientBool(strings.Trim(string(text), `"`))
	return nil
}

func send(t *testing.T, s *Server, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	a := answer{Status: w.Code, Raw: w.Body.String()}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("body %q: %v", a.Raw, err)
	}
	return a
}

func cms(t *testing.T, s *Server, action string, params map[string]string) answer {
	t.Helper()
	all := map[string]string{"Action": action, "Version": cmsVersion, "Namespace": nsECS, "MetricName": "CPUUtilization"}
	maps.Copy(all, params)
	return send(t, s, signed("metrics.cn-hangzhou.aliyuncs.com", testKey, all))
}

func ecs(t *testing.T, s *Server, params map[string]string) answer {
	t.Helper()
	all := map[string]string{"Action": "DescribeInstances", "Version": ecsVersion}
	maps.Copy(all, params)
	return send(t, s, signed("ecs.cn-hangzhou.aliyuncs.com", testKey, all))
}

func (a answer) points(t *testing.T) []map[string]any {
	t.Helper()
	var out []map[string]any
	if err := json.Unmarshal([]byte(a.Datapoints), &out); err != nil {
		t.Fatalf("Datapoints %q: %v", a.Datapoints, err)
	}
	return out
}

// wantCode fails unless the answer has this status and code.
func (a answer) wantCode(t *testing.T, status int, code string) {
	t.Helper()
	if a.Status != status || a.Code != code {
		t.Errorf("got %d %s (%s), want %d %s", a.Status, a.Code, a.Message, status, code)
	}
}

func ms(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// allPages follows NextToken to the end and returns the points of each page.
func allPages(t *testing.T, s *Server, action string, params map[string]string) [][]map[string]any {
	t.Helper()
	params = maps.Clone(params)
	var pages [][]map[string]any
	for {
		a := cms(t, s, action, params)
		a.wantCode(t, 200, "200")
		pages = append(pages, a.points(t))
		if a.NextToken == "" {
			return pages
		}
		if len(pages) > 1000 {
			t.Fatal("NextToken goes on for ever")
		}
		params["NextToken"] = a.NextToken
	}
}

// pointKeys are "instance/timestamp" of points.
func pointKeys(pages ...[]map[string]any) map[string]int {
	out := map[string]int{}
	for _, page := range pages {
		for _, p := range page {
			out[fmt.Sprintf("%v %.0f", p["instanceId"], p["timestamp"])]++
		}
	}
	return out
}

// truthKeys are the points that Published says are out at `now`.
func truthKeys(s *Server, metric string, from, to, now time.Time) map[string]int {
	out := map[string]int{}
	for _, id := range s.Instances(nsECS) {
		for _, p := range s.Published(id, metric, from, to) {
			if !p.PublishedAt.After(now) {
				out[id+" "+ms(p.Time)]++
			}
		}
	}
	return out
}
