package heartbeat

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/valyala/fasthttp"
)

// PathPrefix is where heartbeats are taken; the name follows.
const PathPrefix = "/heartbeat/"

// Values of the parameter status.
const (
	statusOK   = "ok"
	statusFail = "fail"
)

// Authenticator returns the customer that an Authorization header stands for.
type Authenticator func(authorization string) (customer string, ok bool)

// Handler takes GET, HEAD and POST of PathPrefix + NAME with the parameters
// status (ok or fail), exit (an exit code; other than 0 means fail) and duration (in
// seconds, or like 1h30m); all may be absent. 204: the beat is on the disk.
func Handler(r *Registry, auth Authenticator, now func() time.Time, set *metrics.Set, log *slog.Logger) fasthttp.RequestHandler {
	received := set.GetOrCreateCounter("watchkeeper_heartbeat_requests_total")
	refused := set.GetOrCreateCounter("watchkeeper_heartbeat_requests_failed_total")
	return func(c *fasthttp.RequestCtx) {
		received.Inc()
		status, message := serve(r, auth, now, log, c)
		if status != http.StatusNoContent {
			refused.Inc()
			c.Error(message+"\n", status)
		}
		c.SetStatusCode(status)
	}
}

func serve(r *Registry, auth Authenticator, now func() time.Time, log *slog.Logger, c *fasthttp.RequestCtx) (int, string) {
	if !c.IsGet() && !c.IsPost() && !c.IsHead() {
		c.Response.Header.Set("Allow", "GET, HEAD, POST")
		return http.StatusMethodNotAllowed, "only GET, HEAD and POST are taken"
	}
	customer, ok := auth(string(c.Request.Header.Peek("Authorization")))
	if !ok {
		c.Response.Header.Set("WWW-Authenticate", "Bearer")
		return http.StatusUnauthorized, "no valid bearer token"
	}
	beat, err := beatOf(c.QueryArgs(), now())
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	name := strings.TrimPrefix(string(c.Path()), PathPrefix)
	err = r.Beat(customer, name, beat)
	switch {
	case errors.Is(err, ErrUnknown):
		log.Warn("heartbeat refused", "customer", customer, "err", err)
		return http.StatusNotFound, err.Error() + " is declared"
	case err != nil:
		log.Error("heartbeat not kept", "customer", customer, "heartbeat", name, "err", err)
		return http.StatusServiceUnavailable, "the heartbeat could not be kept; send it again"
	}
	return http.StatusNoContent, ""
}

// beatOf reads the parameters.
func beatOf(q *fasthttp.Args, at time.Time) (Beat, error) {
	b := Beat{At: at, OK: true}
	var err error
	for k, v := range q.All() {
		text := string(v)
		switch string(k) {
		case "status":
			b.OK = b.OK && text == statusOK
			if text != statusOK && text != statusFail {
				err = fmt.Errorf("status %.40q: want ok or fail", text)
			}
		case "exit":
			n, nerr := strconv.ParseInt(text, 10, 32)
			if nerr != nil {
				err = fmt.Errorf("exit %.40q: want a number", text)
			}
			exit := int(n)
			b.Exit, b.OK = &exit, b.OK && exit == 0
		case "duration":
			d, derr := parseDuration(text)
			if derr != nil {
				err = derr
			}
			b.Duration = &d
		default:
			err = fmt.Errorf("unknown parameter %.40q: there are status, exit and duration", k)
		}
	}
	return b, err
}

// parseDuration reads seconds, or a number with units.
func parseDuration(text string) (time.Duration, error) {
	if s, err := strconv.ParseFloat(text, 64); err == nil && s >= 0 && s < math.MaxInt64/float64(time.Second) {
		return time.Duration(s * float64(time.Second)), nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d, nil
	}
	return 0, fmt.Errorf("duration %.40q: want seconds, or like 1h30m", text)
}
