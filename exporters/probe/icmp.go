package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"watchkeeper/exporters"
)

const (
	// echoEvery is the time between two echo requests of one probe. The first
	// reply ends it: one lost packet is not an address that does not answer.
	echoEvery = time.Second
	// nonceBytes tell our replies from those to others: a raw socket sees all.
	nonceBytes = 16
)

// icmpProber sends echo requests until one is answered or time runs out.
type icmpProber struct{ host string }

func (p icmpProber) probe(ctx context.Context) result {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", p.host)
	if err != nil {
		return dialResult(ctx, err)
	}
	conn, err := listenEcho(addrs[0].Unmap())
	if err != nil {
		return result{local: fmt.Errorf("no ICMP socket (it takes the capability NET_RAW, or a group within net.ipv4.ping_group_range): %w", err)}
	}
	defer conn.Close()
	rtt, err := conn.ping(ctx)
	if err != nil {
		return dialResult(ctx, err)
	}
	return result{code: OK, samples: func(b *exporters.Builder) {
		b.Add(metricICMPRoundTrip, rtt.Seconds())
	}}
}

// echoConn is an ICMP socket and what is said over it.
type echoConn struct {
	*icmp.PacketConn
	to       net.Addr
	request  icmp.Type
	reply    icmp.Type
	protocol int
	id       int
	nonce    []byte
}

// listenEcho opens an unprivileged ICMP socket or else a raw one.
func listenEcho(addr netip.Addr) (*echoConn, error) {
	c := &echoConn{id: os.Getpid() & 0xffff, nonce: make([]byte, nonceBytes)}
	rand.Read(c.nonce) // never fails
	unprivileged, raw, local := "udp4", "ip4:icmp", "0.0.0.0"
	c.request, c.reply, c.protocol = ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, 1
	if addr.Is6() {
		unprivileged, raw, local = "udp6", "ip6:ipv6-icmp", "::"
		c.request, c.reply, c.protocol = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 58
	}
	conn, err := icmp.ListenPacket(unprivileged, local)
	c.PacketConn, c.to = conn, &net.UDPAddr{IP: addr.AsSlice(), Zone: addr.Zone()}
	if err != nil {
		var rawErr error
		if c.PacketConn, rawErr = icmp.ListenPacket(raw, local); rawErr != nil {
			return nil, errors.Join(err, rawErr)
		}
		c.to = &net.IPAddr{IP: addr.AsSlice(), Zone: addr.Zone()}
	}
	return c, nil
}

// ping returns the round-trip time of the first reply.
func (c *echoConn) ping(ctx context.Context) (time.Duration, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0, errors.New("BUG: probe without a time-out")
	}
	// Closing the socket is what ends a read when ctx ends early.
	defer context.AfterFunc(ctx, func() { c.Close() })()
	var sent []time.Time // by sequence number
	for time.Now().Before(deadline) {
		sent = append(sent, time.Now())
		if err := c.send(len(sent) - 1); err != nil {
			return 0, err
		}
		until := time.Now().Add(echoEvery)
		if until.After(deadline) {
			until = deadline
		}
		switch seq, err := c.receive(until, len(sent)); {
		case err == nil:
			return time.Since(sent[seq]), nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return 0, err
		}
	}
	return 0, context.DeadlineExceeded
}

func (c *echoConn) send(seq int) error {
	m := icmp.Message{Type: c.request, Body: &icmp.Echo{ID: c.id, Seq: seq, Data: c.nonce}}
	packet, err := m.Marshal(nil)
	if err != nil {
		return err
	}
	_, err = c.WriteTo(packet, c.to)
	return err
}

// receive returns the sequence number of the next reply to one of our requests.
func (c *echoConn) receive(until time.Time, requests int) (int, error) {
	if err := c.SetReadDeadline(until); err != nil {
		return 0, err
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return 0, err
		}
		m, err := icmp.ParseMessage(c.protocol, buf[:n])
		if err != nil || m.Type != c.reply {
			continue
		}
		// The kernel replaces the id on unprivileged sockets; the nonce stays.
		if echo, ok := m.Body.(*icmp.Echo); ok && bytes.Equal(echo.Data, c.nonce) && echo.Seq < requests {
			return echo.Seq, nil
		}
	}
}
