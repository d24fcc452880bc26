package watch

import (
	"testing"

	"watchkeeper/ruleset"
)

func TestDegradedCollectionIsTold(t *testing.T) {
	script := "-- rules.yml --\n" + string(file) + `-- timeline --
load 1m
    aliyun_account_month_calls_forecast{instance="main"}  900 1100x14 900x12
    aliyun_account_month_calls_limit{instance="main"}     1000x27
    aliyun_account_degrade_level{instance="main"}         0 1x9 3x5 0x12
at 5m   AliyunCollectionDegraded{instance="main"} firing
at 10m  AliyunCallsForecastOverLimit{instance="main"} firing
at 11m  AliyunAlarmRowsDegraded{instance="main"} firing
at 24m  AliyunCallsForecastOverLimit{instance="main"} resolved
at 24m  AliyunCollectionDegraded{instance="main"} resolved
at 24m  AliyunAlarmRowsDegraded{instance="main"} resolved
`
	if err := ruleset.RunTimeline(t.Context(), "degraded", []byte(script)); err != nil {
		t.Error(err)
	}
}

func TestLimitsAndHolesAreTold(t *testing.T) {
	script := "-- rules.yml --\n" + string(file) + `-- timeline --
load 1m
    watchkeeper_judging_refused{customer="acme", limit="rule"}      0x3 7 0x3 7x4 0x8
    watchkeeper_judging_ends_refused{customer="acme"}               0x4 9x2 0x14
    watchkeeper_judging_sources_refused{customer="acme"}            0x6 2x2 0x12
    watchkeeper_judging_late_unlisted{customer="acme"}              0x9 8x2 0x9
    watchkeeper_judging_unread{customer="acme"}                     0x13 5x2 0x6
    watchkeeper_judging_coverage_holes{customer="acme"}             0x4 3x14 0x8
at 5m   EndLimitBites{customer="acme"} firing
at 10m  EndLimitBites{customer="acme"} resolved
at 7m   SourceLimitBites{customer="acme"} firing
at 12m  SourceLimitBites{customer="acme"} resolved
at 8m   RuleLimitBites{customer="acme", limit="rule"} firing
at 10m  ContractCoverageHoles{customer="acme"} firing
at 10m  LateLimitBites{customer="acme"} firing
at 14m  SamplesUnreadable{customer="acme"} firing
at 15m  LateLimitBites{customer="acme"} resolved
at 19m  SamplesUnreadable{customer="acme"} resolved
at 15m  RuleLimitBites{customer="acme", limit="rule"} resolved
at 20m  ContractCoverageHoles{customer="acme"} resolved
`
	if err := ruleset.RunTimeline(t.Context(), "judging", []byte(script)); err != nil {
		t.Error(err)
	}
}
