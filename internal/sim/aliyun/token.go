package aliyun

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// tokenSealer makes NextTokens that nobody can read or use for another query. Equal
// configurations seal alike, so a token survives a restart.
type tokenSealer struct{ secret string }

func newTokenSealer(cfg Config) tokenSealer {
	return tokenSealer{secret: fmt.Sprintf("%d %s", cfg.Seed, cfg.AccountID)}
}

// seal binds the payload (without a line break) to the query.
func (t tokenSealer) seal(query, payload string) string {
	text := hmacSHA1(query+"\n"+payload, t.secret) + "\n" + payload
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// open returns the payload; false if the token is not one of this query.
func (t tokenSealer) open(query, token string) (string, bool) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", false
	}
	signature, payload, ok := strings.Cut(string(text), "\n")
	if !ok || !sameSignature(signature, hmacSHA1(query+"\n"+payload, t.secret)) {
		return "", false
	}
	return payload, true
}

// queryText is what a token is bound to: the parameters named.
func (c *call) queryText(names ...string) string {
	text := c.api + "\n" + c.region
	for _, name := range names {
		text += "\n" + name + "=" + percentEncode(c.params[name])
	}
	return text
}
