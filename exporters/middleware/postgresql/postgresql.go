// Package postgresql reads a PostgreSQL server: sessions, databases, locks,
// checkpoints, archiving, the distance to transaction ID wraparound, and
// streaming replication from both ends.
package postgresql

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/jackc/pgx/v5/pgconn"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "postgresql", Label: "postgresql"}

// maxMessageBytes bounds one message of the protocol; a greeting of another
// protocol, read as a length, claims a gigabyte.
const maxMessageBytes = 1 << 20

type reader struct {
	cfg    Config
	secret server.Secret
	tls    *tls.Config // nil without TLS

	databases, sizes, standbys, slots, recovery server.Presence
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
	line := &line{address: r.cfg.Address}
	defer line.close()
	cfg, err := r.driverConfig(ctx, password, line.dial)
	if err != nil {
		return server.Failed(server.ReasonConfig, "driver: %w", err)
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return line.explain(err)
	}
	err = r.read(ctx, connRows{conn}, out)
	_ = conn.Close(ctx)
	line.close()
	<-conn.CleanupDone()
	return line.explain(err)
}

// driverConfig gives every setting a value, so that none comes from the
// environment of this process or a file in its home.
func (r *reader) driverConfig(ctx context.Context, password string, dial pgconn.DialFunc) (*pgconn.Config, error) {
	c, err := pgconn.ParseConfig("host=server port=5432 user=user database=database sslmode=disable passfile='' target_session_attrs=any connect_timeout=0")
	if err != nil {
		return nil, err
	}
	c.Host, c.Fallbacks, c.TLSConfig = r.cfg.Address, nil, r.tls
	c.User, c.Password, c.Database = r.cfg.Username, password, r.cfg.database()
	c.DialFunc, c.MaxProtocolMessageBodyLen = dial, maxMessageBytes
	c.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"server"}, nil }
	c.MinProtocolVersion, c.MaxProtocolVersion, c.ChannelBinding, c.SSLNegotiation, c.SSLCertMode = "3.0", "3.0", "prefer", "", "allow"
	c.RequireAuth = ""
	if r.tls == nil && !strings.HasPrefix(r.cfg.Address, "unix:") {
		c.RequireAuth = "!password"
	}
	c.RuntimeParams = map[string]string{
		"application_name": "watchkeeper",
		"client_encoding":  "UTF8",
		// Nobody's functions but the system's, nothing written, nothing waited for.
		"search_path":                   "pg_catalog",
		"default_transaction_read_only": "on",
		"lock_timeout":                  "1000",
		"statement_timeout":             halfOf(ctx),
	}
	return c, nil
}

// halfOf is half of the time that is left, in milliseconds, so that a statement
// that takes long costs its own figures and not all of them.
func halfOf(ctx context.Context) string {
	left := int64(10_000)
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline).Milliseconds()
	}
	return strconv.FormatInt(max(1, left/2), 10)
}

// row maps a row's columns to their text; NULL is absent.
type row map[string]string

// rows answers a query.
type rows interface {
	query(ctx context.Context, q string) ([]row, error)
}

// connRows answers queries from a connection, which bounds their size.
type connRows struct{ conn *pgconn.PgConn }

func (c connRows) query(ctx context.Context, q string) ([]row, error) {
	results, err := c.conn.Exec(ctx, q).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, server.Failed(server.ReasonFormat, "%d results of one statement", len(results))
	}
	var all []row
	for _, values := range results[0].Rows {
		if len(values) != len(results[0].FieldDescriptions) {
			return nil, server.Failed(server.ReasonFormat, "%d values for %d columns", len(values), len(results[0].FieldDescriptions))
		}
		one := make(row, len(values))
		for i, v := range values {
			if v != nil {
				one[results[0].FieldDescriptions[i].Name] = string(v)
			}
		}
		all = append(all, one)
	}
	return all, nil
}
