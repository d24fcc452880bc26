package aliyun

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
)

func TestRedactHidesASignedRequest(t *testing.T) {
	c := Credentials{AccessKeyID: "LTAIvisible", AccessKeySecret: NewSecret("s+cret/="), SecurityToken: NewSecret("tok/+=en")}
	query := url.Values{
		"AccessKeyId": {c.AccessKeyID}, "Signature": {"c2ln+bmF0dXJl/w=="}, "SecurityToken": {"tok/+=en"}, "SignatureNonce": {"abc"}, "Action": {"DescribeMetricList"},
	}
	for _, text := range []string{
		(&url.Error{Op: "Post", URL: "https://metrics.cn-hangzhou.aliyuncs.com/?" + query.Encode(), Err: errors.New("reset")}).Error(),
		"server string to sign is:POST&%2F&" + url.QueryEscape(query.Encode()),
		"x-acs-security-token: tok/+=en, AccessKeyId=STS.other&Signature=YWJj%2BZGVm%3D",
		"the secret s+cret/= in the open",
	} {
		got := Redact(text, c)
		for _, hidden := range []string{"LTAIvisible", "s+cret", "c2ln", "tok/", "tok%2F", "STS.other", "YWJj", "ZGVm", "=abc"} {
			if strings.Contains(got, hidden) {
				t.Errorf("%q shows %q", got, hidden)
			}
		}
	}
	if got := Redact("the action DescribeMetricList failed", c); got != "the action DescribeMetricList failed" {
		t.Errorf("harmless text became %q", got)
	}
	if got := Redact(strings.Repeat("长", 1000), Credentials{}); len(got) > maxErrorText+10 {
		t.Errorf("%d bytes of a page are shown", len(got))
	}
}

func TestSecretNeverShows(t *testing.T) {
	cfg := AccountConfig{Name: "main", AccessKeySecret: NewSecret("s3cret")}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", cfg.AccessKeySecret, "account", cfg)
	encoded, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(cfg), fmt.Sprintf("%v %+v %#v %s %q %x %d", cfg, cfg, cfg, cfg.AccessKeySecret, cfg.AccessKeySecret, cfg.AccessKeySecret, cfg.AccessKeySecret),
		fmt.Sprintf("%v %+v", &cfg, &cfg.AccessKeySecret), string(encoded), log.String(),
	} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, fmt.Sprintf("%x", "s3cret")) {
			t.Errorf("shown: %s", text)
		}
	}
	if cfg.AccessKeySecret.Reveal() != "s3cret" {
		t.Error("the secret is lost")
	}
}
