package sqlserver

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"unicode/utf16"

	"watchkeeper/exporters/middleware/server/servertest"
)

// The packets and tokens of TDS 7.4 that the stand-in knows.
const (
	packetBatch    = 1
	packetReply    = 4
	packetLogin    = 16
	packetPrelogin = 18

	tokenColumns  = 0x81
	tokenError    = 0xAA
	tokenLoginAck = 0xAD
	tokenRow      = 0xD1
	tokenEnvChg   = 0xE3
	tokenDone     = 0xFD

	typeIntN     = 0x26
	typeBitN     = 0x68
	typeNVarChar = 0xE7

	encryptOff    = 0
	encryptOn     = 1
	encryptNotSup = 2

	doneError = 2
	doneCount = 0x10

	maxPacket = 4096
)

// reply is the answer to a batch: rows, or an error of the server's.
type reply struct {
	columns []string
	rows    [][]any // int64, bool, string or nil
	err     *refusal
}

type refusal struct {
	number  int32
	class   byte
	message string
}

// standIn speaks TDS with the real driver: the greeting, TLS inside it, the
// log-in, and batches by recorded answers.
type standIn struct {
	t              testing.TB
	user, password string
	tls            *tls.Config // nil: cannot encrypt
	routed         string      // sends its clients there
	answer         func(query string) reply

	mu     sync.Mutex
	seen   []string // the batches in their order
	logins []string // how they came: "tls" or "plain"
}

func (s *standIn) listen(t testing.TB) string {
	return servertest.Listen(t, func(c net.Conn) { s.serve(&session{standIn: s, raw: c, conn: c}) }).Addr().String()
}

func (s *standIn) batches() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// session is one connection.
type session struct {
	*standIn
	raw  net.Conn
	conn net.Conn // raw, or TLS over it
}

func (s *standIn) serve(c *session) {
	kind, greeting, err := readMessage(c.conn)
	if err != nil || kind != packetPrelogin {
		return
	}
	mode := c.encryption(greeting)
	if writeMessage(c.conn, packetReply, prelogin(mode)) != nil {
		return
	}
	if mode != encryptNotSup {
		wrapped := &handshaking{Conn: c.raw}
		secure := tls.Server(wrapped, c.tls)
		if secure.Handshake() != nil {
			return
		}
		wrapped.over = true
		c.conn = secure
	}
	kind, login, err := readMessage(c.conn)
	if err != nil || kind != packetLogin {
		return
	}
	s.mu.Lock()
	s.logins = append(s.logins, map[bool]string{true: "tls", false: "plain"}[c.conn != c.raw])
	s.mu.Unlock()
	if mode == encryptOff {
		c.conn = c.raw // the login alone
	}
	if !c.login(login) {
		return
	}
	for {
		kind, batch, err := readMessage(c.conn)
		if err != nil || kind != packetBatch {
			return
		}
		query := fromUCS2(batch[binary.LittleEndian.Uint32(batch):])
		s.mu.Lock()
		s.seen = append(s.seen, query)
		s.mu.Unlock()
		if writeMessage(c.conn, packetReply, encode(s.answer(query))) != nil {
			return
		}
	}
}

// encryption answers what the client asks for in its greeting.
func (c *session) encryption(greeting []byte) byte {
	if c.tls == nil {
		return encryptNotSup
	}
	for i := 0; i+5 <= len(greeting) && greeting[i] != 0xFF; i += 5 {
		if greeting[i] == 1 {
			return greeting[binary.BigEndian.Uint16(greeting[i+1:])]
		}
	}
	return encryptOn
}

func prelogin(encryption byte) []byte {
	return []byte{0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 16, 0, 16, 0, 0, 0, encryption}
}

func (c *session) login(login []byte) bool {
	field := func(at int) []byte {
		offset, length := binary.LittleEndian.Uint16(login[at:]), binary.LittleEndian.Uint16(login[at+2:])
		return login[offset:][:2*int(length)]
	}
	secret := slices.Clone(field(44))
	for i, b := range secret {
		b ^= 0xA5
		secret[i] = b<<4 | b>>4
	}
	if fromUCS2(field(40)) != c.user || fromUCS2(secret) != c.password {
		_ = writeMessage(c.conn, packetReply, encode(reply{err: &refusal{18456, 14, "Login failed for user '" + fromUCS2(field(40)) + "'."}}))
		return false
	}
	var b bytes.Buffer
	if c.routed != "" {
		target := toUCS2(c.routed)
		value := binary.LittleEndian.AppendUint16([]byte{0}, 1433)
		value = append(binary.LittleEndian.AppendUint16(value, uint16(len(target)/2)), target...)
		change := binary.LittleEndian.AppendUint16([]byte{20}, uint16(len(value)))
		change = append(append(change, value...), 0, 0)
		b.WriteByte(tokenEnvChg)
		b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(change))))
		b.Write(change)
	}
	name := toUCS2("Microsoft SQL Server")
	ack := append([]byte{1, 0x74, 0, 0, 4, byte(len(name) / 2)}, name...)
	ack = append(ack, 16, 0, 0x10, 0x7C)
	b.WriteByte(tokenLoginAck)
	b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(ack))))
	b.Write(ack)
	done(&b, 0, 0)
	return writeMessage(c.conn, packetReply, b.Bytes()) == nil
}

// encode makes the tokens of an answer.
func encode(r reply) []byte {
	var b bytes.Buffer
	if r.err != nil {
		message := toUCS2(r.err.message)
		text := binary.LittleEndian.AppendUint32(nil, uint32(r.err.number))
		text = append(text, 1, r.err.class)
		text = append(binary.LittleEndian.AppendUint16(text, uint16(len(message)/2)), message...)
		text = append(text, 0, 0, 1, 0, 0, 0)
		b.WriteByte(tokenError)
		b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(text))))
		b.Write(text)
		done(&b, doneError, 0)
		return b.Bytes()
	}
	if len(r.columns) > 0 {
		b.WriteByte(tokenColumns)
		b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(r.columns))))
		for i, name := range r.columns {
			b.Write([]byte{0, 0, 0, 0, 1, 0})
			switch r.kind(i) {
			case typeIntN:
				b.Write([]byte{typeIntN, 8})
			case typeBitN:
				b.Write([]byte{typeBitN, 1})
			default:
				b.Write([]byte{typeNVarChar, 0x40, 0x1F, 9, 4, 0xD0, 0, 0x34})
			}
			b.WriteByte(byte(len(toUCS2(name)) / 2))
			b.Write(toUCS2(name))
		}
		for _, values := range r.rows {
			b.WriteByte(tokenRow)
			for i, v := range values {
				r.value(&b, i, v)
			}
		}
	}
	done(&b, doneCount, uint64(len(r.rows)))
	return b.Bytes()
}

// kind is a column's type: that of its first value.
func (r reply) kind(column int) byte {
	for _, values := range r.rows {
		switch values[column].(type) {
		case int64:
			return typeIntN
		case bool:
			return typeBitN
		case string:
			return typeNVarChar
		}
	}
	return typeNVarChar
}

func (r reply) value(b *bytes.Buffer, column int, v any) {
	switch v := v.(type) {
	case int64:
		b.WriteByte(8)
		b.Write(binary.LittleEndian.AppendUint64(nil, uint64(v)))
	case bool:
		b.Write([]byte{1, map[bool]byte{true: 1}[v]})
	case string:
		text := toUCS2(v)
		b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(text))))
		b.Write(text)
	default:
		if r.kind(column) == typeNVarChar {
			b.Write([]byte{0xFF, 0xFF})
		} else {
			b.WriteByte(0)
		}
	}
}

func done(b *bytes.Buffer, status uint16, rows uint64) {
	b.WriteByte(tokenDone)
	b.Write(binary.LittleEndian.AppendUint16(nil, status))
	b.Write([]byte{0xC1, 0})
	b.Write(binary.LittleEndian.AppendUint64(nil, rows))
}

// readMessage reads the packets of one message.
func readMessage(r io.Reader) (kind byte, message []byte, err error) {
	for {
		var header [8]byte
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return 0, nil, err
		}
		size := int(binary.BigEndian.Uint16(header[2:]))
		if size < 8 || len(message) > 1<<20 {
			return 0, nil, errors.New("no packet of TDS")
		}
		payload := make([]byte, size-8)
		if _, err := io.ReadFull(r, payload); err != nil {
			return 0, nil, err
		}
		kind, message = header[0], append(message, payload...)
		if header[1]&1 == 1 {
			return kind, message, nil
		}
	}
}

// writeMessage sends a message in packets of the size that was agreed upon.
func writeMessage(w io.Writer, kind byte, message []byte) error {
	for first := true; first || len(message) > 0; first = false {
		n := min(len(message), maxPacket-8)
		packet := []byte{kind, 0, 0, 0, 0, 0, 1, 0}
		if n == len(message) {
			packet[1] = 1
		}
		binary.BigEndian.PutUint16(packet[2:], uint16(n+8))
		if _, err := w.Write(append(packet, message[:n]...)); err != nil {
			return err
		}
		message = message[n:]
	}
	return nil
}

// handshaking wraps the records of a TLS handshake in packets, as TDS wants it.
type handshaking struct {
	net.Conn
	over bool
	left []byte
}

func (h *handshaking) Read(b []byte) (int, error) {
	if h.over && len(h.left) == 0 {
		return h.Conn.Read(b)
	}
	if len(h.left) == 0 {
		kind, message, err := readMessage(h.Conn)
		if err != nil || kind != packetPrelogin {
			return 0, io.ErrUnexpectedEOF
		}
		h.left = message
	}
	n := copy(b, h.left)
	h.left = h.left[n:]
	return n, nil
}

func (h *handshaking) Write(b []byte) (int, error) {
	if h.over {
		return h.Conn.Write(b)
	}
	return len(b), writeMessage(h.Conn, packetPrelogin, b)
}

func toUCS2(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func fromUCS2(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return string(utf16.Decode(units))
}
