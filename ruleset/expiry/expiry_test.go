package expiry

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/lint"
)

// begin is time 0 of a timeline.
var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// unix is the Unix time so many days after begin.
func unix(days float64) int64 { return begin.Unix() + int64(days*86400) }

func timeline(t *testing.T, script string) {
	t.Helper()
	script = "-- rules.yml --\n" + string(text) + "-- timeline --\n" + script
	if err := ruleset.RunTimeline(t.Context(), "expiry", []byte(script)); err != nil {
		t.Error(err)
	}
}

// Each step fires once, one at a time; what has expired stays, a renewal resolves.
func TestStepsOfAResource(t *testing.T) {
	timeline(t, fmt.Sprintf(`load 1h
    aliyun_resource_expiry_timestamp_seconds{instance="rm-1"}  %dx740 %dx20
at 12h      ResourceExpiresIn30Days{instance="rm-1"} firing
at 15d12h   ResourceExpiresIn30Days{instance="rm-1"} resolved
at 15d12h   ResourceExpiresIn15Days{instance="rm-1"} firing
at 23d12h   ResourceExpiresIn15Days{instance="rm-1"} resolved
at 23d12h   ResourceExpiresIn7Days{instance="rm-1"} firing
at 27d12h   ResourceExpiresIn7Days{instance="rm-1"} resolved
at 27d12h   ResourceExpiresIn3Days{instance="rm-1"} firing
at 29d12h   ResourceExpiresIn3Days{instance="rm-1"} resolved
at 29d12h   ResourceExpiresIn1Day{instance="rm-1"} firing
at 740h     ResourceExpiresIn1Day{instance="rm-1"} resolved
`, unix(30.5), unix(395.5)))
}

// A resource that is found two days before its end has one alert, not four; one
// that expired long ago has one too, and one with a year left has none.
func TestFoundLate(t *testing.T) {
	timeline(t, fmt.Sprintf(`load 1h
    aliyun_resource_expiry_timestamp_seconds{instance="soon"}  %dx3
    aliyun_resource_expiry_timestamp_seconds{instance="gone"}  %dx3
    aliyun_resource_expiry_timestamp_seconds{instance="far"}   %dx3
at 0h   ResourceExpiresIn3Days{instance="soon"} firing
at 0h   ResourceExpiresIn1Day{instance="gone"} firing
`, unix(2), unix(-40), unix(365)))
}

// A deleted resource ends its alert. An inventory that cannot be read neither
// resolves nor ends anything; one that is read and lacks the resource makes no-data.
func TestDeletedAndSilent(t *testing.T) {
	timeline(t, fmt.Sprintf(`load 1h
    aliyun_resource_expiry_timestamp_seconds{instance="deleted"}  %[1]dx3
    aliyun_resource_expiry_timestamp_seconds{instance="silent"}   %[1]dx3
up 0h to 12h
end 4h aliyun_resource_expiry_timestamp_seconds{instance="deleted"} at 2h30m deleted
at 0h         ResourceExpiresIn7Days{instance="deleted"} firing
at 0h         ResourceExpiresIn7Days{instance="silent"} firing
at 4h         ResourceExpiresIn7Days{instance="deleted"} ended deleted
at 7h30m      ResourceExpiresIn7Days{instance="silent"} no-data
advance 12h
`, unix(5)))
}

// A certificate is judged by the first to expire of what the vantage points see.
func TestStepsOfACertificate(t *testing.T) {
	timeline(t, fmt.Sprintf(`load 1h
    probe_tls_not_after_timestamp_seconds{instance="shop",target="https://shop",vantage="bj"}  %dx60 %dx10
    probe_tls_not_after_timestamp_seconds{instance="shop",target="https://shop",vantage="hk"}  %dx70
at 0h   CertificateExpiresIn15Days{instance="shop",target="https://shop"} firing
at 1d   CertificateExpiresIn15Days{instance="shop",target="https://shop"} resolved
at 1d   CertificateExpiresIn7Days{instance="shop",target="https://shop"} firing
at 60h  CertificateExpiresIn7Days{instance="shop",target="https://shop"} resolved
`, unix(8), unix(90), unix(90)))
}

// The ranges join without a gap and do not overlap, and severities never fall.
func TestRanges(t *testing.T) {
	groups, err := Groups()
	if err != nil {
		t.Fatal(err)
	}
	severities := []string{"warning", "average", "high", "disaster"}
	for _, g := range groups {
		var ranges []string
		last := 0
		for _, r := range g.Rules {
			from, to := 0, 0
			if i := strings.Index(r.Expr, "<= bool "); i >= 0 {
				fmt.Sscanf(r.Expr[i:], "<= bool %d", &from)
			}
			fmt.Sscanf(r.Expr[strings.LastIndex(r.Expr, "<= "):], "<= %d", &to)
			ranges = append(ranges, fmt.Sprintf("%d-%d", from, to))
			at := indexOf(severities, r.Labels.Get("severity"))
			if at < last || r.Labels.Get("policy") != "expiry" {
				t.Errorf("%s: labels %v", r.ID(), r.Labels)
			}
			last = at
			if _, err := os.Stat(filepath.Join("..", "..", r.Annotations.Get("runbook_url"))); err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff([]string{"15-30", "7-15", "3-7", "1-3", "0-1"}, ranges); diff != "" {
			t.Errorf("%s: %s", g.Name, diff)
		}
	}
	for _, f := range lint.Check(lint.Config{Shipped: func(string) bool { return true }}, groups) {
		t.Errorf("%+v", f)
	}
}

func indexOf(words []string, word string) int {
	for i, w := range words {
		if w == word {
			return i
		}
	}
	return -1
}
