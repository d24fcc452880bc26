package aliyun

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// rpcStringToSign is what a client of the RPC protocol signs: the method, the path
// (always "/") and all parameters but the signature, sorted and percent-encoded twice.
func rpcStringToSign(method string, params map[string]string) string {
	names := make([]string, 0, len(params))
	for name := range params {
		if name != "Signature" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var canonical strings.Builder
	for i, name := range names {
		if i > 0 {
			canonical.WriteByte('&')
		}
		canonical.WriteString(percentEncode(name))
		canonical.WriteByte('=')
		canonical.WriteString(percentEncode(params[name]))
	}
	return method + "&%2F&" + percentEncode(canonical.String())
}

// percentEncode encodes by RFC 3986. QueryEscape differs in two characters.
func percentEncode(s string) string {
	s = url.QueryEscape(s)
	s = strings.ReplaceAll(s, "+", "%20")
	return strings.ReplaceAll(s, "*", "%2A")
}

// rpcSignature signs with the secret and the "&" that the RPC protocol adds to it.
func rpcSignature(stringToSign, secret string) string { return hmacSHA1(stringToSign, secret+"&") }

func hmacSHA1(text, key string) string {
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func sameSignature(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }
