// Package demo shows the whole product in one process within half a minute: a
// simulated cloud account with a breach, this host, a local web site, a month
// of imported history, and a ticket system that receives what is told.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
	sim "watchkeeper/internal/sim/aliyun"
)

// Config says how the demo runs.
type Config struct {
	// Dir is the folder for configuration, data and contract. Default: a new
	// one in the system's folder for temporary files, removed at the end.
	Dir string
	// For ends the demo after this time. Default: it runs until the context ends.
	For time.Duration
	// Colour allows colours.
	Colour bool
	// Version is shown and recorded.
	Version string
	// API and Ingest are the listening addresses; a port that is taken gives
	// way to a free one.
	API, Ingest string
	// Log takes the server's log. Default: demo.log in Dir.
	Log io.Writer
}

// ErrIncomplete says that the demo ended before everything was seen.
var ErrIncomplete = errors.New("the demo ended before everything was seen")

// simulated is one outside service that the demo starts.
type simulated struct {
	cloud   *sim.Server
	breach  breach
	tickets *receiver

	cloudListener, siteListener, ticketListener net.Listener
}

// Run shows the demo on w until ctx ends.
func Run(ctx context.Context, cfg Config, w io.Writer) (err error) {
	if cfg.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.For)
		defer cancel()
	}
	start := time.Now()
	if cfg.Dir == "" {
		if cfg.Dir, err = os.MkdirTemp("", "watchkeeper-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(cfg.Dir)) }()
	}
	p := printer{w: w, colour: cfg.Colour, start: start}
	p.head("watchkeeper demo: one process, folder %s, Ctrl-C ends it", cfg.Dir)

	s, err := openSimulated(start)
	if err != nil {
		return err
	}
	file, err := writeFiles(cfg, s)
	if err != nil {
		return err
	}
	log, closeLog, err := openLog(cfg)
	if err != nil {
		return err
	}
	defer closeLog()

	p.step("importing last month's history of the hosting gateway …")
	cycle, n, err := importHistory(ctx, filepath.Join(cfg.Dir, "data"), s.siteListener.Addr().String(), start)
	if ctx.Err() != nil {
		return ErrIncomplete
	}
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	p.step("%d samples of %s imported as blocks", n, cycle)

	c, err := config.Load(file)
	if err != nil {
		return err
	}
	a, err := app.New(c, app.Options{Version: cfg.Version, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()

	seen := false
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return s.cloud.Serve(running, s.cloudListener) })
	g.Go(func() error { return serve(running, s.siteListener, http.HandlerFunc(website)) })
	g.Go(func() error { return serve(running, s.ticketListener, s.tickets) })
	g.Go(func() error { return a.Run(running) })
	g.Go(func() error {
		t := &tour{p: p, base: a.URL(), ingest: a.IngestURL(), dir: cfg.Dir, sim: s, cycle: cycle}
		err := t.run(running)
		seen = t.complete
		return err
	})
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	p.step("stopped cleanly")
	if !seen {
		return ErrIncomplete
	}
	return nil
}

func openSimulated(start time.Time) (*simulated, error) {
	s := &simulated{tickets: &receiver{}}
	var err error
	if s.cloud, s.breach, err = newCloud(start); err != nil {
		return nil, err
	}
	for _, l := range []*net.Listener{&s.cloudListener, &s.siteListener, &s.ticketListener} {
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func openLog(cfg Config) (*slog.Logger, func() error, error) {
	if cfg.Log != nil {
		return slog.New(slog.NewTextHandler(cfg.Log, nil)), func() error { return nil }, nil
	}
	f, err := os.OpenFile(filepath.Join(cfg.Dir, "demo.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return slog.New(slog.NewTextHandler(f, nil)), f.Close, nil
}

// serve serves h on l until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// freeAddress is want, or the same host with a free port when want is taken.
func freeAddress(want string) (string, error) {
	l, err := net.Listen("tcp", want)
	if err != nil {
		host, _, splitErr := net.SplitHostPort(want)
		if splitErr != nil {
			return "", splitErr
		}
		if l, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			return "", err
		}
	}
	defer l.Close()
	return l.Addr().String(), nil
}
