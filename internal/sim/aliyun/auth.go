package aliyun

import (
	"net/http"
	"path"
	"slices"
	"sync"
	"time"
)

// Bounds of what authentication remembers.
const (
	clockTolerance = 15 * time.Minute // how far a request's Timestamp or Date may be off
	nonceLifetime  = 15 * time.Minute // how long a SignatureNonce cannot be used again
	maxNonces      = 1 << 20          // in each half of nonceMemory
	maxSessions    = 1000             // temporary keys handed out by AssumeRole
)

// authenticate checks a request in the order of the real gateway: parameters,
// clock, key, token, signature, nonce.
func (s *Server) authenticate(c *call) *apiError {
	if c.roa {
		return s.authenticateROA(c)
	}
	return s.authenticateRPC(c)
}

func (s *Server) authenticateRPC(c *call) *apiError {
	for _, name := range []string{"AccessKeyId", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp", "Signature"} {
		if c.params[name] == "" {
			return errorf(http.StatusBadRequest, "IncompleteSignature",
				"The request signature does not conform to Aliyun standards. "+name+" is missing.")
		}
	}
	if c.params["SignatureMethod"] != "HMAC-SHA1" {
		return invalidParameter("SignatureMethod")
	}
	if c.params["SignatureVersion"] != "1.0" {
		return invalidParameter("SignatureVersion")
	}
	stamp, err := time.Parse("2006-01-02T15:04:05Z", c.params["Timestamp"])
	if err != nil {
		return illegalTimestamp()
	}
	if e := s.checkClock(stamp); e != nil {
		return e
	}
	key, e := s.checkKey(c.params["AccessKeyId"], c.params["SecurityToken"])
	if e != nil {
		return e
	}
	text := rpcStringToSign(c.method, c.params)
	if !sameSignature(rpcSignature(text, key.Secret), c.params["Signature"]) {
		return signatureMismatch(c, text)
	}
	if !s.nonces.use(key.ID+" "+c.params["SignatureNonce"], s.wall()) {
		return errorf(http.StatusBadRequest, "SignatureNonceUsed", "Specified signature nonce was used already.")
	}
	c.key = key
	return nil
}

func (s *Server) authenticateROA(c *call) *apiError {
	id, signature, ok := roaCredential(c.header.Get("Authorization"))
	if !ok || id == "" || signature == "" {
		return errorf(http.StatusBadRequest, "IncompleteSignature",
			"The request signature does not conform to Aliyun standards. Authorization is missing.")
	}
	stamp, err := http.ParseTime(c.header.Get("Date"))
	if err != nil {
		return illegalTimestamp()
	}
	if e := s.checkClock(stamp); e != nil {
		return e
	}
	key, e := s.checkKey(id, c.header.Get("x-acs-security-token"))
	if e != nil {
		return e
	}
	if !sameSignature(roaSignature(c.stringToSign, key.Secret), signature) {
		return signatureMismatch(c, c.stringToSign)
	}
	c.key = key
	return nil
}

func illegalTimestamp() *apiError {
	return errorf(http.StatusBadRequest, "IllegalTimestamp",
		"The input parameter Timestamp that is mandatory for processing this request is not supplied or malformed.")
}

// signatureMismatch shows what the server signed, from which the SDK tells a wrong
// secret from a broken client.
func signatureMismatch(c *call, stringToSign string) *apiError {
	status := http.StatusBadRequest
	if c.product == productECS {
		status = http.StatusForbidden
	}
	return errorf(status, "SignatureDoesNotMatch",
		"Specified signature is not matched with our calculation. server string to sign is:"+stringToSign)
}

func (s *Server) checkClock(stamp time.Time) *apiError {
	off := s.wall().Add(s.skew()).Sub(stamp)
	if off.Abs() > clockTolerance {
		return errorf(http.StatusBadRequest, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
	}
	return nil
}

// checkKey finds the key and checks the token of a temporary one. The names of the
// token errors are not confirmed by the vendor's documents.
func (s *Server) checkKey(id, token string) (Key, *apiError) {
	key, ok := s.keys.get(id)
	switch {
	case !ok:
		return Key{}, errorf(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
	case key.Status == Inactive:
		return Key{}, errorf(http.StatusBadRequest, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
	case key.SecurityToken != "" && token == "":
		return Key{}, errorf(http.StatusBadRequest, "MissingSecurityToken", "SecurityToken is mandatory for this action.")
	case key.SecurityToken != token:
		return Key{}, errorf(http.StatusBadRequest, "InvalidSecurityToken.MismatchWithAccessKey",
			"Specified SecurityToken mismatch with the AccessKey.")
	case !key.Expires.IsZero() && !s.wall().Add(s.skew()).Before(key.Expires):
		return Key{}, errorf(http.StatusForbidden, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
	}
	return key, nil
}

// allows tells whether RAM grants the action.
func (k Key) allows(ramAction string) bool {
	if k.Permissions == nil {
		return true
	}
	for _, p := range k.Permissions {
		if ok, err := path.Match(p, ramAction); err == nil && ok {
			return true
		}
	}
	return false
}

// keyring holds the keys by id.
type keyring struct {
	mu       sync.Mutex
	keys     map[string]Key
	sessions []string // ids of keys made by AssumeRole, oldest first
}

func newKeyring(keys []Key) *keyring {
	r := &keyring{keys: map[string]Key{}}
	for _, k := range keys {
		r.keys[k.ID] = k
	}
	return r
}

func (r *keyring) get(id string) (Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.keys[id]
	return k, ok
}

func (r *keyring) set(k Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[k.ID] = k
}

// addSession keeps the latest maxSessions temporary keys.
func (r *keyring) addSession(k Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sessions) == maxSessions {
		delete(r.keys, r.sessions[0])
		r.sessions = slices.Delete(r.sessions, 0, 1)
	}
	r.sessions = append(r.sessions, k.ID)
	r.keys[k.ID] = k
}

// expireSessions ends all temporary keys at a time.
func (r *keyring) expireSessions(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.sessions {
		k := r.keys[id]
		k.Expires = at
		r.keys[id] = k
	}
}

// ExpireSessions ends now all temporary keys that AssumeRole has made, whatever
// their Expiration said.
func (s *Server) ExpireSessions() { s.keys.expireSessions(s.wall()) }

// SetKey adds a key, or replaces the one with the same ID: to deactivate it, to take
// its permissions, to let its token expire.
func (s *Server) SetKey(k Key) { s.keys.set(k) }

// nonceMemory remembers nonces in two halves: the older one is forgotten when the
// younger has reached the lifetime or its size, so memory is bounded.
type nonceMemory struct {
	mu         sync.Mutex
	lifetime   time.Duration
	size       int
	young, old map[string]struct{}
	since      time.Time // when young was begun
}

func newNonceMemory(lifetime time.Duration, size int) *nonceMemory {
	return &nonceMemory{lifetime: lifetime, size: size, young: map[string]struct{}{}}
}

// use reports whether the nonce is new, and remembers it.
func (m *nonceMemory) use(nonce string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.since) >= m.lifetime || len(m.young) >= m.size {
		m.old, m.young, m.since = m.young, map[string]struct{}{}, now
	}
	if _, ok := m.young[nonce]; ok {
		return false
	}
	if _, ok := m.old[nonce]; ok {
		return false
	}
	m.young[nonce] = struct{}{}
	return true
}
