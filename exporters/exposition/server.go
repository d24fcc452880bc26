package exposition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Limits of the listener. A scraper asks for one page with a small request.
const (
	maxConnections = 256
	maxRequestBody = 4 << 10
	requestTimeout = 10 * time.Second
	answerTimeout  = time.Minute
	idleTimeout    = 5 * time.Minute
	stopTimeout    = 10 * time.Second
)

// Server serves an exposition at /metrics and says at /-/healthy that it lives.
type Server struct {
	srv  *fasthttp.Server
	page *Exposition
	own  func(io.Writer)
	size atomic.Int64 // of the last page, in bytes
}

// NewServer returns a server for a page. own writes the process's own metrics
// in the text format; they follow the page. Those of a Go process would clash
// with the names of watched processes and of other exporters.
func NewServer(page *Exposition, own func(io.Writer), log *slog.Logger) *Server {
	s := &Server{page: page, own: own}
	s.srv = &fasthttp.Server{
		Handler:               fasthttp.CompressHandlerLevel(s.handle, fasthttp.CompressBestSpeed),
		Concurrency:           maxConnections,
		MaxRequestBodySize:    maxRequestBody,
		ReadTimeout:           requestTimeout,
		WriteTimeout:          answerTimeout,
		IdleTimeout:           idleTimeout,
		NoDefaultServerHeader: true,
		CloseOnShutdown:       true,
		Logger:                quiet{log},
	}
	return s
}

func (s *Server) handle(c *fasthttp.RequestCtx) {
	if !c.IsGet() && !c.IsHead() {
		c.Response.Header.Set("Allow", "GET, HEAD")
		c.Error("only GET and HEAD", fasthttp.StatusMethodNotAllowed)
		return
	}
	switch string(c.Path()) {
	case "/metrics":
		c.SetContentType(ContentType)
		c.Response.SetBodyRaw(s.text())
	case "/-/healthy":
		c.SetBodyString("watchkeeper exporter is healthy\n")
	case "/":
		c.SetBodyString("watchkeeper exporter: see /metrics\n")
	default:
		c.Error("not found; see /metrics", fasthttp.StatusNotFound)
	}
}

func (s *Server) text() []byte {
	last := s.size.Load()
	text := s.page.AppendText(make([]byte, 0, last+last/8+64<<10))
	if s.own != nil {
		b := bytes.NewBuffer(text)
		s.own(b)
		text = b.Bytes()
	}
	s.size.Store(int64(len(text)))
	return text
}

// Serve serves on ln until ctx ends. It then takes no more connections, lets
// the requests under way finish, and returns.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- s.srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("exporter listener: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := s.srv.ShutdownWithContext(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("exporter listener: requests still under way after %s", stopTimeout)
	}
	// A stop that comes before Serve has taken the listener passes it by.
	if lnerr := ln.Close(); err == nil && !errors.Is(lnerr, net.ErrClosed) {
		err = lnerr
	}
	return errors.Join(err, <-served)
}

// quiet passes fasthttp's own messages on: broken connections, mostly.
type quiet struct{ log *slog.Logger }

// Printf implements fasthttp.Logger.
func (q quiet) Printf(format string, args ...any) {
	q.log.Debug("exporter listener", "message", fmt.Sprintf(format, args...))
}
