package cli

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/api"
	"watchkeeper/internal/app/apptest"
)

// restlessRules settle within seconds, and late samples miss them.
const restlessRules = `groups:
- name: queue
  interval: 1s
  rules:
  - {alert: Long, expr: queue_length > 10, consecutive: 2, lateness: 3s, missing_after: 1s}
  - {alert: Silent, expr: queue_length > 1000, consecutive: 3, missing: breach, lateness: 2s}
  - {alert: Rising, expr: 'delta(queue_length[5s]) > 20', consecutive: 1, missing: reset, lateness: 3s}
  - {alert: Worst, expr: sqrt(queue_length) > 5, consecutive: 2, lateness: 4s}
`

// sender sends a second's samples again and again until they are taken, as senders do,
// some of them seconds late.
type sender struct {
	url   atomic.Pointer[string]
	rng   *rand.Rand
	held  []apptest.Point
	taken int
}

func (s *sender) run(stop <-chan struct{}) {
	for last := time.Now().Unix(); ; {
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
		for now := time.Now().Unix(); last < now; last++ {
			s.measure((last + 1) * 1000)
		}
		s.deliver(stop)
	}
}

func (s *sender) measure(t int64) {
	for i := range 6 {
		if s.rng.IntN(8) > 0 {
			s.held = append(s.held, apptest.Point{Series: labels.FromStrings("__name__", "queue_length", "instance", fmt.Sprint(i)), T: t - s.rng.Int64N(1000), V: []float64{5, 99, 60}[s.rng.IntN(3)]})
		}
	}
}

// deliver sends what is held, but for a part that is to come later.
func (s *sender) deliver(stop <-chan struct{}) {
	var now, later []apptest.Point
	for _, p := range s.held {
		if s.rng.IntN(5) == 0 && time.Now().UnixMilli()-p.T < 6000 {
			later = append(later, p)
		} else {
			now = append(now, p)
		}
	}
	for s.held = later; len(now) > 0; {
		if code, err := apptest.TryWriteV1(*s.url.Load()+"/api/v1/write", now...); err == nil && code < 500 {
			s.taken += len(now)
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// A server that is killed at any moment, again and again, while senders go on, writes the
// settled log that a replay makes of what it has stored, and tells nothing twice.
func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	dir, _ := pushed(t)
	write(t, filepath.Join(dir, "rules.yml"), restlessRules)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := &sender{rng: rand.New(rand.NewPCG(seed, 1))}
	from := time.Now().Truncate(time.Second)
	d := start(t, dir)
	s.url.Store(&d.url)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { s.run(stop) })
	for range 5 {
		time.Sleep(time.Duration(500+rng.IntN(2500)) * time.Millisecond)
		d.stop(syscall.SIGKILL)
		d = start(t, dir)
		s.url.Store(&d.url)
	}
	time.Sleep(2 * time.Second)
	close(stop)
	wg.Wait()
	end := time.Now().Truncate(time.Second)
	marker := apptest.Point{Series: labels.FromStrings("__name__", "queue_length", "instance", "last"), T: end.Add(3 * time.Second).UnixMilli(), V: 99}
	if code, body := apptest.WriteV1(t, d.url+"/api/v1/write", "", marker); code != http.StatusNoContent {
		t.Fatalf("write: %d %s", code, body)
	}
	apptest.Until(t, "what comes after it in the settled log", func() bool { return strings.Contains(lines(t, dir, "settled"), `"instance":"last"`) })
	if code := d.stop(syscall.SIGTERM); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	replayed := ok(t, dir, "rules", "replay", "--rules", "rules.yml", "--data", "data", "--log", "settled",
		"--from", from.Add(-time.Hour).UTC().Format(time.RFC3339), "--to", end.UTC().Format(time.RFC3339))
	want := upTo(t, lines(t, dir, "settled"), end)
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(strings.Lines(replayed))); diff != "" {
		t.Errorf("settled log (-server +replay):\n%s", diff)
	}
	if len(want) < 20 || s.taken < 50 {
		t.Errorf("%d settled lines of %d samples tell too little", len(want), s.taken)
	}
	notTwice(t, decoded[api.IncidentList](t, dir, "incidents", "list", "--data", "data", "--format", "json"))
}

// notTwice fails where two incidents of an alert were open at once.
func notTwice(t *testing.T, list api.IncidentList) {
	t.Helper()
	for i, a := range list.Incidents {
		for _, b := range list.Incidents[i+1:] {
			apart := !a.Open() && !a.ClosedAt.After(b.OpenedAt) || !b.Open() && !b.ClosedAt.After(a.OpenedAt)
			if a.Alert == b.Alert && labels.Equal(a.Labels, b.Labels) && !apart {
				t.Errorf("incidents %d and %d of %s%v were open at once", a.ID, b.ID, a.Alert, a.Labels)
			}
		}
	}
}

// lines reads a log of the rule engine.
func lines(t *testing.T, dir, log string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "data", "log", log+"-*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	return out.String()
}

// upTo returns the lines of the checks not after a time.
func upTo(t *testing.T, log string, end time.Time) (out []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var l struct{ Check time.Time }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if !l.Check.After(end) {
			out = append(out, line)
		}
	}
	return out
}
