package aliyun

import (
	"errors"
	"fmt"
	"strings"
)

// Kinds of failure; errors.Is tells them apart. Each says what the caller does.
var (
	// ErrAuth: the key, its secret or its token was refused. Never retried.
	ErrAuth = errors.New("access key refused")
	// ErrForbidden: the key is good and lacks a permission. Never retried.
	ErrForbidden = errors.New("permission denied")
	// ErrParameter: the request is wrong. Never retried.
	ErrParameter = errors.New("request refused")
	// ErrThrottled: flow control. Retried after a pause.
	ErrThrottled = errors.New("throttled")
	// ErrQuota: the account's free calls of the month are used up. Not retried.
	ErrQuota = errors.New("monthly quota used up")
	// ErrUnavailable: the service failed or could not be reached. Retried.
	ErrUnavailable = errors.New("service unavailable")
	// ErrAnswer: the answer cannot be understood. Retried, since cut-off and
	// foreign answers (a proxy's page) pass.
	ErrAnswer = errors.New("answer not understood")
)

// kinds lists all of them with the word that metrics use.
var kinds = []struct {
	err  error
	word string
}{
	{ErrAuth, "auth"}, {ErrForbidden, "forbidden"}, {ErrParameter, "parameter"}, {ErrThrottled, "throttled"},
	{ErrQuota, "quota"}, {ErrUnavailable, "unavailable"}, {ErrAnswer, "answer"},
}

// kindWord returns the metrics' word for err: a kind, or "canceled".
func kindWord(err error) string {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.word
		}
	}
	return "canceled"
}

// retryable reports whether another try can help.
func retryable(err error) bool {
	return errors.Is(err, ErrThrottled) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrAnswer)
}

// Error is a failed call, free of keys, signatures and tokens.
type Error struct {
	Kind      error  // one of the Err… above
	Code      string // the service's code, "" when it sent none
	Status    int    // HTTP status, 0 when there was no answer
	Message   string // the service's or the transport's words
	RequestID string // for a ticket with the provider
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Kind.Error())
	if e.Code != "" {
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + strings.TrimRight(e.Message, ". "))
	}
	if e.RequestID != "" {
		b.WriteString(", request " + e.RequestID)
	}
	if hint := e.hint(); hint != "" {
		b.WriteString("; " + hint)
	}
	return b.String()
}

// Unwrap makes errors.Is work on the kind.
func (e *Error) Unwrap() error { return e.Kind }

// hint tells what to do.
func (e *Error) hint() string {
	switch e.Kind {
	case ErrAuth:
		return e.authHint()
	case ErrForbidden:
		return "give the RAM user AliyunCloudMonitorReadOnlyAccess for metrics and the product's read-only policy for its lists, or ReadOnlyAccess"
	case ErrThrottled:
		return "lower calls_per_second or lengthen interval; the limit is shared by everything that uses this account"
	case ErrQuota:
		return "lengthen interval, or activate pay-as-you-go for CloudMonitor's API"
	case ErrUnavailable:
		if e.Status == 0 {
			return "check network, name resolution and the settings endpoint and scheme"
		}
	}
	return ""
}

func (e *Error) authHint() string {
	switch {
	case strings.HasPrefix(e.Code, "SignatureDoesNotMatch"), strings.HasPrefix(e.Code, "IncompleteSignature"):
		return "the AccessKey secret does not belong to the AccessKey id: check access_key_secret"
	case e.Code == "InvalidAccessKeyId.NotFound":
		return "the account knows no such AccessKey id: check access_key_id"
	case e.Code == "InvalidAccessKeyId.Inactive":
		return "the AccessKey is disabled: enable it in the RAM console or use another"
	case strings.HasPrefix(e.Code, "InvalidTimeStamp"), e.Code == "IllegalTimestamp":
		return "this machine's clock is wrong by more than 15 minutes"
	case strings.HasPrefix(e.Code, "InvalidSecurityToken"):
		return "the security token has expired or does not belong to the key: renew security_token_file"
	}
	return "check access_key_id and access_key_secret"
}

// Classify maps a service code and an HTTP status to a kind. Status 200 means
// that the answer's body told of the failure (Success false, a Code other than 200).
func Classify(code string, status int, message string) error {
	switch {
	case strings.Contains(strings.ToLower(message), "user api quota limit"):
		return ErrQuota
	case strings.HasPrefix(code, "Throttling"), status == 429:
		return ErrThrottled
	case strings.HasPrefix(code, "SignatureDoesNotMatch"), strings.HasPrefix(code, "IncompleteSignature"),
		strings.HasPrefix(code, "InvalidAccessKey"), strings.HasPrefix(code, "InvalidSecurityToken"),
		strings.HasPrefix(code, "InvalidTimeStamp"), code == "IllegalTimestamp", code == "MissingSecurityToken":
		return ErrAuth
	case code == "SignatureNonceUsed":
		// A retried transport may repeat a nonce; a new request has a new one.
		return ErrUnavailable
	case strings.HasPrefix(code, "Forbidden"), strings.HasPrefix(code, "NoPermission"), code == "AccessForbidden", code == "403":
		return ErrForbidden
	case code == "ServiceUnavailable", code == "InternalError", code == "SystemBusy", status >= 500:
		return ErrUnavailable
	case status == 200 && strings.HasPrefix(code, "5"):
		return ErrUnavailable
	case code == "" && (status == 401 || status == 403):
		return ErrForbidden
	case code == "":
		return ErrAnswer
	}
	return ErrParameter
}
