package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/miekg/dns"

	"watchkeeper/exporters"
)

const (
	defaultDNSPort = "53"
	// maxUDPAnswer is how large an answer over UDP may be; larger ones come over
	// TCP. The value avoids fragments.
	maxUDPAnswer = 1232
	// askEvery is the time between two questions of one probe over UDP: one lost
	// packet is not a server that does not answer.
	askEvery = 2 * time.Second
)

// DNS is a question to a name server and what is expected of its answer.
type DNS struct {
	// Server is the name server: a host or host:port. Default port 53. Required.
	Server string `yaml:"server"`
	// Name is asked for. Required.
	Name string `yaml:"name"`
	// Type is what is asked for: A, AAAA, CNAME, MX, NS, SOA, TXT, SRV, PTR, CAA ….
	// Default A.
	Type string `yaml:"type"`
	// Transport is udp or tcp. Over udp an answer that was cut is asked for again
	// over tcp. Default udp.
	Transport string `yaml:"transport"`
	// ExpectRcode is the response code that is good. Default NOERROR.
	ExpectRcode string `yaml:"expect_rcode"`
	// ExpectAnswer is a regular expression (RE2) that the data of at least one
	// record of the answer must contain, an address for A. Default: any answer,
	// and with NOERROR at least one record.
	ExpectAnswer string `yaml:"expect_answer"`
	// RejectAnswer is a regular expression that no record's data may contain.
	// Default: none.
	RejectAnswer string `yaml:"reject_answer"`
}

func (d DNS) validate() error {
	if host, port, err := net.SplitHostPort(d.address()); err != nil || host == "" || !validPort(port) {
		return fmt.Errorf("server: %q is not a host or host:port", d.Server)
	}
	if _, ok := dns.IsDomainName(d.Name); !ok || d.Name == "" {
		return fmt.Errorf("name: %q is not a domain name", d.Name)
	}
	if _, ok := dns.StringToType[d.queryType()]; !ok {
		return fmt.Errorf("type: %q is not a type of record", d.Type)
	}
	if d.Transport != "" && d.Transport != "udp" && d.Transport != "tcp" {
		return fmt.Errorf("transport: %q is neither udp nor tcp", d.Transport)
	}
	if _, ok := dns.StringToRcode[d.rcode()]; !ok {
		return fmt.Errorf("expect_rcode: %q is not a response code such as NOERROR or NXDOMAIN", d.ExpectRcode)
	}
	if _, err := regexp.Compile(d.ExpectAnswer); err != nil {
		return fmt.Errorf("expect_answer: %w", err)
	}
	if _, err := regexp.Compile(d.RejectAnswer); err != nil {
		return fmt.Errorf("reject_answer: %w", err)
	}
	return nil
}

func (d DNS) address() string {
	if _, _, err := net.SplitHostPort(d.Server); err == nil {
		return d.Server
	}
	return net.JoinHostPort(strings.Trim(d.Server, "[]"), defaultDNSPort)
}

func (d DNS) queryType() string {
	if d.Type == "" {
		return "A"
	}
	return strings.ToUpper(d.Type)
}

func (d DNS) rcode() string {
	if d.ExpectRcode == "" {
		return "NOERROR"
	}
	return strings.ToUpper(d.ExpectRcode)
}

// String is the question as the label `target` shows it.
func (d DNS) String() string {
	return fmt.Sprintf("%s %s @%s", d.Name, d.queryType(), d.address())
}

// dnsProber asks a name server.
type dnsProber struct {
	address, transport string
	name               string
	qtype              uint16
	rcode              int
	expect, reject     *regexp.Regexp // nil: none
}

func newDNSProber(d DNS) (*dnsProber, error) {
	p := &dnsProber{
		address: d.address(), transport: d.Transport, name: dns.Fqdn(d.Name),
		qtype: dns.StringToType[d.queryType()], rcode: dns.StringToRcode[d.rcode()],
	}
	if p.transport == "" {
		p.transport = "udp"
	}
	var err error
	if p.expect, err = compileIfSet(d.ExpectAnswer); err != nil {
		return nil, err
	}
	p.reject, err = compileIfSet(d.RejectAnswer)
	return p, err
}

func (p *dnsProber) probe(ctx context.Context) result {
	began := time.Now()
	reply, r := p.askUntilAnswered(ctx)
	if r.code == OK && r.local == nil && reply.Truncated && p.transport == "udp" {
		reply, r = p.ask(ctx, "tcp")
	}
	took := time.Since(began)
	if r.code != OK || r.local != nil {
		return r
	}
	r = p.judge(reply)
	r.samples = func(b *exporters.Builder) {
		b.Add(metricDNSDuration, took.Seconds())
		b.Add(metricDNSAnswers, float64(len(reply.Answer)))
	}
	return r
}

func (p *dnsProber) askUntilAnswered(ctx context.Context) (*dns.Msg, result) {
	if p.transport != "udp" {
		return p.ask(ctx, p.transport)
	}
	for {
		attempt, cancel := context.WithTimeout(ctx, askEvery)
		reply, r := p.ask(attempt, p.transport)
		cancel()
		if r.code != Timeout || ctx.Err() != nil {
			return reply, r
		}
	}
}

func (p *dnsProber) ask(ctx context.Context, transport string) (*dns.Msg, result) {
	conn, err := new(net.Dialer).DialContext(ctx, transport, p.address)
	if err != nil {
		return nil, dialResult(ctx, err)
	}
	defer conn.Close()
	defer bounded(ctx, conn)()
	question := new(dns.Msg).SetQuestion(p.name, p.qtype)
	question.SetEdns0(maxUDPAnswer, false)
	client := &dns.Client{Net: transport, UDPSize: maxUDPAnswer, Timeout: time.Until(deadlineOf(ctx))}
	reply, _, err := client.ExchangeWithConnContext(ctx, question, &dns.Conn{Conn: conn, UDPSize: maxUDPAnswer})
	if err != nil {
		c := conversation{}
		return nil, c.broken(ctx, err)
	}
	return reply, result{code: OK}
}

func deadlineOf(ctx context.Context) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Now().Add(defaultTimeout)
	}
	return deadline
}

func (p *dnsProber) judge(reply *dns.Msg) result {
	if reply.Rcode != p.rcode {
		return result{code: RcodeFailed, err: fmt.Errorf("response code %s", dns.RcodeToString[reply.Rcode])}
	}
	matched := false
	for _, record := range reply.Answer {
		data := strings.TrimPrefix(record.String(), record.Header().String())
		if p.reject != nil && p.reject.MatchString(data) {
			return result{code: BodyFailed, err: fmt.Errorf("record matches reject_answer: %s", data)}
		}
		matched = matched || p.expect == nil || p.expect.MatchString(data)
	}
	switch {
	case matched, p.expect == nil && p.rcode != dns.RcodeSuccess:
		return result{code: OK}
	case len(reply.Answer) == 0:
		return result{code: BodyFailed, err: errors.New("answer has no record")}
	default:
		return result{code: BodyFailed, err: errors.New("no record matches expect_answer")}
	}
}
