package aliyun

import (
	"net/url"
	"regexp"
	"strings"
)

// secretParameters are the query parameters and headers of a signed request
// that must not be shown, in plain and in percent-encoded texts.
var secretParameters = regexp.MustCompile(`(?i)(AccessKeyId|Signature|SignatureNonce|SecurityToken|x-acs-security-token)(=|%3D|%253D|: ?)[^&\s"'%]+(?:%(?:2F|2B|3D|7E|25)[^&\s"'%]*)*`)

const maxErrorText = 300

// Redact removes the credentials and everything that looks like a part of a
// signed request from text, and shortens it: an answer's body can be a whole page.
func Redact(text string, c Credentials) string {
	for _, secret := range []string{c.AccessKeySecret.Reveal(), c.SecurityToken.Reveal(), c.AccessKeyID} {
		if secret == "" {
			continue
		}
		text = strings.ReplaceAll(text, secret, hidden)
		text = strings.ReplaceAll(text, url.QueryEscape(secret), hidden)
		text = strings.ReplaceAll(text, url.QueryEscape(url.QueryEscape(secret)), hidden)
	}
	text = secretParameters.ReplaceAllString(text, "$1$2"+hidden)
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
	}
	return text
}
