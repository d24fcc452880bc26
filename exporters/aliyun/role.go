package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Renewal of temporary keys.
const (
	// renewBefore the end a new key is fetched, or at half of a shorter life.
	renewBefore = 10 * time.Minute
	// renewPause lies between two failed tries while the key still holds.
	renewPause = 15 * time.Second
	// failurePause is how long a failed try counts for everybody when no key holds:
	// a hundred collectors and their retries would call STS without end.
	failurePause = 2 * time.Second
	// useBefore the end a key is not used any more: a request takes time to arrive.
	useBefore = 30 * time.Second
)

// newClient makes the account's client: signed by the configured key, by that of
// the ECS instance's role, or by that of a role which one of them assumes.
func newClient(cfg AccountConfig, deps Deps) (Client, error) {
	adapter := ClientConfig{
		Credentials: credentialSource(cfg), Scheme: cfg.Scheme, Endpoint: cfg.Endpoint, Timeout: time.Duration(cfg.CallTimeout),
	}
	log := deps.Log.With("account", cfg.Name)
	wrap := func(keys *renewing) (Client, error) {
		adapter.Credentials = keys.credentials
		client, err := deps.NewClient(adapter)
		return roleClient{client, keys}, err
	}
	var client Client
	var err error
	if cfg.ECSRole != "" {
		base := deps.metadata
		if base == "" {
			base = metadataBase
		}
		client, err = wrap(newRenewing(newMetadata(base, cfg.ECSRole).fetch, metadataTimeout, log))
	} else {
		client, err = deps.NewClient(adapter)
	}
	if err != nil || cfg.RoleARN == "" {
		return client, err
	}
	return wrap(newRenewing(assumeRole(cfg, client), time.Duration(cfg.CallTimeout), log))
}

// temporary is a key with its end.
type temporary struct {
	Credentials
	expires time.Time
}

// renewing hands out a temporary key and fetches the next one before it ends.
// While one caller fetches, the others use the key that still holds.
type renewing struct {
	fetch func(context.Context) (temporary, error)
	limit time.Duration // of one fetch
	now   func() time.Time
	log   *slog.Logger

	fetching chan struct{} // holds one value during a fetch

	mu      sync.Mutex
	have    temporary // guarded by mu
	renewAt time.Time // guarded by mu
	failure error     // guarded by mu; of the newest try, while no key holds
	retryAt time.Time // guarded by mu
}

func newRenewing(fetch func(context.Context) (temporary, error), limit time.Duration, log *slog.Logger) *renewing {
	return &renewing{fetch: fetch, limit: limit, now: time.Now, log: log, fetching: make(chan struct{}, 1)}
}

// credentials implements CredentialSource.
func (r *renewing) credentials() (Credentials, error) {
	key, holds, due := r.current()
	if holds && !due {
		return key, nil
	}
	if holds {
		select {
		case r.fetching <- struct{}{}:
		default:
			return key, nil // somebody is fetching the next one
		}
	} else {
		r.fetching <- struct{}{} // each fetch is bounded by limit
	}
	defer func() { <-r.fetching }()
	if key, holds, due = r.current(); holds && !due {
		return key, nil // another caller was faster
	}
	if err := r.failedLately(); err != nil && !holds {
		return Credentials{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.limit)
	defer cancel()
	next, err := r.fetch(ctx)
	now := r.now()
	if err == nil && !next.expires.After(now.Add(useBefore)) {
		err = fmt.Errorf("the new key ends at %s, which this machine's clock has reached", next.expires.UTC().Format(time.RFC3339))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if !holds {
			r.failure, r.retryAt = err, now.Add(failurePause)
			return Credentials{}, err
		}
		r.renewAt = now.Add(renewPause)
		r.log.Warn("temporary key not renewed", "expires", r.have.expires.UTC(), "err", err)
		return key, nil
	}
	r.have, r.failure = next, nil
	r.renewAt = next.expires.Add(-min(renewBefore, next.expires.Sub(now)/2))
	return next.Credentials, nil
}

func (r *renewing) current() (key Credentials, holds, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	return r.have.Credentials, now.Before(r.have.expires.Add(-useBefore)), !now.Before(r.renewAt)
}

func (r *renewing) failedLately() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now().Before(r.retryAt) {
		return r.failure
	}
	return nil
}

// discard forgets a key that the service refuses, unless a newer one is there.
func (r *renewing) discard(refused Credentials) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.have.AccessKeyID == refused.AccessKeyID {
		r.have = temporary{}
	}
}

// roleClient is a Client whose temporary key may be refused before its time: a
// revoked session, a clock that is off. It then tries once more with a new key.
type roleClient struct {
	Client
	keys *renewing
}

func (c roleClient) MetricList(ctx context.Context, q MetricQuery) (page MetricPage, err error) {
	err = c.again(func() error { page, err = c.Client.MetricList(ctx, q); return err })
	return page, err
}

func (c roleClient) Instances(ctx context.Context, q InstanceQuery) (page InstancePage, err error) {
	err = c.again(func() error { page, err = c.Client.Instances(ctx, q); return err })
	return page, err
}

func (c roleClient) Do(ctx context.Context, r Request) (body []byte, err error) {
	err = c.again(func() error { body, err = c.Client.Do(ctx, r); return err })
	return body, err
}

func (c roleClient) again(call func() error) error {
	used, _, _ := c.keys.current()
	err := call()
	if !tokenRefused(err) {
		return err
	}
	c.keys.discard(used)
	return call()
}

// tokenRefused: an expired token, one of another key, or a temporary key that the
// service has forgotten.
func tokenRefused(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == ErrAuth &&
		(strings.HasPrefix(e.Code, "InvalidSecurityToken") || e.Code == "InvalidAccessKeyId.NotFound")
}

// assumeRole fetches keys of cfg.RoleARN through a client that signs with the base key.
func assumeRole(cfg AccountConfig, base Client) func(context.Context) (temporary, error) {
	region := cfg.Regions[0]
	return func(ctx context.Context) (temporary, error) {
		query := map[string]string{
			"RoleArn": cfg.RoleARN, "RoleSessionName": cfg.RoleSessionName,
			"DurationSeconds": strconv.Itoa(int(time.Duration(cfg.RoleDuration).Seconds())),
		}
		if cfg.RoleExternalID != "" {
			query["ExternalId"] = cfg.RoleExternalID
		}
		body, err := base.Do(ctx, Request{
			Product: "Sts", Version: "2015-04-01", Action: "AssumeRole", Region: region, Host: Host("Sts", region), Query: query,
		})
		if err != nil {
			return temporary{}, fmt.Errorf("assume role %s: %w", cfg.RoleARN, err)
		}
		var answer struct{ Credentials temporaryJSON }
		if err := json.Unmarshal(body, &answer); err != nil {
			return temporary{}, fmt.Errorf("assume role %s: %w", cfg.RoleARN, unreadableKey())
		}
		key, err := answer.Credentials.key()
		if err != nil {
			return temporary{}, fmt.Errorf("assume role %s: %w", cfg.RoleARN, err)
		}
		return key, nil
	}
}

// temporaryJSON is a temporary key as STS and the metadata service write it. Its
// texts are secrets: errors never quote them.
type temporaryJSON struct {
	AccessKeyID     string `json:"AccessKeyId"`
	AccessKeySecret string
	SecurityToken   string
	Expiration      string
}

func unreadableKey() error {
	return &Error{Kind: ErrAnswer, Status: 200, Message: "the temporary key cannot be read"}
}

func (j temporaryJSON) key() (temporary, error) {
	expires, err := time.Parse(time.RFC3339, j.Expiration)
	if err != nil || j.AccessKeyID == "" || j.AccessKeySecret == "" || j.SecurityToken == "" {
		return temporary{}, unreadableKey()
	}
	return temporary{
		Credentials: Credentials{AccessKeyID: j.AccessKeyID, AccessKeySecret: NewSecret(j.AccessKeySecret), SecurityToken: NewSecret(j.SecurityToken)},
		expires:     expires,
	}, nil
}
