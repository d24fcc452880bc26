package aliyun

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
	"watchkeeper/ruleset/contract"
)

func inventoryOf(t *testing.T, client Client) *inventoryCollector {
	t.Helper()
	a := testAccount(t, client, nil, func(cfg *AccountConfig) { cfg.TagLabels = map[string]string{"负责人": "owner"} })
	return a.inventory("cn-hangzhou", client, newPresence())
}

func TestInventoryDescribesAnInstance(t *testing.T) {
	expires := time.Date(2027, 1, 1, 16, 0, 0, 0, time.UTC)
	cloud := &fakeClient{instances: []Instance{{
		ID: "i-1", Name: "web-1", Zone: "cn-hangzhou-b", Type: "ecs.g7.large", OS: "Debian", Status: "Running", VPC: "vpc-1",
		PrivateIP: "10.0.0.1", PublicIP: "47.0.0.1", Prepaid: true, Expires: expires,
		Tags: map[string]string{"Env": "prod", "负责人": "李雷", "用途": "官网", "acs:system": "x"},
	}, {ID: "i-2", Status: "Stopped", Expires: expires}}}
	sink := &memorySink{}
	if err := inventoryOf(t, cloud).Collect(t.Context(), atMinute(1), sink); err != nil {
		t.Fatal(err)
	}
	ts := atMinute(1).UnixMilli()
	series := func(name, id string, more ...string) labels.Labels {
		return labels.FromStrings(append([]string{"__name__", name, "customer", "acme", "product", "ecs", "region", "cn-hangzhou", "instance", id}, more...)...)
	}
	want := []sample.Batch{{
		Source: sample.Source{Customer: "acme", Name: "aliyun/main/cn-hangzhou/ecs-inventory"},
		Samples: []sample.Sample{
			{Labels: series(contract.AliyunECSInfo, "i-1", "name", "web-1", "zone", "cn-hangzhou-b", "instance_type", "ecs.g7.large", "os", "Debian",
				"vpc", "vpc-1", "private_ip", "10.0.0.1", "public_ip", "47.0.0.1", "tag_env", "prod", "owner", "李雷"), T: ts, V: 1},
			{Labels: series(contract.AliyunECSRunning, "i-1"), T: ts, V: 1},
			{Labels: series(contract.AliyunECSExpiryTimestampSeconds, "i-1"), T: ts, V: float64(expires.Unix())},
			{Labels: series(contract.AliyunECSInfo, "i-2"), T: ts, V: 1},
			{Labels: series(contract.AliyunECSRunning, "i-2"), T: ts, V: 0},
		},
		Ups:       []sample.Up{{T: ts, OK: true}},
		Watermark: sample.Current,
	}}
	if diff := cmp.Diff(want, sink.batches, cmp.Comparer(labels.Equal)); diff != "" {
		t.Error(diff)
	}
}

func TestListThatBreaksOffDeliversNothing(t *testing.T) {
	cloud := &fakeClient{}
	for n := range 250 {
		cloud.instances = append(cloud.instances, Instance{ID: fmt.Sprintf("i-%d", n)})
	}
	sink := &memorySink{}
	c := inventoryOf(t, cloud)
	cloud.fail = func(call int) error {
		if call == 3 {
			return &Error{Kind: ErrUnavailable}
		}
		return nil
	}
	if err := c.Collect(t.Context(), atMinute(1), sink); !errors.Is(err, ErrUnavailable) || len(sink.batches) > 0 {
		t.Errorf("error %v, %d batches", err, len(sink.batches))
	}
	cloud.fail = nil
	if err := c.Collect(t.Context(), atMinute(2), sink); err != nil || len(sink.last().Samples) != 500 {
		t.Errorf("error %v, %d samples, want two of each of 250 instances", err, len(sink.last().Samples))
	}
}

func TestPresenceNeedsBothSources(t *testing.T) {
	both := []string{"i-1", "i-2"}
	// Lists at the minutes; i-2's points; when i-2 counts as gone.
	f := func(name string, lists map[int][]string, points []int, goneFrom int) {
		t.Helper()
		p := newPresence()
		for n := 0; n <= 60; n++ {
			if ids, ok := lists[n]; ok {
				p.list(minute(n), ids)
			}
			for _, at := range points {
				if at == n {
					p.point("i-2", minute(n))
				}
			}
			want := goneFrom >= 0 && n >= goneFrom
			if got := p.gone("i-2", minute(n)); got != want {
				t.Errorf("%s: minute %d: gone %v, want %v", name, n, got, want)
				return
			}
			if p.gone("i-1", minute(n)) {
				t.Errorf("%s: minute %d: i-1 is gone", name, n)
				return
			}
		}
	}
	one := []string{"i-1"}
	f("still listed", map[int][]string{0: both, 5: both, 10: both}, nil, -1)
	f("absent twice, then the delay", map[int][]string{0: both, 5: one, 10: one}, []int{3}, 15)
	f("absent once", map[int][]string{0: both, 5: one}, nil, -1)
	f("empty lists say nothing", map[int][]string{0: both, 5: {}, 10: {}, 15: {}}, nil, -1)
	f("fresh points contradict", map[int][]string{0: both, 5: one, 10: one}, []int{6}, -1)
	f("back again", map[int][]string{0: both, 5: one, 10: one, 14: both}, nil, -1)
	f("never listed", map[int][]string{0: one, 5: one}, nil, 10)
}

func TestInventoryEndsWhatIsGoneAndForgetsIt(t *testing.T) {
	cloud := &fakeClient{instances: []Instance{{ID: "i-1"}, {ID: "i-2"}}}
	sink := &memorySink{}
	c := inventoryOf(t, cloud)
	for n := 0; n <= 4*24*60; n += 60 {
		if n == 60 {
			cloud.instances = cloud.instances[:1]
		}
		if err := c.Collect(t.Context(), atMinute(n), sink); err != nil {
			t.Fatal(err)
		}
	}
	ended := 0
	for _, b := range sink.batches {
		for _, e := range b.Ends {
			ended++
			if e.Labels.Get("instance") != "i-2" || e.T != atMinute(0).UnixMilli() || e.Reason != "deleted" {
				t.Errorf("end mark %+v", e)
			}
		}
	}
	if ended != 2 {
		t.Errorf("%d end marks, want those of info and running", ended)
	}
	if len(c.info) != 1 || len(c.presence.listed) != 1 {
		t.Errorf("still known: %v, %v", c.info, c.presence.listed)
	}
}

func TestGoneInstanceIsForgottenInTheEnd(t *testing.T) {
	p := newPresence()
	p.list(minute(0), []string{"i-1", "i-2"})
	p.point("i-2", minute(0))
	p.list(minute(5), []string{"i-1"})
	p.forget(minute(6))
	if len(p.listed) != 1 || len(p.newest) != 0 {
		t.Errorf("remembered: %v, %v", p.listed, p.newest)
	}
}
