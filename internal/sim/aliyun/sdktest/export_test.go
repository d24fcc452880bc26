package sdktest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/cms"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/sim/aliyun"
)

func hybrid(c *aliyun.Config) { c.HybridCloud, c.ECSInstances = true, 60 }

func cursorRequest(from, to time.Time, matchers string) *cms.CursorRequest {
	r := cms.CreateCursorRequest()
	r.Namespace, r.Metric, r.Period, r.Matchers = "acs_ecs_dashboard", "CPUUtilization", requests.NewInteger(60), matchers
	r.StartTime, r.EndTime = strconv.FormatInt(from.UnixMilli(), 10), strconv.FormatInt(to.UnixMilli(), 10)
	return r
}

// export reads the batches from a cursor on: instance and time to the value.
func export(t *testing.T, w *world, cursor string, length int) (map[string]any, int) {
	t.Helper()
	got := map[string]any{}
	for calls := 1; ; calls++ {
		r := cms.CreateBatchExportRequest()
		r.Namespace, r.Metric, r.Cursor, r.Length = "acs_ecs_dashboard", "CPUUtilization", cursor, requests.NewInteger(length)
		r.Measurements = &[]string{"Average"}
		a := must[*cms.BatchExportResponse](t)(cmsClient(t, w, key).BatchExport(r))
		if a.Code != 200 || !a.Success || a.Length != len(a.DataResults) || len(a.DataResults) > length {
			t.Fatalf("batch %d: %+v", calls, a)
		}
		for _, p := range a.DataResults {
			dims := map[string]string{}
			for _, d := range p.Dimensions {
				dims[d.Label] = d.Value
			}
			name := fmt.Sprintf("%s %d", dims["instanceId"], p.Timestamp)
			if _, twice := got[name]; twice || len(p.Measurements) != 1 || p.Period != 60 {
				t.Fatalf("%s is there twice or is no point: %+v", name, p)
			}
			got[name] = p.Measurements["Average"]
		}
		if !a.HasNext {
			return got, calls
		}
		cursor = a.Cursor
	}
}

// The batches of an export together hold every published point once.
func TestExportInBatches(t *testing.T) {
	w := newWorld(t, hybrid)
	to := time.Now().Truncate(time.Minute).Add(-15 * time.Minute) // all is published
	from := to.Add(-30 * time.Minute)
	begin := must[*cms.CursorResponse](t)(cmsClient(t, w, key).Cursor(cursorRequest(from, to, "")))
	got, calls := export(t, w, begin.Cursor, 700)
	want := map[string]any{}
	for _, id := range w.Instances("acs_ecs_dashboard") {
		for _, p := range w.Published(id, "CPUUtilization", from, to) {
			want[fmt.Sprintf("%s %d", id, p.Time.UnixMilli())] = p.Statistics["Average"]
		}
	}
	if d := cmp.Diff(want, got); d != "" || calls < 3 {
		t.Errorf("%d batches (-published +exported):\n%s", calls, d)
	}
	one := w.Instances("acs_ecs_dashboard")[7]
	begin = must[*cms.CursorResponse](t)(cmsClient(t, w, key).Cursor(cursorRequest(from, to, fmt.Sprintf(`[{"Label":"instanceId","Operator":"=","Value":%q}]`, one))))
	if got, _ := export(t, w, begin.Cursor, 1000); len(got) != len(w.Published(one, "CPUUtilization", from, to)) {
		t.Errorf("%d points of one instance", len(got))
	}
}

func TestExportRefuses(t *testing.T) {
	now := time.Now()
	without := newWorld(t, nil)
	_, err := cmsClient(t, without, key).Cursor(cursorRequest(now.Add(-time.Hour), now, ""))
	if e := serverError(t, err); e.HttpStatus() != 403 {
		t.Errorf("without the edition: %v", err)
	}
	w := newWorld(t, hybrid)
	begin := must[*cms.CursorResponse](t)(cmsClient(t, w, key).Cursor(cursorRequest(now.Add(-time.Hour), now, "")))
	f := func(what string, change func(*cms.BatchExportRequest)) {
		t.Helper()
		r := cms.CreateBatchExportRequest()
		r.Namespace, r.Metric, r.Cursor = "acs_ecs_dashboard", "CPUUtilization", begin.Cursor
		change(r)
		_, err := cmsClient(t, w, key).BatchExport(r)
		if e := serverError(t, err); e.HttpStatus() != 400 || e.ErrorCode() != "ParameterInvalid" {
			t.Errorf("%s: %v", what, err)
		}
	}
	f("a batch too large", func(r *cms.BatchExportRequest) { r.Length = requests.NewInteger(10_001) })
	f("a cursor of another metric", func(r *cms.BatchExportRequest) { r.Metric = "InternetInRate" })
	f("no cursor", func(r *cms.BatchExportRequest) { r.Cursor = "x" })
	if _, err := cmsClient(t, w, key).Cursor(cursorRequest(now.Add(-time.Hour), now, `[{"Label":"instanceId","Operator":"~","Value":"i"}]`)); err == nil {
		t.Error("an unknown operator is taken")
	}
}
