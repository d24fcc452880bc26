// Package redis reads a Redis server by INFO with all its sections, the length
// of its slow log, the state of its cluster, and looks for large keys within a
// budget.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
	"github.com/redis/go-redis/v9"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "redis", Label: "redis"}

type reader struct {
	cfg    Config
	secret server.Secret
	tls    *tls.Config // nil without TLS
	scan   scan
}

// New returns the collector of one server.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	silence()
	r := &reader{
		cfg:    cfg,
		secret: cfg.Credentials.Secret(),
		scan:   scan{keysPerCheck: cfg.BigKeys.keysPerCheck(), threshold: cfg.BigKeys.thresholdBytes()},
	}
	if cfg.UseTLS {
		t, err := cfg.TLS.Config()
		if err != nil {
			return nil, err
		}
		if host, _, err := net.SplitHostPort(cfg.Address); err == nil && t.ServerName == "" {
			t.ServerName = host
		}
		r.tls = t
	}
	return server.New(customer, product, cfg.Settings, r, []server.Secret{r.secret}, set, log), nil
}

// Read implements server.Reader.
func (r *reader) Read(ctx context.Context, out *server.Reading) error {
	client, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	text, err := client.Info(ctx, "all").Result()
	if err != nil && client.handshaking.Load() {
		// A server without TLS waits for the end of what it takes for a command.
		return &server.Failure{Reason: server.ReasonTLS, Err: fmt.Errorf("handshake: %w", err)}
	}
	if err != nil {
		return failed(err)
	}
	in := parseInfo(text)
	if in.fields["redis_version"] == "" {
		return server.Failed(server.ReasonFormat, "not an answer to INFO: %q", server.Excerpt(text, 60))
	}
	in.add(out)
	if in.fields["redis_mode"] == "sentinel" {
		return nil // which has neither keys nor a slow log worth reading
	}
	if n, err := client.Do(ctx, "slowlog", "len").Int64(); err != nil {
		out.Miss("slowlog", failed(err))
	} else {
		out.Add(metricSlowLogLength, float64(n))
	}
	if in.fields["cluster_enabled"] == "1" {
		if text, err := client.ClusterInfo(ctx).Result(); err != nil {
			out.Miss("cluster", failed(err))
		} else {
			addCluster(text, out)
		}
	}
	if err := r.scan.step(ctx, client, in.databases, out); err != nil {
		out.Miss("big_keys", failed(err))
	}
	return nil
}

// connect returns one connection: the databases are scanned with SELECT.
func (r *reader) connect(ctx context.Context) (*conn, error) {
	password, err := r.secret.Reveal()
	if err != nil {
		return nil, err
	}
	c := new(conn)
	c.client = redis.NewClient(&redis.Options{
		Addr:     r.cfg.Address,
		Username: r.cfg.Username,
		Password: password,
		// Not the dialler's own context: it ends with the dialling.
		Dialer:                func(context.Context, string, string) (net.Conn, error) { return r.dial(ctx, &c.handshaking) },
		Protocol:              2,
		MaxRetries:            -1,
		DialerRetries:         1,
		ContextTimeoutEnabled: true,
		PoolSize:              1,
		DisableIdentity:       true,
	})
	c.Conn = c.client.Conn()
	return c, nil
}

func (r *reader) dial(ctx context.Context, handshaking *atomic.Bool) (net.Conn, error) {
	plain, err := server.Dial(ctx, r.cfg.Address)
	if err != nil || r.tls == nil {
		return plain, err
	}
	c := tls.Client(plain, r.tls)
	handshaking.Store(true)
	if err := c.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, err
	}
	handshaking.Store(false)
	return c, nil
}

type conn struct {
	*redis.Conn
	client      *redis.Client
	handshaking atomic.Bool // TLS is being agreed on, or was not
}

// Close closes the connection and its client.
func (c *conn) Close() {
	_ = c.Conn.Close()
	_ = c.client.Close()
}

// silence keeps the library from writing to standard error what it returns as
// an error too.
var silence = sync.OnceFunc(func() { redis.SetLogger(discard{}) })

type discard struct{}

func (discard) Printf(context.Context, string, ...any) {}

// failed gives the server's own refusals their reasons.
func failed(err error) error {
	var refusal redis.Error
	if !errors.As(err, &refusal) {
		return err
	}
	text := refusal.Error()
	reason := server.ReasonStatus
	switch {
	case strings.HasPrefix(text, "WRONGPASS"), strings.HasPrefix(text, "NOAUTH"), strings.Contains(text, "invalid password"),
		strings.Contains(text, "invalid username-password"), strings.Contains(text, "AUTH"):
		reason = server.ReasonAuth
	case strings.HasPrefix(text, "NOPERM"), strings.Contains(text, "unknown command"):
		reason = server.ReasonDenied
	}
	return &server.Failure{Reason: reason, Err: fmt.Errorf("%s", text)}
}
