package phpfpm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/textproto"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

// Record types and values of the FastCGI specification, version 1.
const (
	fcgiVersion      = 1
	fcgiBeginRequest = 1
	fcgiEndRequest   = 3
	fcgiParams       = 4
	fcgiStdin        = 5
	fcgiStdout       = 6
	fcgiStderr       = 7
	fcgiResponder    = 1
	fcgiRequestID    = 1
)

// askFastCGI sends one GET for a script path and returns the answer's body.
func askFastCGI(ctx context.Context, address, path, query string) ([]byte, error) {
	conn, err := server.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(fastCGIRequest(path, query)); err != nil {
		return nil, err
	}
	stdout, stderr, err := readRecords(conn)
	if err != nil {
		return nil, err
	}
	return answerBody(stdout, stderr)
}

// fastCGIRequest is a whole request: begin, parameters, empty standard input.
func fastCGIRequest(path, query string) []byte {
	var params, request []byte
	for _, p := range [][2]string{
		{"SCRIPT_NAME", path}, {"SCRIPT_FILENAME", path}, {"REQUEST_METHOD", "GET"}, {"QUERY_STRING", query},
		{"REQUEST_URI", path + "?" + query}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"GATEWAY_INTERFACE", "CGI/1.1"},
	} {
		for _, s := range p {
			params = binary.BigEndian.AppendUint32(params, uint32(len(s))|1<<31)
		}
		params = append(append(params, p[0]...), p[1]...)
	}
	request = appendRecord(request, fcgiBeginRequest, []byte{0, fcgiResponder, 0, 0, 0, 0, 0, 0})
	request = appendRecord(request, fcgiParams, params)
	request = appendRecord(request, fcgiParams, nil)
	return appendRecord(request, fcgiStdin, nil)
}

func appendRecord(b []byte, kind byte, content []byte) []byte {
	b = append(b, fcgiVersion, kind, 0, fcgiRequestID)
	b = binary.BigEndian.AppendUint16(b, uint16(len(content)))
	b = append(b, 0, 0) // no padding, reserved
	return append(b, content...)
}

// readRecords reads until the request's end.
func readRecords(r io.Reader) (stdout, stderr []byte, err error) {
	var header [8]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return nil, nil, fmt.Errorf("answer: %w", err)
		}
		if header[0] != fcgiVersion {
			return nil, nil, server.Failed(server.ReasonFormat, "not a FastCGI server: the answer begins with %q", header)
		}
		content := make([]byte, int(binary.BigEndian.Uint16(header[4:6]))+int(header[6]))
		if _, err := io.ReadFull(r, content); err != nil {
			return nil, nil, fmt.Errorf("answer: %w", err)
		}
		content = content[:len(content)-int(header[6])]
		switch header[1] {
		case fcgiStdout:
			stdout = append(stdout, content...)
		case fcgiStderr:
			stderr = append(stderr, content...)
		case fcgiEndRequest:
			return stdout, stderr, nil
		}
	}
}

// answerBody splits off the CGI headers and checks the status among them.
func answerBody(stdout, stderr []byte) ([]byte, error) {
	in := bufio.NewReader(bytes.NewReader(stdout))
	headers, err := textproto.NewReader(in).ReadMIMEHeader()
	if err != nil {
		return nil, server.Failed(server.ReasonFormat, "not a CGI answer: %q %q",
			server.Excerpt(string(stdout), 60), server.Excerpt(string(stderr), 60))
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	status := headers.Get("Status")
	switch {
	case status == "" || strings.HasPrefix(status, "200"):
		return body, nil
	case strings.HasPrefix(status, "403"):
		return nil, server.Failed(server.ReasonDenied, "status %s", server.Excerpt(status, 60))
	}
	return nil, server.Failed(server.ReasonStatus, "status %s: %s %s", server.Excerpt(status, 60),
		server.Excerpt(string(body), 60), server.Excerpt(string(stderr), 60))
}
