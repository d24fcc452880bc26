package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

var product = server.Product{Kind: "thing", Label: "thing"}

// readerFunc makes a reader of a function.
type readerFunc func(ctx context.Context, r *server.Reading) error

func (f readerFunc) Read(ctx context.Context, r *server.Reading) error { return f(ctx, r) }

func collector(set *metrics.Set, f readerFunc, secrets ...server.Secret) *server.Collector {
	return server.New("acme", product, server.Settings{Name: "one"}, f, secrets, set, servertest.Log)
}

func failing(err error) *server.Collector {
	return collector(metrics.NewSet(), func(context.Context, *server.Reading) error { return err })
}

func TestReasons(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		servertest.WantReason(t, failing(err), want)
	}
	f(&net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}, server.ReasonDNS)
	f(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "h"}}, server.ReasonDNS)
	f(&net.DNSError{Err: "i/o timeout", Name: "h", IsTimeout: true}, server.ReasonTimeout)
	f(context.DeadlineExceeded, server.ReasonTimeout)
	f(io.ErrUnexpectedEOF, server.ReasonClosed)
	f(fmt.Errorf("password: %w", os.ErrNotExist), server.ReasonConfig)
	f(&net.OpError{Op: "dial", Net: "unix", Err: os.ErrNotExist}, server.ReasonConnect)
	f(fmt.Errorf("outer: %w", server.Failed(server.ReasonAuth, "no")), server.ReasonAuth)
	f(errors.New("?"), server.ReasonOther)
}

func TestErrorIsOneShortLineOnce(t *testing.T) {
	err := failing(server.Failed(server.ReasonStatus, "a\r\nb\x00\t%s", strings.Repeat("x", 1000))).Collect(t.Context(), servertest.At, new(servertest.Sink))
	if want := "status: a b " + strings.Repeat("x", 296) + "…"; err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

// A failure is counted under its reason, beside the reads.
func TestCounts(t *testing.T) {
	set := metrics.NewSet()
	fails := true
	c := collector(set, func(_ context.Context, r *server.Reading) error {
		if fails {
			return server.Failed(server.ReasonAuth, "no")
		}
		r.Add("thing_up", 1)
		r.Miss("part", errors.New("hidden"))
		return nil
	})
	_ = c.Collect(t.Context(), servertest.At, new(servertest.Sink))
	fails = false
	servertest.Collect(t, c)
	count := func(name string) uint64 { return set.GetOrCreateCounter(name).Get() }
	got := []uint64{
		count(`watchkeeper_middleware_reads_total{kind="thing"}`),
		count(`watchkeeper_middleware_read_failures_total{kind="thing",reason="auth"}`),
		count(`watchkeeper_middleware_read_failures_total{kind="thing",reason="timeout"}`),
		count(`watchkeeper_middleware_part_failures_total{kind="thing",part="part"}`),
	}
	if diff := cmp.Diff([]uint64{2, 1, 0, 1}, got); diff != "" {
		t.Errorf("reads, auth, timeout, part (-want +got):\n%s", diff)
	}
}

// The process's own stop is nobody's failure.
func TestOwnStop(t *testing.T) {
	set := metrics.NewSet()
	ctx, cancel := context.WithCancel(t.Context())
	c := collector(set, func(context.Context, *server.Reading) error {
		cancel()
		return errors.New("cut short")
	})
	if err := c.Collect(ctx, servertest.At, new(servertest.Sink)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if n := set.GetOrCreateCounter(`watchkeeper_middleware_read_failures_total{kind="thing",reason="other"}`).Get(); n != 0 {
		t.Errorf("%d failures counted", n)
	}
}

func TestSeriesLimitAndNumbers(t *testing.T) {
	set := metrics.NewSet()
	c := collector(set, func(_ context.Context, r *server.Reading) error {
		r.Add("thing_nan", math.NaN())
		r.Add("thing_inf", math.Inf(1))
		for i := range 6_000 {
			r.Add("thing", 1, "i", fmt.Sprint(i))
		}
		return nil
	})
	if n := len(servertest.Collect(t, c)); n != 5_000 {
		t.Errorf("%d series, want the limit of 5000", n)
	}
	if n := set.GetOrCreateCounter(`watchkeeper_middleware_part_failures_total{kind="thing",part="series"}`).Get(); n != 1 {
		t.Errorf("missed %d times, want 1", n)
	}
}

// A changed password is used at once, and neither the new nor the old one shows.
func TestSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret := server.Credentials{PasswordFile: path}.Secret()
	var seen []string
	c := collector(metrics.NewSet(), func(context.Context, *server.Reading) error {
		plain, err := secret.Reveal()
		if err != nil {
			return err
		}
		seen = append(seen, plain)
		return server.Failed(server.ReasonAuth, "refused: first/word second+word first%%2Fword")
	}, secret)
	for _, text := range []string{"first/word\r\n", "second+word\n"} {
		write(text)
		err := c.Collect(t.Context(), servertest.At, new(servertest.Sink))
		if err == nil || strings.Contains(err.Error(), strings.TrimSpace(text)) || strings.Contains(err.Error(), "%2F") {
			t.Errorf("error %v", err)
		}
	}
	if diff := cmp.Diff([]string{"first/word", "second+word"}, seen); diff != "" {
		t.Errorf("passwords (-want +got):\n%s", diff)
	}
	for _, shown := range []string{fmt.Sprint(secret), fmt.Sprintf("%v %+v %#v %s", secret, secret, secret, secret)} {
		if strings.Contains(shown, "word") {
			t.Errorf("printed as %s", shown)
		}
	}
	t.Setenv("THING_PASSWORD", "from the environment")
	if plain, err := (server.Credentials{PasswordEnv: "THING_PASSWORD"}).Secret().Reveal(); err != nil || plain != "from the environment" {
		t.Errorf("%q, %v", plain, err)
	}
	if _, err := (server.Credentials{PasswordEnv: "THING_NONE"}).Secret().Reveal(); err == nil {
		t.Error("an unset variable is a password")
	}
}

// A thing that is gone ends its series once; while nobody may look, it does not.
func TestPresence(t *testing.T) {
	var p server.Presence
	present, may, cut := []string{"a", "b"}, true, false
	c := collector(metrics.NewSet(), func(_ context.Context, r *server.Reading) error {
		if !may {
			return nil
		}
		for _, name := range present {
			p.Add(r, name, func() { r.Add("thing", 1, "name", name) })
		}
		if cut {
			p.Carry()
			return nil
		}
		p.Settle(r, "deleted")
		return nil
	})
	step := func(want ...string) {
		t.Helper()
		var got []string
		for _, e := range servertest.CollectAt(t, c, servertest.At).Ends {
			got = append(got, e.Labels.Get("name")+" "+e.Reason)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ended (-want +got):\n%s", diff)
		}
	}
	step()
	may = false
	step()
	may, present = true, []string{"a"}
	step("b deleted")
	step()
	// A list that is cut off ends nothing; what it shows is known.
	cut, present = true, []string{"c"}
	step()
	present = nil
	step()
	cut = false
	step("c deleted")
}

func TestSettings(t *testing.T) {
	f := func(s server.Settings, want string) {
		t.Helper()
		got := ""
		if err := s.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%+v: error %q, want %q", s, got, want)
		}
	}
	f(server.Settings{Name: "a"}, "")
	f(server.Settings{Name: "a", Interval: model.Duration(5 * time.Second)}, "")
	f(server.Settings{}, "name: must not be empty")
	f(server.Settings{Name: "a\xff"}, "name: must be UTF-8 of at most 128 bytes")
	f(server.Settings{Name: "a", Timeout: -1}, "timeout: 0s is not between 0s and 30s, the most with interval 1m")
	f(server.Settings{Name: "a", Timeout: model.Duration(5 * time.Second), Interval: model.Duration(5 * time.Second)},
		"timeout: 5s is not between 0s and 4s, the most with interval 5s")
}
