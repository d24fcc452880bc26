package aliyun

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Limits of one request; the documented ones of CloudMonitor.
const (
	maxQueryBytes = 128 << 10
	maxBodyBytes  = 512 << 10
)

// call is one request, parsed.
type call struct {
	product, version, action string
	api                      string // product.action, the name in counts and faults
	region                   string
	host                     string
	method                   string
	roa                      bool
	params                   map[string]string // query and form
	header                   http.Header
	stringToSign             string // ROA only
	requestID                string
	permission               string // RAM action
	key                      Key
	empty                    bool // a fault asks for an empty list
}

// actionName identifies an action on the wire.
type actionName struct{ version, action string }

// action is one API and what the gateway checks before it runs.
type action struct {
	product     string
	name        string // of the API
	permission  string // RAM action
	metricQuery bool   // counts against the monthly quota
	// deniedEmpty: without the permission the answer is an empty list, not an error.
	deniedEmpty bool
	handle      func(*call) (any, *apiError)
}

// Products, in the spelling of the SDK, and how their host names begin.
const (
	productCMS           = "Cms"
	productECS           = "Ecs"
	productSTS           = "Sts"
	productElasticsearch = "elasticsearch"
	productRDS           = "Rds"
	productSLB           = "Slb"
	productALB           = "Alb"
	productRedis         = "R-kvstore"
	productMongoDB       = "Dds"
	productDRDS          = "Drds"
	productCDN           = "Cdn"
	productVPC           = "Vpc"
	productBSS           = "BssOpenApi"
	productActionTrail   = "Actiontrail"
	productSAS           = "Sas"
)

var hostPrefixes = map[string][]string{
	productCMS:           {"metrics."},
	productECS:           {"ecs.", "ecs-"},
	productSTS:           {"sts."},
	productElasticsearch: {"elasticsearch."},
	productRDS:           {"rds.", "rds-vpc."},
	productSLB:           {"slb."},
	productALB:           {"alb."},
	productRedis:         {"r-kvstore."},
	productMongoDB:       {"mongodb."},
	productDRDS:          {"drds."},
	productCDN:           {"cdn."},
	productVPC:           {"vpc."},
	productBSS:           {"business."},
	productActionTrail:   {"actiontrail."},
	productSAS:           {"tds."},
}

// parseCall reads query and body. Its error is one of size or form.
func parseCall(w http.ResponseWriter, r *http.Request) (*call, *apiError) {
	c := &call{method: r.Method, host: hostName(r.Host), header: r.Header, params: map[string]string{}}
	if len(r.URL.RawQuery) > maxQueryBytes {
		return c, errorf(http.StatusRequestURITooLong, "RequestTooLarge", "The query is too long.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		return c, errorf(http.StatusRequestEntityTooLarge, "RequestTooLarge", "The body cannot be read or is too long.")
	}
	if err := c.addParameters(r.URL.RawQuery); err != nil {
		return c, invalidParameter("query")
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if err := c.addParameters(string(body)); err != nil {
			return c, invalidParameter("body")
		}
	}
	if r.URL.Path != "/" && r.URL.Path != "" {
		c.roa = true
		c.version = r.Header.Get("x-acs-version")
		c.action = c.method + " " + r.URL.Path
		c.stringToSign = roaStringToSign(r)
		c.region = regionInHost(c.host)
		return c, nil
	}
	c.version, c.action = c.params["Version"], c.params["Action"]
	c.region = c.params["RegionId"]
	if c.region == "" {
		c.region = regionInHost(c.host)
	}
	return c, nil
}

func (c *call) addParameters(encoded string) error {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return err
	}
	for name := range values {
		c.params[name] = values.Get(name)
	}
	return nil
}

func hostName(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// regionInHost finds the region in metrics.cn-beijing.aliyuncs.com and in
// ecs-cn-hangzhou.aliyuncs.com; "" when the host has none.
func regionInHost(host string) string {
	name, ok := strings.CutSuffix(host, ".aliyuncs.com")
	if !ok {
		return ""
	}
	if _, region, ok := strings.Cut(name, "."); ok {
		return region
	}
	if region, ok := strings.CutPrefix(name, "ecs-"); ok {
		return region
	}
	return ""
}

// find names the action of the call. A host name of the vendor must be the
// product's own; any other host (127.0.0.1) serves every product.
func (s *Server) find(c *call) (action, *apiError) {
	c.api = c.action
	if c.action == "" {
		return action{}, missingParameter("Action")
	}
	if c.version == "" {
		return action{}, missingParameter("Version")
	}
	a, ok := s.actions[actionName{c.version, c.action}]
	if !ok {
		for name := range s.actions {
			if name.version == c.version {
				return action{}, errorf(http.StatusNotFound, "InvalidAction.NotFound",
					"Specified api is not found, please check your url and method.")
			}
		}
		return action{}, errorf(http.StatusNotFound, "InvalidVersion", "Specified parameter Version is not valid.")
	}
	c.product, c.permission = a.product, a.permission
	c.api = a.product + "." + a.name
	if strings.HasSuffix(c.host, ".aliyuncs.com") && !hasAnyPrefix(c.host, hostPrefixes[a.product]) {
		return action{}, errorf(http.StatusNotFound, "InvalidVersion", "Specified parameter Version is not valid.")
	}
	return a, nil
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// number reads an optional integer within lo..hi.
func (c *call) number(name string, fallback, lo, hi int) (int, *apiError) {
	text := c.params[name]
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < lo || n > hi {
		return 0, invalidParameter(name)
	}
	return n, nil
}

func newRequestID() string {
	a, b := rand.Uint64(), rand.Uint64()
	return strings.ToUpper(fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&0xffffffffffff))
}
