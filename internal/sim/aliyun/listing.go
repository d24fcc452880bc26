package aliyun

import (
	"cmp"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// object is a JSON object of an answer.
type object = map[string]any

// adder returns a function that registers actions of one product. The RAM action of
// each is service:Name.
func (s *Server) adder(product, version, service string) func(name string, handle func(*call) (any, *apiError)) {
	return func(name string, handle func(*call) (any, *apiError)) {
		s.actions[actionName{version, name}] = action{
			product: product, name: name, permission: service + ":" + name, handle: handle,
		}
	}
}

// paging is how a list action names and bounds its page parameters.
type paging struct {
	number, size string // names of the parameters
	fallback     int    // page size when none is given
	largest      int
	only         []int // the sizes allowed; nil: 1 to largest
}

// databasePaging is that of Redis, MongoDB and RDS' backups and slow logs.
var databasePaging = paging{number: "PageNumber", size: "PageSize", fallback: 30, largest: 100, only: []int{30, 50, 100}}

// pageNumber is the common form.
func pageNumber(fallback, largest int) paging {
	return paging{number: "PageNumber", size: "PageSize", fallback: fallback, largest: largest}
}

func (c *call) page(p paging) (number, size int, e *apiError) {
	if number, e = c.number(p.number, 1, 1, math.MaxInt32); e != nil {
		return 0, 0, e
	}
	if size, e = c.number(p.size, p.fallback, 1, p.largest); e != nil {
		return 0, 0, e
	}
	if p.only != nil && !slices.Contains(p.only, size) {
		return 0, 0, invalidParameter(p.size)
	}
	return number, size, nil
}

// wantsToken tells that the caller pages by NextToken where both ways exist.
func (c *call) wantsToken() bool { return c.params["MaxResults"] != "" || c.params["NextToken"] != "" }

// systemParameters differ from call to call, or do not change what is asked.
var systemParameters = []string{
	"AccessKeyId", "Action", "Format", "NextToken", "SecurityToken", "Signature", "SignatureMethod",
	"SignatureNonce", "SignatureType", "SignatureVersion", "Timestamp", "Version",
}

// tokenPage cuts a page by MaxResults and NextToken. rows are in ascending order of
// `order`; a token names the last row shown, so that rows which come or go between
// pages shift nothing. All other parameters must stay the same from page to page.
func tokenPage[T any](s *Server, c *call, rows []T, order func(T) int64, fallback, largest int) (shown []T, next string, size int, e *apiError) {
	if size, e = c.number("MaxResults", fallback, 1, largest); e != nil {
		return nil, "", 0, e
	}
	names := slices.Sorted(maps.Keys(c.params))
	names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(systemParameters, name) })
	query := c.queryText(names...)
	from := 0
	if token := c.params["NextToken"]; token != "" {
		payload, ok := s.tokens.open(query, token)
		last, err := strconv.ParseInt(payload, 10, 64)
		if !ok || err != nil {
			return nil, "", 0, invalidParameter("NextToken")
		}
		from = len(rows)
		if i := slices.IndexFunc(rows, func(row T) bool { return order(row) > last }); i >= 0 {
			from = i
		}
	}
	to := min(from+size, len(rows))
	if to < len(rows) {
		next = s.tokens.seal(query, strconv.FormatInt(order(rows[to-1]), 10))
	}
	return rows[from:to], next, size, nil
}

func byNumber(r *resource) int64 { return int64(r.number) }

// objects turns the rows of a page into JSON. It never returns nil, which JSON would
// print as null.
func objects[T any](rows []T, f func(T) object) []object {
	out := make([]object, 0, len(rows))
	for _, row := range rows {
		out = append(out, f(row))
	}
	return out
}

// requireRegion refuses a call without RegionId, or with one that the account does
// not have.
func (s *Server) requireRegion(c *call) *apiError {
	if c.params["RegionId"] == "" {
		return missingParameter("RegionId")
	}
	if !slices.Contains(s.cfg.Regions, c.region) {
		return errorf(http.StatusNotFound, "InvalidRegionId.NotFound", "The specified RegionId does not exist.")
	}
	return nil
}

// listed are the resources of the call's region that exist now and are kept; none if
// the list must be empty.
func (s *Server) listed(c *call, namespace string, keep func(*resource) bool) []*resource {
	rows := []*resource{}
	if c.empty {
		return rows
	}
	for _, r := range s.liveIn(namespace, c.region) {
		if keep(r) {
			rows = append(rows, r)
		}
	}
	return rows
}

// filter tells whether the parameter, if given, equals the value.
func (c *call) filter(name, value string) bool { return wanted(c.params[name], value) }

// filterList tells whether the value is in the parameter's comma-separated list, if
// that is given.
func (c *call) filterList(name, value string) bool {
	list := c.params[name]
	return list == "" || slices.Contains(strings.Split(list, ","), value)
}

// instance finds a live resource by the id in a parameter; any region.
func (s *Server) instance(c *call, namespace, parameter, code string) (*resource, *apiError) {
	id := c.params[parameter]
	if id == "" {
		return nil, missingParameter(parameter)
	}
	r := s.estate.byID[id]
	if r == nil || r.product.namespace != namespace || !s.lifeOf(id).exists(s.now()) {
		return nil, errorf(http.StatusNotFound, code, "The specified "+parameter+" does not exist.")
	}
	return r, nil
}

// maxRepeated bounds lists of the form Name.1, Name.2, …
const maxRepeated = 100

// repeated reads Name.1, Name.2, …
func (c *call) repeated(name string) []string {
	var out []string
	for i := 1; i <= maxRepeated; i++ {
		value := c.params[name+"."+strconv.Itoa(i)]
		if value == "" {
			break
		}
		out = append(out, value)
	}
	return out
}

// contains tells whether the value is in the list, if there is one.
func contains(list []string, value string) bool {
	return len(list) == 0 || slices.Contains(list, value)
}

// sortBy sorts stably by a key.
func sortBy[T any, K cmp.Ordered](rows []T, key func(T) K) {
	slices.SortStableFunc(rows, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}
