package ingest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"watchkeeper/internal/sample"
)

// HTTP returns the handler for the API listener.
func (w *Writer) HTTP(auth Authenticator) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		resp := w.serveHTTP(rw, r, auth)
		w.count(resp)
		for k, v := range resp.Headers {
			rw.Header().Set(k, v)
		}
		if resp.Message == "" {
			rw.WriteHeader(resp.Status)
			return
		}
		http.Error(rw, resp.Message, resp.Status)
	})
}

func (w *Writer) serveHTTP(rw http.ResponseWriter, r *http.Request, auth Authenticator) Response {
	from, early := admit(r.Method, r.Header.Get("Authorization"), auth)
	if early != nil {
		return *early
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, int64(w.cfg.MaxBodyBytes)))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return tooLarge(w.cfg.MaxBodyBytes)
		}
		return failure(http.StatusServiceUnavailable, "read body: %v", err) // a slow link: it may be sent again
	}
	return w.Write(r.Context(), from, Request{
		ContentType:     r.Header.Get("Content-Type"),
		ContentEncoding: r.Header.Get("Content-Encoding"),
		Sections:        r.Header.Get(sample.SectionsHeader) == sample.SectionsOrdered,
		Body:            body,
	})
}

// FastHTTP returns the handler for the ingest listener: Path, PushPath, and
// /-/healthy for whoever balances load.
func (w *Writer) FastHTTP(auth Authenticator) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		switch string(c.Path()) {
		case Path, PushPath:
		case "/-/healthy":
			c.SetBodyString("ok\n")
			return
		default:
			c.Error("not found: remote write is at "+Path+", text is taken at "+PushPath, fasthttp.StatusNotFound)
			return
		}
		resp := w.serveFast(c, auth)
		w.count(resp)
		if resp.Message != "" {
			c.Error(resp.Message+"\n", resp.Status)
		}
		c.SetStatusCode(resp.Status)
		for k, v := range resp.Headers {
			c.Response.Header.Set(k, v)
		}
	}
}

func (w *Writer) serveFast(c *fasthttp.RequestCtx, auth Authenticator) Response {
	h := &c.Request.Header
	if FromWebPage(h) {
		return failure(http.StatusForbidden, "a web page sends this, not a sender of samples")
	}
	from, early := admit(string(c.Method()), string(h.Peek("Authorization")), auth)
	if early != nil {
		return *early
	}
	// The body is read only now, so that nobody without a token fills memory.
	body, err := io.ReadAll(io.LimitReader(c.RequestBodyStream(), int64(w.cfg.MaxBodyBytes)+1))
	if err != nil {
		c.SetConnectionClose()
		return failure(http.StatusServiceUnavailable, "body: %v", err)
	}
	if len(body) > w.cfg.MaxBodyBytes {
		// A sender that still writes would see its connection cut, not the answer.
		_, _ = io.CopyN(io.Discard, c.RequestBodyStream(), drainFactor*int64(w.cfg.MaxBodyBytes))
		c.SetConnectionClose()
		return tooLarge(w.cfg.MaxBodyBytes)
	}
	// Not c: its Done is the server's shutdown, which lets requests finish.
	ctx := context.Background()
	if string(c.Path()) == PushPath {
		params, err := url.ParseQuery(string(c.URI().QueryString()))
		if err != nil {
			return failure(http.StatusBadRequest, "parameters: %v", err)
		}
		return w.Push(ctx, from, PushRequest{
			ContentType: string(h.ContentType()), ContentEncoding: string(h.ContentEncoding()), Labels: params, Body: body,
		}, time.Now())
	}
	return w.Write(ctx, from, Request{
		ContentType:     string(h.ContentType()),
		ContentEncoding: string(h.ContentEncoding()),
		Sections:        string(h.Peek(sample.SectionsHeader)) == sample.SectionsOrdered,
		Body:            body,
	})
}

// FromWebPage tells a request that a browser sends for a page of somebody
// else: such a page must not write with the rights of whoever looks at it.
func FromWebPage(h *fasthttp.RequestHeader) bool {
	site := string(h.Peek("Sec-Fetch-Site"))
	return len(h.Peek("Origin")) > 0 || site != "" && site != "none" && site != "same-origin"
}

// drainFactor times the allowed body is read and thrown away of one that is too large.
const drainFactor = 4

// admit checks method and token.
func admit(method, authorization string, auth Authenticator) (Sender, *Response) {
	if method != http.MethodPost {
		r := failure(http.StatusMethodNotAllowed, "only POST is taken")
		r.Headers = map[string]string{"Allow": http.MethodPost}
		return Sender{}, &r
	}
	from, ok := auth(Bearer(authorization))
	if !ok {
		r := failure(http.StatusUnauthorized, "no valid bearer token")
		r.Headers = map[string]string{"WWW-Authenticate": "Bearer"}
		return Sender{}, &r
	}
	return from, nil
}

// Bearer returns the token of an Authorization header; empty when it has none.
func Bearer(authorization string) string {
	scheme, token, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func (w *Writer) count(r Response) {
	if r.Status/100 != 2 {
		w.metrics.failed[r.Status].Inc()
	}
}
