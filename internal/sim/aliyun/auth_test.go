package aliyun

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRPCAuthentication(t *testing.T) {
	temporary := Key{ID: "STS.abc", Secret: "s", SecurityToken: "tok/+=", Expires: time.Now().Add(time.Hour)}
	expired := Key{ID: "STS.old", Secret: "s", SecurityToken: "tok", Expires: time.Now().Add(-time.Second)}
	off := Key{ID: "off", Secret: "s", Status: Inactive}
	s := newTestServer(t, func(c *Config) { c.Keys = append(c.Keys, temporary, expired, off) })
	f := func(key Key, params map[string]string, status int, code string) {
		t.Helper()
		all := map[string]string{"Action": "DescribeProjectMeta", "Version": cmsVersion}
		for k, v := range params {
			all[k] = v
		}
		send(t, s, signed("metrics.cn-hangzhou.aliyuncs.com", key, all)).wantCode(t, status, code)
	}
	stamp := func(ahead time.Duration) map[string]string {
		return map[string]string{"Timestamp": time.Now().Add(ahead).UTC().Format("2006-01-02T15:04:05Z")}
	}
	f(testKey, nil, 200, "200")
	f(temporary, nil, 200, "200")

	f(Key{ID: "testid", Secret: "wrong"}, nil, 400, "SignatureDoesNotMatch")
	f(Key{ID: "nobody", Secret: "s"}, nil, 404, "InvalidAccessKeyId.NotFound")
	f(off, nil, 400, "InvalidAccessKeyId.Inactive")
	f(expired, nil, 403, "InvalidSecurityToken.Expired")
	f(Key{ID: temporary.ID, Secret: "s"}, nil, 400, "MissingSecurityToken")
	f(Key{ID: temporary.ID, Secret: "s", SecurityToken: "other"}, nil, 400, "InvalidSecurityToken.MismatchWithAccessKey")
	f(Key{ID: "testid", Secret: "testsecret", SecurityToken: "stray"}, nil, 400, "InvalidSecurityToken.MismatchWithAccessKey")
	for _, name := range []string{"AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"} {
		f(testKey, map[string]string{name: ""}, 400, "IncompleteSignature")
	}
	f(testKey, map[string]string{"SignatureMethod": "HMAC-SHA256"}, 400, "InvalidParameter")
	f(testKey, map[string]string{"SignatureVersion": "2.0"}, 400, "InvalidParameter")
	f(testKey, map[string]string{"Timestamp": "yesterday"}, 400, "IllegalTimestamp")
	f(testKey, stamp(14*time.Minute), 200, "200")
	f(testKey, stamp(16*time.Minute), 400, "InvalidTimeStamp.Expired")
	f(testKey, stamp(-16*time.Minute), 400, "InvalidTimeStamp.Expired")
	f(testKey, map[string]string{"SignatureNonce": "once"}, 200, "200")
	f(testKey, map[string]string{"SignatureNonce": "once"}, 400, "SignatureNonceUsed")
	f(temporary, map[string]string{"SignatureNonce": "once"}, 200, "200")
	f(testKey, map[string]string{"Action": "-"}, 400, "MissingParameter")
	f(testKey, map[string]string{"Version": "-"}, 400, "MissingParameter")
	f(testKey, map[string]string{"Action": "DeleteEverything"}, 404, "InvalidAction.NotFound")
	f(testKey, map[string]string{"Version": "1999-01-01"}, 404, "InvalidVersion")

	if err := s.Inject(ClockSkew{By: 20 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	f(testKey, nil, 400, "InvalidTimeStamp.Expired")
	s.ClearFaults()
	s.SetKey(Key{ID: "testid", Secret: "testsecret", Status: Inactive})
	f(testKey, nil, 400, "InvalidAccessKeyId.Inactive")
}

func TestSignatureMismatchShowsWhatWasSigned(t *testing.T) {
	s := newTestServer(t, nil)
	wrong := Key{ID: "testid", Secret: "wrong"}
	r := signed("ecs.cn-hangzhou.aliyuncs.com", wrong, map[string]string{"Action": "DescribeRegions", "Version": ecsVersion})
	params := map[string]string{}
	for name := range r.URL.Query() {
		params[name] = r.URL.Query().Get(name)
	}
	a := send(t, s, r)
	a.wantCode(t, http.StatusForbidden, "SignatureDoesNotMatch")
	_, text, ok := strings.Cut(a.Message, "server string to sign is:")
	if want := rpcStringToSign("POST", params); !ok || text != want {
		t.Errorf("message shows %q, want %q", text, want)
	}
}

func TestFormBodyIsSigned(t *testing.T) {
	s := newTestServer(t, nil)
	request := func(body string) *http.Request {
		r := signed("metrics.cn-hangzhou.aliyuncs.com", testKey, map[string]string{
			"Action": "DescribeProjectMeta", "Version": cmsVersion, "PageSize": "7"})
		query := r.URL.Query()
		query.Del("PageSize") // it moves into the body, and stays signed
		out := httptest.NewRequest(http.MethodPost, "http://metrics.cn-hangzhou.aliyuncs.com/?"+query.Encode(), strings.NewReader(body))
		out.Header = r.Header
		return out
	}
	send(t, s, request("PageSize=7")).wantCode(t, 200, "200")
	send(t, s, request("PageSize=8")).wantCode(t, 400, "SignatureDoesNotMatch")
}

func TestROAAuthentication(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Products = map[string]int{nsES: 3} })
	request := func(key Key, date time.Time) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "http://elasticsearch.cn-hangzhou.aliyuncs.com/openapi/instances?page=1&size=2", nil)
		r.Header.Set("x-acs-version", elasticsearchVersion)
		r.Header.Set("Date", date.UTC().Format(http.TimeFormat))
		r.Header.Set("Authorization", "acs "+key.ID+":"+roaSignature(roaStringToSign(r), key.Secret))
		return r
	}
	good := send(t, s, request(testKey, time.Now()))
	good.wantCode(t, 200, "")
	if got := strings.Count(good.Raw, `"instanceId":"es-cn-`); got != 2 || !strings.Contains(good.Raw, `"X-Total-Count":3`) {
		t.Errorf("page of %d instances: %s", got, good.Raw)
	}
	send(t, s, request(Key{ID: "testid", Secret: "wrong"}, time.Now())).wantCode(t, 400, "SignatureDoesNotMatch")
	send(t, s, request(testKey, time.Now().Add(-time.Hour))).wantCode(t, 400, "InvalidTimeStamp.Expired")
	unsigned := request(testKey, time.Now())
	unsigned.Header.Del("Authorization")
	send(t, s, unsigned).wantCode(t, 400, "IncompleteSignature")
}

func TestHostMustBeTheProductsOwn(t *testing.T) {
	s := newTestServer(t, nil)
	params := map[string]string{"Action": "DescribeProjectMeta", "Version": cmsVersion}
	send(t, s, signed("127.0.0.1:4711", testKey, params)).wantCode(t, 200, "200")
	send(t, s, signed("ecs.cn-hangzhou.aliyuncs.com", testKey, params)).wantCode(t, 404, "InvalidVersion")
}

func TestPermissions(t *testing.T) {
	reader := Key{ID: "reader", Secret: "s", Permissions: []string{"cms:Query*"}}
	s := newTestServer(t, func(c *Config) { c.Keys = append(c.Keys, reader) })
	metric := map[string]string{"Action": "DescribeMetricList", "Version": cmsVersion, "Namespace": nsECS, "MetricName": "cpu_total"}
	send(t, s, signed("metrics.cn-hangzhou.aliyuncs.com", reader, metric)).wantCode(t, 200, "200")
	meta := map[string]string{"Action": "DescribeProjectMeta", "Version": cmsVersion}
	send(t, s, signed("metrics.cn-hangzhou.aliyuncs.com", reader, meta)).wantCode(t, 403, "AccessForbidden")
	regions := map[string]string{"Action": "DescribeRegions", "Version": ecsVersion}
	send(t, s, signed("ecs.cn-hangzhou.aliyuncs.com", reader, regions)).wantCode(t, 403, "Forbidden.RAM")
	list := map[string]string{"Action": "DescribeInstances", "Version": ecsVersion}
	a := send(t, s, signed("ecs.cn-hangzhou.aliyuncs.com", reader, list))
	if a.Status != 200 || string(a.TotalCount) != "0" || len(a.Instances.Instance) != 0 {
		t.Errorf("without permission DescribeInstances is empty, got %s", a.Raw)
	}
}

func TestNonceMemoryForgets(t *testing.T) {
	m := newNonceMemory(time.Minute, 100)
	use := func(n string, at time.Duration, want bool) {
		t.Helper()
		if got := m.use(n, noon.Add(at)); got != want {
			t.Errorf("use(%s) at %s = %v", n, at, got)
		}
	}
	use("a", 0, true)
	use("a", 59*time.Second, false)
	use("a", 61*time.Second, false) // in the older half
	use("b", 61*time.Second, true)
	use("b", 2*time.Minute, false)
	use("a", 3*time.Minute+time.Second, true) // forgotten
}
