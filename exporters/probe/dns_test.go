package probe

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// nameServer answers over UDP and TCP at one port.
func nameServer(t *testing.T, h dns.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{Listener: l, Handler: h}, {PacketConn: c, Handler: h}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go s.ActivateAndServe()
		<-started
		t.Cleanup(func() { s.Shutdown() })
	}
	return l.Addr().String()
}

func reply(rcode int, records ...string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetRcode(q, rcode)
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		w.WriteMsg(m)
	}
}

func TestDNSCodes(t *testing.T) {
	f := func(what string, d DNS, want Code, answers float64) {
		t.Helper()
		if d.Name == "" {
			d.Name = "www.example.com"
		}
		r, got := probeOnce(t, Target{DNS: &d}, 10*time.Second)
		if r.code != want || (r.err != nil) != (want != OK) {
			t.Errorf("%s: code %s (%v), want %s", what, r.code, r.err, want)
		}
		if got[metricDNSAnswers] != answers {
			t.Errorf("%s: %v answers, want %v", what, got[metricDNSAnswers], answers)
		}
	}
	two := nameServer(t, reply(dns.RcodeSuccess, "www.example.com. 60 IN A 192.0.2.7", "www.example.com. 60 IN A 192.0.2.8"))
	f("answers", DNS{Server: two}, OK, 2)
	f("over TCP", DNS{Server: two, Transport: "tcp"}, OK, 2)
	f("as expected", DNS{Server: two, ExpectAnswer: `^192\.0\.2\.8$`}, OK, 2)
	f("not as expected", DNS{Server: two, ExpectAnswer: `^198\.`}, BodyFailed, 2)
	f("rejected", DNS{Server: two, RejectAnswer: `\.8$`}, BodyFailed, 2)
	f("mail", DNS{Server: nameServer(t, reply(dns.RcodeSuccess, "example.com. 60 IN MX 10 mail.example.com.")), Type: "mx", ExpectAnswer: `^10 mail\.example\.com\.$`}, OK, 1)
	f("no record", DNS{Server: nameServer(t, reply(dns.RcodeSuccess))}, BodyFailed, 0)
	missing := nameServer(t, reply(dns.RcodeNameError))
	f("NXDOMAIN", DNS{Server: missing}, RcodeFailed, 0)
	f("NXDOMAIN expected", DNS{Server: missing, ExpectRcode: "NXDOMAIN"}, OK, 0)
	f("refused", DNS{Server: nameServer(t, reply(dns.RcodeRefused))}, RcodeFailed, 0)
	f("nobody listens", DNS{Server: closedPort(t), Transport: "tcp"}, ConnectFailed, 0)
	f("server's name does not resolve", DNS{Server: "bad..name"}, DNSFailed, 0)
	f("garbage", DNS{Server: echoServer(t, func([]byte) []byte { return []byte("garbage") })}, ProtocolError, 0)
	f("cut over UDP, whole over TCP", DNS{Server: nameServer(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if w.RemoteAddr().Network() == "udp" {
			w.WriteMsg(&dns.Msg{MsgHdr: dns.MsgHdr{Id: q.Id, Response: true, Truncated: true}, Question: q.Question})
			return
		}
		reply(dns.RcodeSuccess, "www.example.com. 60 IN A 192.0.2.7")(w, q)
	})}, OK, 1)
}

// One lost packet is not a server that does not answer.
func TestDNSAsksAgain(t *testing.T) {
	var asked atomic.Int32
	address := nameServer(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if asked.Add(1) > 1 {
			reply(dns.RcodeSuccess, "www.example.com. 60 IN A 192.0.2.7")(w, q)
		}
	})
	if r, _ := probeOnce(t, Target{DNS: &DNS{Server: address, Name: "www.example.com"}}, 15*time.Second); r.code != OK {
		t.Errorf("code %s (%v), want ok", r.code, r.err)
	}
}

func TestDNSTimeout(t *testing.T) {
	address := nameServer(t, func(dns.ResponseWriter, *dns.Msg) {})
	for _, transport := range []string{"udp", "tcp"} {
		r, _ := probeOnce(t, Target{DNS: &DNS{Server: address, Name: "www.example.com", Transport: transport}}, 300*time.Millisecond)
		if r.code != Timeout {
			t.Errorf("%s: code %s (%v), want timeout", transport, r.code, r.err)
		}
	}
}
