package mongodb

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/xdg-go/scram"
	"go.mongodb.org/mongo-driver/v2/bson"

	"watchkeeper/exporters/middleware/server/servertest"
)

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

// standIn speaks MongoDB's wire protocol with the real driver: the hello of both
// forms, SCRAM-SHA-256 as the servers do it, and commands by recorded answers.
type standIn struct {
	t        testing.TB
	user     string // empty: no access control
	password string
	// answer is the answer to a command; nil means that there is none such.
	answer func(name, database string, command bson.Raw) bson.D

	mu   sync.Mutex
	seen []string // the commands in their order
}

// refusal is how the servers refuse.
func refusal(code int32, name, message string) bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: message}, {Key: "code", Value: code}, {Key: "codeName", Value: name}}
}

// listen serves on a loopback port, with TLS when there is a configuration of it.
func (s *standIn) listen(t testing.TB, cfg *tls.Config) string {
	return servertest.Listen(t, func(c net.Conn) {
		if cfg != nil {
			c = tls.Server(c, cfg)
		}
		(&session{standIn: s, authenticated: s.user == ""}).serve(c)
	}).Addr().String()
}

// commands are the commands seen so far, without those of logging in.
func (s *standIn) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.seen), func(name string) bool {
		return slices.Contains([]string{"hello", "isMaster", "ismaster", "saslStart", "saslContinue", "endSessions"}, name)
	})
}

// session is one connection.
type session struct {
	*standIn
	authenticated bool
	conversation  *scram.ServerConversation
}

func (s *session) serve(c net.Conn) {
	for {
		header := make([]byte, 16)
		if _, err := io.ReadFull(c, header); err != nil {
			return
		}
		length, id, code := binary.LittleEndian.Uint32(header), binary.LittleEndian.Uint32(header[4:]), binary.LittleEndian.Uint32(header[12:])
		if length < 16 || length > 1<<20 {
			return // as the servers do
		}
		body := make([]byte, length-16)
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		var prefix []byte
		switch code {
		case opQuery:
			body = body[4+len("admin.$cmd\x00")+8:]
			code, prefix = opReply, make([]byte, 20)
			binary.LittleEndian.PutUint32(prefix[16:], 1)
		case opMsg:
			body = body[5:] // flags and the section's kind
			prefix = make([]byte, 5)
		default:
			return
		}
		answer, err := bson.Marshal(s.command(bson.Raw(body)))
		if err != nil {
			s.t.Error(err)
			return
		}
		out := make([]byte, 16, 16+len(prefix)+len(answer))
		out = append(append(out, prefix...), answer...)
		binary.LittleEndian.PutUint32(out, uint32(len(out)))
		binary.LittleEndian.PutUint32(out[8:], id)
		binary.LittleEndian.PutUint32(out[12:], code)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func (s *session) command(doc bson.Raw) bson.D {
	elements, err := doc.Elements()
	if err != nil || len(elements) == 0 {
		return refusal(9, "FailedToParse", "no command")
	}
	name := elements[0].Key()
	s.mu.Lock()
	s.seen = append(s.seen, name)
	s.mu.Unlock()
	database, _ := doc.Lookup("$db").StringValueOK()
	switch name {
	case "hello", "isMaster", "ismaster":
		return s.hello(doc)
	case "saslStart":
		return s.saslStart(doc)
	case "saslContinue":
		return s.saslContinue(doc)
	case "endSessions":
		return bson.D{{Key: "ok", Value: 1.0}}
	}
	if !s.authenticated {
		return refusal(13, "Unauthorized", "Command "+name+" requires authentication")
	}
	if answer := s.answer(name, database, doc); answer != nil {
		return answer
	}
	return refusal(59, "CommandNotFound", "no such command: '"+name+"'")
}

func (s *session) hello(doc bson.Raw) bson.D {
	answer := bson.D{{Key: "helloOk", Value: true}, {Key: "ismaster", Value: true}, {Key: "maxBsonObjectSize", Value: int32(16 << 20)},
		{Key: "maxMessageSizeBytes", Value: int32(48_000_000)}, {Key: "maxWriteBatchSize", Value: int32(100_000)},
		{Key: "logicalSessionTimeoutMinutes", Value: int32(30)}, {Key: "minWireVersion", Value: int32(0)}, {Key: "maxWireVersion", Value: int32(21)}}
	if s.user != "" {
		answer = append(answer, bson.E{Key: "saslSupportedMechs", Value: bson.A{"SCRAM-SHA-1", "SCRAM-SHA-256"}})
	}
	if first, ok := doc.Lookup("speculativeAuthenticate").DocumentOK(); ok {
		if reply := s.saslStart(first); reply[0].Key != "ok" {
			answer = append(answer, bson.E{Key: "speculativeAuthenticate", Value: reply})
		}
	}
	return append(answer, bson.E{Key: "ok", Value: 1.0})
}

var failed = refusal(18, "AuthenticationFailed", "Authentication failed.")

func (s *session) saslStart(doc bson.Raw) bson.D {
	if mechanism, _ := doc.Lookup("mechanism").StringValueOK(); mechanism != "SCRAM-SHA-256" {
		return refusal(334, "MechanismUnavailable", "Received authentication for mechanism "+mechanism+" which is not enabled")
	}
	client, err := scram.SHA256.NewClient(s.user, s.password, "")
	if err != nil {
		s.t.Error(err)
		return failed
	}
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "saltsaltsalt", Iters: 4096})
	if err != nil {
		s.t.Error(err)
		return failed
	}
	srv, err := scram.SHA256.NewServer(func(user string) (scram.StoredCredentials, error) {
		if user != s.user {
			return scram.StoredCredentials{}, errors.New("no such user")
		}
		return stored, nil
	})
	if err != nil {
		s.t.Error(err)
		return failed
	}
	s.conversation = srv.NewConversation()
	return s.step(doc)
}

func (s *session) saslContinue(doc bson.Raw) bson.D {
	if s.conversation == nil {
		return refusal(17, "ProtocolError", "No SASL session state found")
	}
	return s.step(doc)
}

func (s *session) step(doc bson.Raw) bson.D {
	_, payload, _ := doc.Lookup("payload").BinaryOK()
	reply, err := s.conversation.Step(string(payload))
	if err != nil {
		return failed
	}
	s.authenticated = s.conversation.Valid()
	return bson.D{{Key: "conversationId", Value: int32(1)}, {Key: "done", Value: s.conversation.Done()},
		{Key: "payload", Value: bson.Binary{Data: []byte(reply)}}, {Key: "ok", Value: 1.0}}
}
