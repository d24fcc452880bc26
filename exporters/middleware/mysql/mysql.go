// Package mysql reads a MySQL or MariaDB server: global status, settings, and
// replication with one or several sources.
package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/VictoriaMetrics/metrics"
	"github.com/go-sql-driver/mysql"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "mysql", Label: "mysql"}

type reader struct {
	cfg      Config
	secret   server.Secret
	tls      *tls.Config // nil without TLS
	channels server.Presence
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
	var plain *server.Conn // the driver hides why a connection broke
	connector, err := mysql.NewConnector(r.driverConfig(password, func(context.Context, string, string) (net.Conn, error) {
		c, err := server.Dial(ctx, r.cfg.Address)
		if err != nil {
			return nil, err
		}
		plain = c
		return c, nil
	}))
	if err != nil {
		return server.Failed(server.ReasonConfig, "%w", err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	conn, err := connect(ctx, db)
	if err == nil {
		defer conn.Close()
		err = r.read(ctx, sqlRows{conn}, out)
	}
	if plain != nil && plain.Cause() != nil && err != nil {
		err = plain.Cause()
	}
	return failed(err)
}

// connect logs in. The driver indexes the greeting without looking at its
// length, so another server's greeting makes it panic.
func connect(ctx context.Context, db *sql.DB) (conn *sql.Conn, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = server.Failed(server.ReasonFormat, "not a MySQL server: %v", p)
		}
	}()
	return db.Conn(ctx)
}

func (r *reader) driverConfig(password string, dial func(context.Context, string, string) (net.Conn, error)) *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Passwd = r.cfg.Username, password
	c.Addr, c.TLS, c.DialFunc = r.cfg.Address, r.tls, dial
	c.Logger = discard{}
	return c
}

type discard struct{}

func (discard) Print(...any) {}

// failed gives the server's own refusals their reasons.
func failed(err error) error {
	var refusal *mysql.MySQLError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return &server.Failure{Reason: reasonOf(refusal.Number), Err: err}
	case errors.Is(err, mysql.ErrNoTLS):
		return &server.Failure{Reason: server.ReasonTLS, Err: err}
	case errors.Is(err, mysql.ErrMalformPkt), errors.Is(err, mysql.ErrPktSync), errors.Is(err, mysql.ErrPktSyncMul),
		errors.Is(err, mysql.ErrOldProtocol), errors.Is(err, mysql.ErrPktTooLarge):
		return server.Failed(server.ReasonFormat, "not a MySQL server: %w", err)
	case errors.Is(err, mysql.ErrCleartextPassword), errors.Is(err, mysql.ErrNativePassword),
		errors.Is(err, mysql.ErrOldPassword), errors.Is(err, mysql.ErrUnknownPlugin):
		return &server.Failure{Reason: server.ReasonAuth, Err: err}
	}
	return err
}

func reasonOf(number uint16) string {
	switch number {
	case 1045, 1698, 1820, 1862, 3118, 3955, 4151: // access denied; password expired; account locked
		return server.ReasonAuth
	case 1044, 1130, 1142, 1143, 1227, 1370: // this database, host, table or command is not for this user
		return server.ReasonDenied
	}
	return server.ReasonStatus
}

// sqlRows answers queries from a connection.
type sqlRows struct{ conn *sql.Conn }

// row maps a row's columns to values; NULL is absent.
type row map[string]string

// rows answers a query.
type rows interface {
	query(ctx context.Context, q string) ([]row, error)
}

const maxRows = 5_000

func (s sqlRows) query(ctx context.Context, q string) ([]row, error) {
	result, err := s.conn.QueryContext(ctx, q)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	columns, err := result.Columns()
	if err != nil {
		return nil, err
	}
	values, targets := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	var all []row
	for result.Next() {
		if len(all) == maxRows {
			return nil, fmt.Errorf("more than %d rows", maxRows)
		}
		if err := result.Scan(targets...); err != nil {
			return nil, err
		}
		one := make(row, len(columns))
		for i, v := range values {
			if v.Valid {
				one[columns[i]] = v.String
			}
		}
		all = append(all, one)
	}
	return all, result.Err()
}
