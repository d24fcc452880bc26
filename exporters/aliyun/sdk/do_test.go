package sdk_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/sdk"
	sim "watchkeeper/internal/sim/aliyun"
)

func TestDoSpeaksBothStyles(t *testing.T) {
	c := newCloud(t, func(cfg *sim.Config) { cfg.Products = map[string]int{"acs_rds_dashboard": 2, "acs_elasticsearch": 3} })
	client := account(t, c.Address, nil, nil).Client()
	body, err := client.Do(t.Context(), aliyun.Request{
		Product: "Rds", Version: "2014-08-15", Action: "DescribeDBInstances", Region: "cn-hangzhou", Host: "rds.aliyuncs.com",
		Query: map[string]string{"PageSize": "30"},
	})
	var databases struct {
		Items struct {
			DBInstance []struct{ DBInstanceID string }
		}
	}
	if err != nil || json.Unmarshal(body, &databases) != nil || len(databases.Items.DBInstance) != 2 {
		t.Errorf("RPC: %s, %v", body, err)
	}
	body, err = client.Do(t.Context(), aliyun.Request{
		Product: "elasticsearch", Version: "2017-06-13", Action: "ListInstance", Region: "cn-hangzhou",
		Host: "elasticsearch.cn-hangzhou.aliyuncs.com", Path: "/openapi/instances", Query: map[string]string{"size": "2"},
	})
	var clusters struct{ Result []struct{ InstanceID string } }
	if err != nil || json.Unmarshal(body, &clusters) != nil || len(clusters.Result) != 2 {
		t.Errorf("ROA: %s, %v", body, err)
	}
	if calls := c.Calls(); calls["Rds.DescribeDBInstances"] != 1 || calls["elasticsearch.ListInstance"] != 1 {
		t.Errorf("calls %v", calls)
	}
}

func TestDoFindsErrors(t *testing.T) {
	request := aliyun.Request{Product: "BssOpenApi", Version: "2017-12-14", Action: "QueryAccountBalance", Region: "cn-hangzhou", Host: "business.aliyuncs.com"}
	for name, tc := range map[string]struct {
		status int
		body   string
		want   error
		code   string
	}{
		"refused with 200":         {200, `{"Success":false,"Code":"NotAuthorized","Message":"no"}`, aliyun.ErrParameter, "NotAuthorized"},
		"as texts and a number":    {200, `{"Success":"false","Code":500,"Message":"busy"}`, aliyun.ErrUnavailable, "500"},
		"good, without the field":  {200, `{"Items":[]}`, nil, ""},
		"good, as a text":          {200, `{"Success":"true","Code":200}`, nil, ""},
		"throttled":                {400, `{"Code":"Throttling.User","Message":"slow down"}`, aliyun.ErrThrottled, "Throttling.User"},
		"forbidden":                {403, `{"Code":"Forbidden.RAM","Message":"not allowed"}`, aliyun.ErrForbidden, "Forbidden.RAM"},
		"a proxy's page":           {502, `<html>`, aliyun.ErrUnavailable, ""},
		"a page that claims to be": {200, `<html>`, aliyun.ErrAnswer, ""},
		"cut off":                  {200, `{"Items":[`, aliyun.ErrAnswer, ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				w.Write([]byte(tc.body))
			}))
			defer server.Close()
			_, err := bare(t, server.Listener.Addr().String()).Do(t.Context(), request)
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			var own *aliyun.Error
			if errors.As(err, &own) && own.Code != tc.code {
				t.Errorf("code %q, want %q", own.Code, tc.code)
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "Signature=")) {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// bare is the adapter itself, without budget and retries.
func bare(t *testing.T, address string) aliyun.Client {
	t.Helper()
	client, err := sdk.New(aliyun.ClientConfig{
		Credentials: func() (aliyun.Credentials, error) {
			return aliyun.Credentials{AccessKeyID: keyID, AccessKeySecret: aliyun.NewSecret(secret)}, nil
		},
		Scheme: "http", Endpoint: address, Timeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
