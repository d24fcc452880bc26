package aliyun

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// The vectors were computed by the official SDK with the secret "testsecret".

func TestRPCSignature(t *testing.T) {
	f := func(want string, params map[string]string) {
		t.Helper()
		all := map[string]string{
			"AccessKeyId": "testid", "Format": "JSON", "RegionId": "cn-beijing", "SignatureMethod": "HMAC-SHA1",
			"SignatureType": "", "SignatureVersion": "1.0", "Timestamp": "2026-11-21T21:21:55Z", "Version": "2019-01-01",
		}
		for k, v := range params {
			all[k] = v
		}
		if got := rpcSignature(rpcStringToSign("POST", all), "testsecret"); got != want {
			t.Errorf("signature %s, want %s; signed %s", got, want, rpcStringToSign("POST", all))
		}
	}
	f("1za8r8TAQzZecB5k/Y+c8KaW13c=", map[string]string{
		"Action": "DescribeMetricList", "SignatureNonce": "1120ca831df1b82bb76169f920dea3a0",
		"Namespace": "acs_ecs_dashboard", "MetricName": "CPUUtilization", "Period": "60",
		"StartTime": "2024-05-01 00:00:00", "Dimensions": `[{"instanceId":"i-a*~1"}]`,
	})
	f("32OPhKCIVcyUZU/alBiFC7JqnXw=", map[string]string{
		"Action": "Cursor", "SignatureNonce": "55c64da4c19728862ec2a641fdd88b77",
		"Metric": "cpu_total", "Namespace": "acs_ecs_dashboard", "Period": "60", "StartTime": "1700000000000",
	})
}

func TestROASignature(t *testing.T) {
	f := func(want, target string, headers map[string]string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, target, nil)
		for name, value := range map[string]string{
			"Accept": "application/json", "Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg==", "Content-Type": "application/octet-stream",
			"Date": "Sat, 21 Nov 2026 21:21:55 GMT", "x-acs-action": "ListInstance", "x-acs-version": "2017-06-13",
			"x-acs-signature-method": "HMAC-SHA1", "x-acs-signature-version": "1.0", "x-sdk-client": "not signed",
		} {
			r.Header.Set(name, value)
		}
		for name, value := range headers {
			r.Header.Set(name, value)
		}
		if got := roaSignature(roaStringToSign(r), "testsecret"); got != want {
			t.Errorf("signature %s, want %s; signed %q", got, want, roaStringToSign(r))
		}
	}
	query := url.Values{"description": {"a b/c"}, "page": {"1"}, "size": {"10"}}
	f("o22s5njduOXfWgcc3JrSt94vswM=", "/openapi/instances?"+query.Encode(),
		map[string]string{"x-acs-credentials-provider": "static_ak"})
	f("heirbzeE+v0dMMq8VcKYhqnL3VI=", "/openapi/instances?page=1",
		map[string]string{"x-acs-credentials-provider": "static_sts", "x-acs-security-token": "tok/+="})
}

func TestPercentEncode(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := percentEncode(in); got != want {
			t.Errorf("percentEncode(%q) = %q, want %q", in, got, want)
		}
	}
	f("AZaz09-_.~", "AZaz09-_.~")
	f("a b*c+d", "a%20b%2Ac%2Bd")
	f("/:&=", "%2F%3A%26%3D")
	f("云", "%E4%BA%91")
}

func TestROACredential(t *testing.T) {
	for _, bad := range []string{"", "acs", "Bearer x", "acs onlyid"} {
		if _, _, ok := roaCredential(bad); ok {
			t.Errorf("roaCredential(%q) accepted", bad)
		}
	}
	id, signature, ok := roaCredential("acs testid:o22s=")
	if !ok || strings.Join([]string{id, signature}, "|") != "testid|o22s=" {
		t.Errorf("got %q %q %v", id, signature, ok)
	}
}
