// Package mongodb reads a mongod or mongos: connections, operations, memory,
// queues, locks, the storage engine, the replica set as this member sees it,
// long operations, and the sizes of databases.
package mongodb

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"watchkeeper/exporters/middleware/server"
)

// product has a label of its own: "mongodb" is the cloud's product, whose rows
// are not for servers on own hosts.
var product = server.Product{Kind: "mongodb", Label: "mongodb-server"}

// noHeartbeat is longer than any check: the driver looks at the server once.
const noHeartbeat = time.Hour

type reader struct {
	cfg    Config
	secret server.Secret
	tls    *tls.Config // nil without TLS

	members, replica, databases server.Presence
}

// New returns the collector of one server.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &reader{cfg: cfg, secret: cfg.Credentials.Secret()}
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
	password, err := r.secret.Reveal()
	if err != nil {
		return err
	}
	line := &line{check: ctx, address: r.cfg.Address, tls: r.tls}
	ctx, line.fail = context.WithCancelCause(ctx)
	defer line.fail(nil)
	line.ctx = ctx
	client, err := mongo.Connect(r.driverOptions(password, line))
	if err != nil {
		return server.Failed(server.ReasonConfig, "driver: %w", err)
	}
	err = r.read(ctx, clientCommands{client}, out)
	if err != nil {
		line.fail(err)
	}
	_ = client.Disconnect(ctx)
	return line.explain(err)
}

// driverOptions let the driver do what a check needs and nothing else: it talks
// to the one server that the configuration names, and it tries once.
func (r *reader) driverOptions(password string, line *line) *options.ClientOptions {
	o := options.Client().SetHosts([]string{placeholder}).SetDirect(true).SetDialer(line).
		SetAppName("watchkeeper").SetMaxPoolSize(1).SetMaxAdaptiveRetries(0).SetRetryReads(false).SetRetryWrites(false).
		SetServerMonitoringMode("poll").SetHeartbeatInterval(noHeartbeat).
		SetServerMonitor(&event.ServerMonitor{ServerHeartbeatFailed: func(e *event.ServerHeartbeatFailedEvent) { line.lookFailed(e.Failure) }})
	if r.cfg.Username != "" {
		o.SetAuth(options.Credential{AuthSource: r.cfg.authSource(), Username: r.cfg.Username, Password: password, PasswordSet: true})
	}
	return o
}

// commands answers commands.
type commands interface {
	run(ctx context.Context, database string, command bson.D) (bson.Raw, error)
}

// clientCommands answers commands by a client, whose connections bound the answers.
type clientCommands struct{ client *mongo.Client }

func (c clientCommands) run(ctx context.Context, database string, command bson.D) (bson.Raw, error) {
	answer, err := c.client.Database(database).RunCommand(ctx, command).Raw()
	if err != nil {
		return nil, err
	}
	if err := answer.Validate(); err != nil {
		return nil, server.Failed(server.ReasonFormat, "%s: %w", command[0].Key, err)
	}
	return answer, nil
}
