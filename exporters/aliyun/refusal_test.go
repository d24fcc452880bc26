package aliyun

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRefusalsAreToldWhenTheyChange(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "err" {
			return slog.Attr{}
		}
		return a
	}}))
	r := newRefusals(log)
	auth := func(code string) error { return &Error{Kind: ErrAuth, Code: code} }
	forbidden, quota := &Error{Kind: ErrForbidden, Code: "Forbidden.RAM"}, &Error{Kind: ErrQuota}
	list, disks := api("Ecs.DescribeInstances"), api("Ecs.DescribeDisks")
	for _, step := range []struct {
		api    api
		region string
		err    error
		want   string // lines, "" for none
	}{
		{list, "r1", auth("SignatureDoesNotMatch"), "level=WARN msg=\"account refuses calls\" reason=auth\n"},
		{disks, "r2", auth("SignatureDoesNotMatch"), ""},
		{list, "r1", &Error{Kind: ErrUnavailable}, ""},
		{list, "r1", auth("InvalidAccessKeyId.Inactive"), "level=WARN msg=\"account refuses calls\" reason=auth\n"},
		{list, "r1", nil, "level=INFO msg=\"account takes calls again\" reason=auth\n"},
		{list, "r1", nil, ""},
		{disks, "r1", forbidden, "level=WARN msg=\"account refuses calls\" reason=forbidden api=Ecs.DescribeDisks region=r1\n"},
		{disks, "r1", forbidden, ""},
		{list, "r1", nil, ""},
		{disks, "r2", nil, ""},
		{disks, "r1", nil, "level=INFO msg=\"account takes calls again\" reason=forbidden api=Ecs.DescribeDisks region=r1\n"},
		{apiMetricList, "r1", quota, "level=WARN msg=\"account refuses calls\" reason=quota\n"},
		{apiMetricList, "r2", quota, ""},
		{list, "r1", nil, ""},
		{apiMetricList, "r2", nil, "level=INFO msg=\"account takes calls again\" reason=quota\n"},
		{list, "r1", auth("x"), "level=WARN msg=\"account refuses calls\" reason=auth\n"},
		{list, "r1", forbidden, "level=INFO msg=\"account takes calls again\" reason=auth\nlevel=WARN msg=\"account refuses calls\" reason=forbidden api=Ecs.DescribeInstances region=r1\n"},
	} {
		text.Reset()
		if err := r.note(step.api, step.region, step.err); !errors.Is(err, step.err) {
			t.Errorf("%v became %v", step.err, err)
		}
		if diff := cmp.Diff(step.want, text.String()); diff != "" {
			t.Errorf("%s in %s: %v: %s", step.api, step.region, step.err, diff)
		}
	}
}
