package aliyun

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// mint makes numbered keys of an hour; it fails while broken is set.
type mint struct {
	mu     sync.Mutex
	made   int
	tries  int
	broken error
	takes  time.Duration
}

func (m *mint) fetch(ctx context.Context) (temporary, error) {
	time.Sleep(m.takes)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries++
	if m.broken != nil {
		return temporary{}, m.broken
	}
	m.made++
	return temporary{Credentials: Credentials{AccessKeyID: fmt.Sprintf("STS.%d", m.made)}, expires: time.Now().Add(time.Hour)}, nil
}

func TestKeysAreRenewedBeforeTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{}
		keys := newRenewing(m.fetch, time.Second, slog.New(slog.DiscardHandler))
		want := func(id string) {
			t.Helper()
			if c, err := keys.credentials(); err != nil || c.AccessKeyID != id {
				t.Errorf("got %s, %v, want %s", c.AccessKeyID, err, id)
			}
		}
		want("STS.1")
		time.Sleep(49 * time.Minute)
		want("STS.1")
		time.Sleep(2 * time.Minute)
		want("STS.2")
		// The service fails: the old key is used as long as it holds.
		m.broken = errors.New("down")
		time.Sleep(55 * time.Minute)
		want("STS.2")
		time.Sleep(5*time.Minute - 30*time.Second)
		if _, err := keys.credentials(); !errors.Is(err, m.broken) {
			t.Errorf("after the end: %v", err)
		}
		m.broken = nil
		time.Sleep(failurePause)
		want("STS.3")
		keys.discard(Credentials{AccessKeyID: "STS.2"}) // refused late; a newer key is there
		want("STS.3")
		keys.discard(Credentials{AccessKeyID: "STS.3"})
		want("STS.4")
	})
}

func TestOneCallerFetchesTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{takes: time.Second}
		keys := newRenewing(m.fetch, time.Minute, slog.New(slog.DiscardHandler))
		all := func() map[string]int {
			got := map[string]int{}
			var mu sync.Mutex
			var done sync.WaitGroup
			for range 20 {
				done.Go(func() {
					c, err := keys.credentials()
					mu.Lock()
					defer mu.Unlock()
					got[fmt.Sprint(c.AccessKeyID, err)]++
				})
			}
			done.Wait()
			return got
		}
		if got := all(); got["STS.1<nil>"] != 20 {
			t.Errorf("first: %v", got)
		}
		time.Sleep(55 * time.Minute)
		if got := all(); got["STS.1<nil>"] != 19 || got["STS.2<nil>"] != 1 {
			t.Errorf("renewal: %v", got)
		}
		if m.made != 2 {
			t.Errorf("%d keys were made", m.made)
		}
	})
}

// In an outage of STS all collectors of an account want a key all the time.
func TestAFailingServiceIsNotStormed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{broken: errors.New("down"), takes: 100 * time.Millisecond}
		keys := newRenewing(m.fetch, time.Minute, slog.New(slog.DiscardHandler))
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				for range 100 {
					if _, err := keys.credentials(); !errors.Is(err, m.broken) {
						t.Errorf("got %v", err)
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		all.Wait()
		if m.tries < 2 || m.tries > 8 {
			t.Errorf("%d tries in about ten seconds", m.tries)
		}
		m.broken = nil
		time.Sleep(failurePause)
		if c, err := keys.credentials(); err != nil || c.AccessKeyID != "STS.1" {
			t.Errorf("after the outage: %v, %v", c.AccessKeyID, err)
		}
	})
}

// metadataServer plays the service of an instance with the role "watch".
func metadataServer(t *testing.T, hardened bool, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case hardened && r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-aliyun-ecs-metadata-token-ttl-seconds") != "":
			fmt.Fprint(w, "tok")
		case hardened && r.Header.Get("X-aliyun-ecs-metadata-token") != "tok":
			w.WriteHeader(http.StatusForbidden)
		case r.Method == http.MethodGet && r.URL.Path == "/latest/meta-data/ram/security-credentials/watch":
			fmt.Fprint(w, body)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const goodKey = `{"AccessKeyId":"STS.x","AccessKeySecret":"s3cr3t","Expiration":"2030-01-01T00:00:00Z","SecurityToken":"t0k3n","LastUpdated":"2029-12-31T18:00:00Z","Code":"Success"}`

func TestKeysOfTheInstance(t *testing.T) {
	for _, hardened := range []bool{false, true} {
		key, err := newMetadata(metadataServer(t, hardened, goodKey), "watch").fetch(t.Context())
		if err != nil || key.AccessKeyID != "STS.x" || key.SecurityToken.Reveal() != "t0k3n" || key.expires.Year() != 2030 {
			t.Errorf("hardened %v: %v, %v", hardened, key, err)
		}
	}
	f := func(role, body, want string) {
		t.Helper()
		_, err := newMetadata(metadataServer(t, true, body), role).fetch(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: got %v, want %s", body, err, want)
		}
	}
	f("other", goodKey, "no such role")
	f("watch", strings.Replace(goodKey, "Success", "Failed", 1), "cannot be read")
	f("watch", `{"AccessKeySecret":"s3cr3t","Code":"Success"}`, "cannot be read")
	f("watch", `<html>s3cr3t`, "cannot be read")
	f("watch", strings.Repeat("x", maxMetadataBytes+1), "more than")
}

// The keys of the instance's role assume another role.
func TestInstanceRoleAssumesARole(t *testing.T) {
	var calls []string
	cfg := AccountConfig{
		Name: "main", Regions: []string{"cn-hangzhou"}, ECSRole: "watch", RoleARN: "acs:ram::1234567890123456:role/reader", RoleExternalID: "acme",
	}.WithDefaults()
	if err := cfg.validate(); err != nil {
		t.Fatal(err)
	}
	deps := Deps{Log: slog.New(slog.DiscardHandler), metadata: metadataServer(t, false, goodKey)}
	deps.NewClient = func(c ClientConfig) (Client, error) {
		return signer{c.Credentials, func(by string, r Request) []byte {
			calls = append(calls, by+" "+r.Action+" "+r.Query["ExternalId"])
			return []byte(`{"Credentials":` + strings.Replace(goodKey, "STS.x", "STS.role", 1) + `}`)
		}}, nil
	}
	client, err := newClient(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Do(t.Context(), Request{Action: "DescribeRegions"}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(calls, ", "); got != "STS.x AssumeRole acme, STS.role DescribeRegions " {
		t.Errorf("calls: %s", got)
	}
}

// signer is a client that tells whose key signs.
type signer struct {
	keys   CredentialSource
	answer func(by string, r Request) []byte
}

func (s signer) MetricList(context.Context, MetricQuery) (MetricPage, error) {
	return MetricPage{}, errors.New("not played")
}

func (s signer) Instances(context.Context, InstanceQuery) (InstancePage, error) {
	return InstancePage{}, errors.New("not played")
}

func (s signer) Do(_ context.Context, r Request) ([]byte, error) {
	c, err := s.keys()
	if err != nil {
		return nil, err
	}
	return s.answer(c.AccessKeyID, r), nil
}

func TestValidateRoles(t *testing.T) {
	f := func(change func(*AccountConfig), want string) {
		t.Helper()
		a := AccountConfig{Name: "main", Regions: []string{"cn-hangzhou"}, AccessKeyID: "id", AccessKeySecret: NewSecret("s")}
		change(&a)
		err := Config{Accounts: []AccountConfig{a}}.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	const arn = "acs:ram::1234567890123456:role/watch"
	f(func(a *AccountConfig) { a.RoleARN = arn }, "")
	f(func(a *AccountConfig) { a.ECSRole = "watch" }, "accounts[0].ecs_role: is set beside an AccessKey")
	f(func(a *AccountConfig) { a.ECSRole, a.AccessKeyID, a.AccessKeySecret = "watch", "", Secret{} }, "")
	f(func(a *AccountConfig) { a.ECSRole, a.AccessKeyID, a.AccessKeySecret = "../x", "", Secret{} }, "accounts[0].ecs_role")
	f(func(a *AccountConfig) { a.RoleARN = "watch" }, "accounts[0].role_arn")
	f(func(a *AccountConfig) { a.RoleARN, a.RoleSessionName = arn, "a b" }, "accounts[0].role_session_name")
	f(func(a *AccountConfig) { a.RoleARN, a.RoleExternalID = arn, "a b" }, "accounts[0].role_external_id")
	f(func(a *AccountConfig) { a.RoleExternalID = "acme" }, "accounts[0].role_external_id: is set without role_arn")
	f(func(a *AccountConfig) { a.RoleARN = arn; _ = a.RoleDuration.Set("1m") }, "accounts[0].role_duration")
	f(func(a *AccountConfig) { a.Events.Read = []string{"ecs", "ecs"} }, `accounts[0].events.read[1]: "ecs" is there twice`)
	f(func(a *AccountConfig) { a.Events.Read = []string{"all"} }, "accounts[0].events.read[0]")
	f(func(a *AccountConfig) { _ = a.Events.Interval.Set("1h") }, "accounts[0].events.interval")
}
