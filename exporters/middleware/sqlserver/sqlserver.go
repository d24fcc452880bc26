// Package sqlserver reads a Microsoft SQL Server: its performance counters,
// sessions, blocked and long requests, databases with size, log and input/output,
// disks, backups, jobs of the Agent, and availability groups.
package sqlserver

import (
	"context"
	"crypto/tls"
	"database/sql"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "sqlserver", Label: "sqlserver"}

type reader struct {
	cfg    Config
	host   string
	port   uint64
	secret server.Secret
	tls    *tls.Config

	counters, databases, files, volumes, backups, jobs, replicas, replicaDatabases server.Presence
}

// New returns the collector of one server.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &reader{cfg: cfg, secret: cfg.Credentials.Secret()}
	host, port, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return nil, err
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, err
	}
	r.host, r.port = host, uint64(n)
	if r.tls, err = r.tlsConfig(); err != nil {
		return nil, err
	}
	return server.New(customer, product, cfg.Settings, r, []server.Secret{r.secret}, set, log), nil
}

func (r *reader) tlsConfig() (*tls.Config, error) {
	if !r.cfg.UseTLS {
		// The login alone, which the server decides: better with a stranger's
		// certificate than in plain text.
		return &tls.Config{InsecureSkipVerify: true}, nil
	}
	t, err := r.cfg.TLS.Config()
	if err != nil {
		return nil, err
	}
	if t.ServerName == "" {
		t.ServerName = r.host
	}
	return t, nil
}

// Read implements server.Reader.
func (r *reader) Read(ctx context.Context, out *server.Reading) error {
	password, err := r.secret.Reveal()
	if err != nil {
		return err
	}
	line := &line{address: r.cfg.Address, host: r.host}
	connector := mssql.NewConnectorConfig(r.driverConfig(password))
	connector.Dialer = line
	db := sql.OpenDB(connector)
	defer db.Close()
	conn, err := connect(ctx, db)
	if err != nil {
		return line.explain(err)
	}
	defer conn.Close()
	return line.explain(r.read(ctx, sqlRows{conn}, out))
}

func (r *reader) driverConfig(password string) msdsn.Config {
	c := msdsn.Config{
		Host: r.host, Port: r.port, Protocols: []string{"tcp"}, User: r.cfg.Username, Password: password, Database: "master",
		AppName: "watchkeeper", Encryption: msdsn.EncryptionOff, TLSConfig: r.tls, HostInCertificateProvided: true,
		DisableRetry: true, DialTimeout: -1, Encoding: msdsn.EncodeParameters{Timezone: time.UTC},
	}
	if r.cfg.UseTLS {
		c.Encryption = msdsn.EncryptionRequired
	}
	return c
}

// connect logs in. The driver looks into the server's greeting without looking
// at its length.
func connect(ctx context.Context, db *sql.DB) (conn *sql.Conn, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = server.Failed(server.ReasonFormat, "not an SQL Server: %v", p)
		}
	}()
	return db.Conn(ctx)
}

// row maps a row's columns to their text; NULL is absent.
type row map[string]string

func (r row) number(column string) (float64, bool) {
	switch r[column] {
	case "true":
		return 1, true
	case "false":
		return 0, true
	}
	v, err := strconv.ParseFloat(r[column], 64)
	return v, err == nil
}

// rows answers a query.
type rows interface {
	query(ctx context.Context, q string) ([]row, error)
}

// sqlRows answers queries from a connection, which bounds their size.
type sqlRows struct{ conn *sql.Conn }

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
			return nil, server.Failed(server.ReasonTooLarge, "more than %d rows", maxRows)
		}
		if err := result.Scan(targets...); err != nil {
			return nil, server.Failed(server.ReasonFormat, "%w", err)
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
