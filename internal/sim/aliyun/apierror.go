package aliyun

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// apiError is an answer of the service that is no success. Code is text even when
// it is a number: a JSON number there makes the SDK panic.
type apiError struct {
	Status  int
	Code    string
	Message string
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

func errorf(status int, code, message string) *apiError { return &apiError{status, code, message} }

// Errors that several actions share.
func missingParameter(name string) *apiError {
	return errorf(http.StatusBadRequest, "MissingParameter",
		`The input parameter "`+name+`" that is mandatory for processing this request is not supplied.`)
}

func invalidParameter(name string) *apiError {
	return errorf(http.StatusBadRequest, "InvalidParameter", "The specified parameter "+name+" is not valid.")
}

func illegalParameters() *apiError {
	return errorf(http.StatusBadRequest, "ParameterInvalid", "Illegal parameters.")
}

func throttled(message string) *apiError {
	return errorf(http.StatusBadRequest, "Throttling.User", message)
}

const userFlowControl = "Request was denied due to user flow control."

// writeJSON sends one answer. encoding/json cannot fail on the types used here.
func writeJSON(w http.ResponseWriter, status int, requestID string, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeBytes(w, status, requestID, data)
}

func writeBytes(w http.ResponseWriter, status int, requestID string, data []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("x-acs-request-id", requestID)
	w.WriteHeader(status)
	w.Write(data) // a client that went away is its own loss
}

func writeError(w http.ResponseWriter, host, requestID string, e *apiError) {
	writeJSON(w, e.Status, requestID, map[string]string{
		"RequestId": requestID,
		"HostId":    host,
		"Code":      e.Code,
		"Message":   e.Message,
	})
}
