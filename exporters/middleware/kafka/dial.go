package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"watchkeeper/exporters/middleware/server"
)

const (
	// maxReadBytes bounds what the client believes of an answer's announced size;
	// a connection brings less (server.Conn).
	maxReadBytes = 16 << 20
	retryPause   = 100 * time.Millisecond
	// retries of what a cluster refuses while it elects leaders or coordinators.
	retries = 3
)

// dialer makes clients of one cluster; each lives for a check.
type dialer struct {
	seeds    []string
	sasl     string
	username string
	secret   server.Secret
	tls      *tls.Config // nil without TLS
}

func newDialer(cfg Config) (dialer, error) {
	d := dialer{seeds: cfg.Brokers, sasl: cfg.SASL, username: cfg.Username, secret: cfg.Credentials.Secret()}
	if cfg.UseTLS {
		t, err := cfg.TLS.Config()
		if err != nil {
			return dialer{}, err
		}
		d.tls = t
	}
	return d, nil
}

// connect returns a session; it connects when it is first asked something.
func (d dialer) connect(ctx context.Context) (*session, error) {
	s := new(session)
	opts := []kgo.Opt{
		kgo.WithContext(ctx),
		kgo.SeedBrokers(d.seeds...),
		kgo.ClientID("watchkeeper"),
		// Not the dialling's own context: the connection ends with the check.
		kgo.Dialer(func(_ context.Context, _, address string) (net.Conn, error) { return d.dial(ctx, address, s) }),
		kgo.WithHooks(s),
		kgo.BrokerMaxReadBytes(maxReadBytes),
		kgo.FetchMaxBytes(maxReadBytes),            // nothing is fetched; it must not exceed the other
		kgo.RequestRetries(retries + len(d.seeds)), // a seed that is down is passed over
		kgo.RetryBackoffFn(func(int) time.Duration { return retryPause }),
		kgo.DisableClientMetrics(),
	}
	if d.sasl != "" {
		mechanism, err := d.mechanism()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, server.Failed(server.ReasonConfig, "%w", err)
	}
	s.client = client
	return s, nil
}

func (d dialer) mechanism() (sasl.Mechanism, error) {
	password, err := d.secret.Reveal()
	if err != nil {
		return nil, err
	}
	switch d.sasl {
	case saslScramSHA256:
		return scram.Auth{User: d.username, Pass: password}.AsSha256Mechanism(), nil
	case saslScramSHA512:
		return scram.Auth{User: d.username, Pass: password}.AsSha512Mechanism(), nil
	}
	return plain.Auth{User: d.username, Pass: password}.AsMechanism(), nil
}

func (d dialer) dial(ctx context.Context, address string, s *session) (net.Conn, error) {
	conn, err := server.Dial(ctx, address)
	if err != nil || d.tls == nil {
		return conn, err
	}
	t := d.tls.Clone()
	if host, _, err := net.SplitHostPort(address); err == nil && t.ServerName == "" {
		t.ServerName = host
	}
	secure := tls.Client(conn, t)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		// A broker without TLS takes it for a huge request: it hangs up, or waits for its end.
		return nil, s.note(&server.Failure{Reason: server.ReasonTLS, Err: fmt.Errorf("handshake: %w", err)})
	}
	return secure, nil
}
