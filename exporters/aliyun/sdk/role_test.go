package sdk_test

import (
	"errors"
	"strings"
	"testing"

	"watchkeeper/exporters/aliyun"
	sim "watchkeeper/internal/sim/aliyun"
)

const roleARN = "acs:ram::1234567890123456:role/watchkeeper"

func withRole(externalID string) func(*aliyun.AccountConfig) {
	return func(a *aliyun.AccountConfig) { a.RoleARN, a.RoleExternalID = roleARN, externalID }
}

var regions = aliyun.Request{Product: "Ecs", Version: "2014-05-26", Action: "DescribeRegions", Region: "cn-hangzhou", Host: "ecs-cn-hangzhou.aliyuncs.com"}

// A role is assumed once for many calls; a session that the service ends before
// its time costs one refused call and one new session.
func TestAssumedRoleAndExpiredToken(t *testing.T) {
	c := newCloud(t, func(cfg *sim.Config) { cfg.RoleExternalID = "acme" })
	client := account(t, c.Address, nil, withRole("acme")).Client()
	for range 3 {
		if _, err := client.Do(t.Context(), regions); err != nil {
			t.Fatal(err)
		}
	}
	if calls := c.Calls(); calls["Sts.AssumeRole"] != 1 || calls["Ecs.DescribeRegions"] != 3 {
		t.Errorf("calls %v", calls)
	}
	c.ExpireSessions()
	if _, err := client.Do(t.Context(), regions); err != nil {
		t.Errorf("after the session's end: %v", err)
	}
	if calls := c.Calls(); calls["Sts.AssumeRole"] != 2 || calls["Ecs.DescribeRegions"] != 5 {
		t.Errorf("calls %v", calls)
	}
	for _, r := range c.Requests() {
		if r.API == "Ecs.DescribeRegions" && r.Status == 200 && !strings.HasPrefix(r.KeyID, "STS.") {
			t.Errorf("signed by %s", r.KeyID)
		}
	}
}

func TestRoleThatTrustsNobody(t *testing.T) {
	c := newCloud(t, func(cfg *sim.Config) { cfg.RoleExternalID = "acme" })
	_, err := account(t, c.Address, nil, withRole("other")).Client().Do(t.Context(), regions)
	if !errors.Is(err, aliyun.ErrForbidden) || !strings.Contains(err.Error(), "assume role "+roleARN) || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}
