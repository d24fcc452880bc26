package aliyun

import "testing"

func TestPresenceNeedsBothSources(t *testing.T) {
	both := []string{"i-1", "i-2"}
	// Lists at the minutes; i-2's points; when i-2 counts as gone.
	f := func(name string, lists map[int][]string, points []int, goneFrom int) {
		t.Helper()
		p := NewPresence()
		for n := 0; n <= 60; n++ {
			if ids, ok := lists[n]; ok {
				p.List(minute(n), ids)
			}
			for _, at := range points {
				if at == n {
					p.Point("i-2", minute(n))
				}
			}
			want := goneFrom >= 0 && n >= goneFrom
			if got := p.Gone("i-2", minute(n)); got != want {
				t.Errorf("%s: minute %d: gone %v, want %v", name, n, got, want)
				return
			}
			if p.Gone("i-1", minute(n)) {
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

func TestGoneInstanceIsForgottenInTheEnd(t *testing.T) {
	p := NewPresence()
	p.List(minute(0), []string{"i-1", "i-2"})
	p.Point("i-2", minute(0))
	p.List(minute(5), []string{"i-1"})
	p.Forget(minute(6))
	if len(p.listed) != 1 || len(p.newest) != 0 {
		t.Errorf("remembered: %v, %v", p.listed, p.newest)
	}
}
