package watch

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// States of sockets in the kernel's tables.
const (
	tcpListen      = "0A"
	udpUnconnected = "07"
)

// ports lists the ports on which this host listens, those of this network
// namespace. UDP ports of the range from which clients are given theirs are left
// out: they come and go.
func ports(context.Context) (snapshot, error) {
	low, high := ephemeral()
	s := make(snapshot)
	for _, t := range []struct{ protocol, file, state string }{
		{"tcp", "/proc/net/tcp", tcpListen}, {"tcp", "/proc/net/tcp6", tcpListen},
		{"udp", "/proc/net/udp", udpUnconnected}, {"udp", "/proc/net/udp6", udpUnconnected},
	} {
		f, err := os.Open(t.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		sockets, err := socketsOf(f, t.state)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.file, err)
		}
		for _, a := range sockets {
			if t.protocol == "tcp" || a.Port() < low || a.Port() > high {
				s[join(t.protocol, a.Addr().Unmap().String(), strconv.Itoa(int(a.Port())))] = map[string]string{}
			}
		}
	}
	return s, nil
}

// ephemeral is the range from which clients are given ports.
func ephemeral() (low, high uint16) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if _, scanErr := fmt.Sscan(string(b), &low, &high); err != nil || scanErr != nil {
		return 32768, 60999 // the kernel's default
	}
	return low, high
}

// socketsOf reads the local addresses of the sockets in a state from one of the
// kernel's tables:
//
//	sl  local_address rem_address   st …
//	 0: 0100007F:1F90 00000000:0000 0A …
func socketsOf(table io.Reader, state string) ([]netip.AddrPort, error) {
	var found []netip.AddrPort
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[3] != state {
			continue
		}
		a, err := socketAddress(fields[1])
		if err != nil {
			return nil, err
		}
		found = append(found, a)
	}
	return found, lines.Err()
}

// socketAddress reads ADDRESS:PORT; the address is printed as words of 32 bits in the
// machine's order of bytes.
func socketAddress(text string) (netip.AddrPort, error) {
	address, port, _ := strings.Cut(text, ":")
	words, err := hex.DecodeString(address)
	if err != nil || len(words) != 4 && len(words) != 16 {
		return netip.AddrPort{}, fmt.Errorf("address %.60q", text)
	}
	for i := 0; i < len(words); i += 4 {
		binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("port of %.60q", text)
	}
	a, _ := netip.AddrFromSlice(words)
	return netip.AddrPortFrom(a, uint16(n)), nil
}
