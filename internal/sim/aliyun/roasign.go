package aliyun

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// roaStringToSign is what a client of the ROA protocol signs: method, four headers,
// the x-acs-* headers by name, then the path with its sorted, decoded query.
func roaStringToSign(r *http.Request) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n")
	for _, name := range []string{"Accept", "Content-Md5", "Content-Type", "Date"} {
		b.WriteString(r.Header.Get(name) + "\n")
	}
	var acs []string
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-acs-") {
			acs = append(acs, lower+":"+r.Header.Get(name)+"\n")
		}
	}
	slices.Sort(acs)
	for _, line := range acs {
		b.WriteString(line)
	}
	b.WriteString(r.URL.Path)
	b.WriteString(decodedQuery(r.URL.Query()))
	return b.String()
}

func decodedQuery(query url.Values) string {
	if len(query) == 0 {
		return ""
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		names[i] = name + "=" + query.Get(name)
	}
	return "?" + strings.Join(names, "&")
}

// roaSignature signs with the bare secret, unlike rpcSignature.
func roaSignature(stringToSign, secret string) string { return hmacSHA1(stringToSign, secret) }

// roaCredential splits "acs <AccessKeyId>:<signature>".
func roaCredential(authorization string) (id, signature string, ok bool) {
	rest, ok := strings.CutPrefix(authorization, "acs ")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ":")
}
