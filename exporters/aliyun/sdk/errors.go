package sdk

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	vendor "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"

	"watchkeeper/exporters/aliyun"
)

// translate turns an error of the SDK or the transport into one of ours,
// without credentials. A cancelled context stays what it is.
func translate(ctx context.Context, err error, creds aliyun.Credentials) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var own *aliyun.Error
	if errors.As(err, &own) {
		return own
	}
	var server *vendor.ServerError
	if errors.As(err, &server) {
		return fromServer(server, creds)
	}
	var client *vendor.ClientError
	if errors.As(err, &client) {
		return fromSDK(client, creds)
	}
	return &aliyun.Error{Kind: aliyun.ErrUnavailable, Message: aliyun.Redact(transportText(err), creds)}
}

func fromServer(e *vendor.ServerError, creds aliyun.Credentials) error {
	out := &aliyun.Error{
		Kind: aliyun.Classify(e.ErrorCode(), e.HttpStatus(), e.Message()), Code: e.ErrorCode(),
		Status: e.HttpStatus(), RequestID: aliyun.Redact(e.RequestId(), creds),
	}
	switch {
	case out.Kind == aliyun.ErrAuth:
		// The message of a wrong signature quotes the signed string; the hint
		// of aliyun.Error says more than it does.
	case e.ErrorCode() == "":
		out.Message = "not an answer of the API (HTTP status " + statusText(e.HttpStatus()) + ")"
	default:
		out.Message = aliyun.Redact(e.Message(), creds)
	}
	return out
}

func fromSDK(e *vendor.ClientError, creds aliyun.Credentials) error {
	kind := aliyun.ErrParameter
	switch e.ErrorCode() {
	case vendor.JsonUnmarshalErrorCode:
		kind = aliyun.ErrAnswer
	case vendor.TimeoutErrorCode:
		kind = aliyun.ErrUnavailable
	}
	return &aliyun.Error{Kind: kind, Code: e.ErrorCode(), Message: aliyun.Redact(e.Message(), creds)}
}

// transportText says what failed without the URL, which holds the signature.
func transportText(err error) string {
	var wrapped *url.Error
	host := ""
	for errors.As(err, &wrapped) {
		if u, parseErr := url.Parse(wrapped.URL); parseErr == nil {
			host = u.Host
		}
		err = wrapped.Err
		wrapped = nil
	}
	var b strings.Builder
	if host != "" {
		b.WriteString("cannot reach " + host + ": ")
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		b.WriteString("time-out: ")
	}
	b.WriteString(err.Error())
	return b.String()
}
