package aliyun

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// OutageKind is the way in which calls fail.
type OutageKind int

// Kinds of outages. The first four hit before the request is looked at.
const (
	InternalError OutageKind = iota + 1 // 500 with a JSON error
	Unavailable                         // 503 with an HTML page
	Reset                               // the connection is cut without an answer
	NotJSON                             // 502 with an empty body
	Slow                                // the right answer, after Outage.Delay
	Truncated                           // 200, the JSON text ends in the middle
	EmptyList                           // 200 with an empty list, as without permission
	Unsuccessful                        // 200 with Success false and Code "500"
	Huge                                // 200, more than 2 MB
	WrongTypes                          // 200, numbers and booleans as text, Code as a number
	afterLastKind
)

// hugeBytes is more than the 2 MB to which answers of CloudMonitor are limited.
const hugeBytes = 2<<20 + 1

func (k OutageKind) valid() bool      { return k >= InternalError && k < afterLastKind }
func (k OutageKind) beforeWork() bool { return k <= NotJSON }

func (k OutageKind) status() int {
	switch k {
	case InternalError:
		return http.StatusInternalServerError
	case Unavailable:
		return http.StatusServiceUnavailable
	case NotJSON:
		return http.StatusBadGateway
	case Reset:
		return 0
	}
	return http.StatusOK
}

func (k OutageKind) code() string {
	if k == InternalError {
		return "InternalError"
	}
	return ""
}

const unavailablePage = "<html>\n<head><title>503 Service Temporarily Unavailable</title></head>\n" +
	"<body><center><h1>503 Service Temporarily Unavailable</h1></center><hr><center>Tengine</center></body>\n</html>\n"

// fail answers a call that an outage of a kind with beforeWork hits.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, c *call, o *Outage) {
	switch o.Kind {
	case InternalError:
		writeError(w, r.Host, c.requestID, errorf(o.Kind.status(), o.Kind.code(),
			"The request processing has failed due to some unknown error, exception or failure."))
	case Reset:
		cut(w)
	case NotJSON:
		w.WriteHeader(o.Kind.status())
	default:
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", strconv.Itoa(len(unavailablePage)))
		w.WriteHeader(o.Kind.status())
		w.Write([]byte(unavailablePage)) // a client that went away is its own loss
	}
}

// sleep waits for the delay of a Slow outage, and cuts the connection if the client
// went away before.
func (o *Outage) sleep(w http.ResponseWriter, r *http.Request) {
	wait := time.NewTimer(o.Delay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-r.Context().Done():
		cut(w)
	}
}

// cut ends the connection, over TCP with a reset. It does not return.
func cut(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if conn, _, err := h.Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				tcp.SetLinger(0) // close then sends RST
			}
			conn.Close()
		}
	}
	panic(http.ErrAbortHandler) // how net/http is told to drop the connection
}

// spoil changes the body of a success.
func (k OutageKind) spoil(data []byte) []byte {
	switch k {
	case Truncated:
		return data[:len(data)/2]
	case Unsuccessful:
		return spoilFields(data, func(fields map[string]json.RawMessage) {
			for name := range fields {
				if name != "RequestId" {
					delete(fields, name)
				}
			}
			fields["Success"], fields["Code"] = json.RawMessage("false"), json.RawMessage(`"500"`)
			fields["Message"] = json.RawMessage(`"The service is temporarily unavailable."`)
		})
	case Huge:
		return append(append([]byte(`{"Padding":"`), strings.Repeat("x", hugeBytes)...), append([]byte(`",`), data[1:]...)...)
	case WrongTypes:
		return wrongTypes(data)
	}
	return data
}

func spoilFields(data []byte, change func(map[string]json.RawMessage)) []byte {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return data
	}
	change(fields)
	out, err := json.Marshal(fields)
	if err != nil {
		return data
	}
	return out
}

// wrongTypes turns, at every depth, numbers and booleans into text and text that is a
// number into one.
func wrongTypes(data []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var body any
	if decoder.Decode(&body) != nil {
		return data
	}
	out, err := json.Marshal(otherType(body))
	if err != nil {
		return data
	}
	return out
}

func otherType(value any) any {
	switch v := value.(type) {
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case string:
		if json.Valid([]byte(v)) && json.Unmarshal([]byte(v), new(float64)) == nil {
			return json.Number(v)
		}
	case []any:
		for i := range v {
			v[i] = otherType(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = otherType(v[name])
		}
	}
	return value
}
