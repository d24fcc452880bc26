package aliyun

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// scripted answers with its errors in turn, then well.
type scripted struct {
	Client
	errs  []error
	times []time.Time
}

func (s *scripted) MetricList(context.Context, MetricQuery) (MetricPage, error) {
	s.times = append(s.times, time.Now())
	if n := len(s.times); n <= len(s.errs) {
		return MetricPage{}, s.errs[n-1]
	}
	return MetricPage{Datapoints: "[]"}, nil
}

func newCaller(client Client, perSecond float64) *caller {
	b := NewBudgets(metrics.NewSet()).of("acme", AccountConfig{Name: "main", CallsPerSecond: perSecond, CallsPerMonth: 1_000_000})
	return &caller{client: client, budget: b, timeout: 10 * time.Second, tries: maxTries}
}

func TestOnlyWhatAnotherTryCanHelpIsTriedAgain(t *testing.T) {
	f := func(kind error, wantCalls int, wantErr bool) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			failing := &Error{Kind: kind}
			client := &scripted{errs: []error{failing, failing}}
			_, err := newCaller(client, 20).MetricList(t.Context(), MetricQuery{Region: "cn-hangzhou"})
			if (err != nil) != wantErr || len(client.times) != wantCalls {
				t.Errorf("%v: %d calls, error %v", kind, len(client.times), err)
			}
			if wantErr && !errors.Is(err, kind) {
				t.Errorf("%v: error %v", kind, err)
			}
		})
	}
	f(ErrThrottled, 3, false)
	f(ErrUnavailable, 3, false)
	f(ErrAnswer, 3, false)
	f(ErrAuth, 1, true)
	f(ErrForbidden, 1, true)
	f(ErrParameter, 1, true)
	f(ErrQuota, 1, true)
}

func TestTriesEndAndPausesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := &Error{Kind: ErrUnavailable}
		client := &scripted{errs: []error{broken, broken, broken, broken, broken}}
		_, err := newCaller(client, 20).MetricList(t.Context(), MetricQuery{})
		if !errors.Is(err, ErrUnavailable) || len(client.times) != maxTries {
			t.Fatalf("%d calls, error %v", len(client.times), err)
		}
		for i := 1; i < maxTries; i++ {
			pause, most := client.times[i].Sub(client.times[i-1]), firstBackoff<<(i-1)
			if pause < most/2 || pause > most {
				t.Errorf("pause %d: %s, want %s to %s", i, pause, most/2, most)
			}
		}
	})
}

// What one caller is told holds for all callers of the account.
func TestThrottlingPausesTheWholeAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttled := &scripted{errs: []error{&Error{Kind: ErrThrottled}}}
		first := newCaller(throttled, 20)
		other := *first
		otherClient := &scripted{}
		other.client = otherClient
		started := time.Now()
		done := make(chan error)
		go func() {
			_, err := first.MetricList(t.Context(), MetricQuery{})
			done <- err
		}()
		synctest.Wait()
		if _, err := other.MetricList(t.Context(), MetricQuery{}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if waited := otherClient.times[0].Sub(started); waited < firstBackoff/2 {
			t.Errorf("the other caller waited %s", waited)
		}
	})
}

func TestCallsPerSecondAreKeptByTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &scripted{}
		c := newCaller(client, 20)
		for range 41 {
			if _, err := c.MetricList(t.Context(), MetricQuery{}); err != nil {
				t.Fatal(err)
			}
		}
		if spent := client.times[40].Sub(client.times[0]); spent != 2*time.Second {
			t.Errorf("41 calls in %s, want 2s", spent)
		}
	})
}

func TestWaitingForTheLimitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(&scripted{}, 0.01)
		if _, err := c.MetricList(t.Context(), MetricQuery{}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.MetricList(ctx, MetricQuery{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
	})
}

func TestClassify(t *testing.T) {
	f := func(code string, status int, want error) {
		t.Helper()
		if got := Classify(code, status, ""); got != want {
			t.Errorf("%q with %d: %v, want %v", code, status, got, want)
		}
	}
	f("Throttling", 400, ErrThrottled)
	f("Throttling.User", 400, ErrThrottled)
	f("", http.StatusTooManyRequests, ErrThrottled)
	f("SignatureDoesNotMatch", 400, ErrAuth)
	f("InvalidAccessKeyId.NotFound", 404, ErrAuth)
	f("InvalidTimeStamp.Expired", 400, ErrAuth)
	f("InvalidSecurityToken.Expired", 403, ErrAuth)
	f("Forbidden.RAM", 403, ErrForbidden)
	f("AccessForbidden", 403, ErrForbidden)
	f("ParameterInvalid", 400, ErrParameter)
	f("ResourceNotFound", 404, ErrParameter)
	f("InternalError", 500, ErrUnavailable)
	f("ServiceUnavailable", 503, ErrUnavailable)
	f("", 503, ErrUnavailable)
	f("SignatureNonceUsed", 400, ErrUnavailable)
	f("500", 200, ErrUnavailable)
	f("400", 200, ErrParameter)
	f("", 200, ErrAnswer)
	if got := Classify("Throttling", 400, "user api quota limit"); got != ErrQuota {
		t.Errorf("quota: %v", got)
	}
}
