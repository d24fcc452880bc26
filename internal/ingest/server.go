package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/common/model"
	"github.com/valyala/fasthttp"
)

// ServerConfig describes a fasthttp listener.
type ServerConfig struct {
	// ListenAddress is host:port. Default 127.0.0.1:9371.
	ListenAddress string `yaml:"listen_address"`
	// MaxConnections is the number of connections served at once; more are
	// answered 503. Default 1024.
	MaxConnections int `yaml:"max_connections"`
	// ReadTimeout bounds the reading of one request. Default 30s.
	ReadTimeout model.Duration `yaml:"read_timeout"`
	// WriteTimeout bounds the writing of one answer. Default 30s.
	WriteTimeout model.Duration `yaml:"write_timeout"`
	// IdleTimeout is how long a connection may wait for its next request.
	// Default 2m.
	IdleTimeout model.Duration `yaml:"idle_timeout"`
	// StopTimeout bounds the wait for requests under way when the server
	// stops. Default 10s.
	StopTimeout model.Duration `yaml:"stop_timeout"`
}

// DefaultServerConfig returns the defaults.
func DefaultServerConfig() ServerConfig {
	return ServerConfig{
		ListenAddress:  "127.0.0.1:9371",
		MaxConnections: 1024,
		ReadTimeout:    model.Duration(30 * time.Second),
		WriteTimeout:   model.Duration(30 * time.Second),
		IdleTimeout:    model.Duration(2 * time.Minute),
		StopTimeout:    model.Duration(10 * time.Second),
	}
}

// Validate names the first field that cannot be worked with.
func (c *ServerConfig) Validate() error {
	if _, _, err := net.SplitHostPort(c.ListenAddress); err != nil {
		return fmt.Errorf("listen_address: %w", err)
	}
	if c.MaxConnections < 1 {
		return fmt.Errorf("max_connections: must be at least 1")
	}
	for _, f := range []struct {
		name  string
		value model.Duration
	}{
		{"read_timeout", c.ReadTimeout}, {"write_timeout", c.WriteTimeout},
		{"idle_timeout", c.IdleTimeout}, {"stop_timeout", c.StopTimeout},
	} {
		if f.value <= 0 {
			return fmt.Errorf("%s: must be more than 0", f.name)
		}
	}
	return nil
}

// Server serves a handler with limits on connections, sizes and times.
type Server struct {
	cfg ServerConfig
	srv *fasthttp.Server
}

// NewServer returns a server for h. Bodies are bounded by maxBody bytes.
func NewServer(cfg ServerConfig, maxBody int, h fasthttp.RequestHandler, logger *slog.Logger) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("ingest: %w", err)
	}
	return &Server{cfg: cfg, srv: &fasthttp.Server{
		Handler:               h,
		ErrorHandler:          badRequest,
		Concurrency:           cfg.MaxConnections,
		ReadTimeout:           time.Duration(cfg.ReadTimeout),
		WriteTimeout:          time.Duration(cfg.WriteTimeout),
		IdleTimeout:           time.Duration(cfg.IdleTimeout),
		MaxRequestBodySize:    maxBody,
		StreamRequestBody:     true, // the handler asks who sends before it reads
		NoDefaultServerHeader: true,
		CloseOnShutdown:       true,
		Logger:                logAdapter{logger},
	}}, nil
}

// Run listens on the configured address and serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.ListenAddress)
	if err != nil {
		return fmt.Errorf("ingest listener: %w", err)
	}
	return s.Serve(ctx, ln)
}

// Serve serves on ln until ctx ends. It then takes no more connections, lets
// the requests under way finish, and returns.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- s.srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("ingest listener: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(s.cfg.StopTimeout))
	defer cancel()
	err := s.srv.ShutdownWithContext(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("ingest listener: requests still under way after %s", s.cfg.StopTimeout)
	}
	// A stop that comes before Serve has taken the listener passes it by.
	if lnerr := ln.Close(); err == nil && !errors.Is(lnerr, net.ErrClosed) {
		err = lnerr
	}
	return errors.Join(err, <-served)
}

func badRequest(c *fasthttp.RequestCtx, err error) {
	var timeout net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		c.Error("body too large", fasthttp.StatusRequestEntityTooLarge)
	case errors.As(err, &timeout) && timeout.Timeout():
		c.Error("request not read in time", fasthttp.StatusRequestTimeout)
	default:
		c.Error("bad request", fasthttp.StatusBadRequest)
	}
}

// logAdapter passes fasthttp's own messages on: broken connections, mostly.
type logAdapter struct{ logger *slog.Logger }

// Printf implements fasthttp.Logger.
func (l logAdapter) Printf(format string, args ...any) {
	l.logger.Debug("ingest listener", "message", fmt.Sprintf(format, args...))
}
