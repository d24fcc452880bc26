//go:build linux

// Package ports gives loopback ports to the servers that tests start.
//
// A port that the kernel chooses (":0") may be taken again before the server
// has bound it: by any outgoing connection of the machine, whose own port comes
// from the same range. These ports are outside that range, and only one test
// process has each.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// first is above the ports that servers have by default, mostly.
const first = 10_000

var claims struct {
	sync.Mutex
	next, end int            // the next port to try, and the first that is not ours
	held      []net.Listener // until the process ends
}

// Free returns a port that nobody listens at and that no test process of this
// machine gets again before this one has ended.
func Free(t testing.TB) string {
	t.Helper()
	claims.Lock()
	defer claims.Unlock()
	if claims.end == 0 {
		end, err := ephemeral()
		if err != nil {
			t.Fatal(err)
		}
		claims.end = end
		claims.next = first + rand.IntN(end-first)
	}
	for range claims.end - first {
		port := claims.next
		if claims.next++; claims.next == claims.end {
			claims.next = first
		}
		// An abstract socket is a claim that ends with its process.
		claim, err := net.Listen("unix", fmt.Sprintf("@watchkeeper-test-port-%d", port))
		if err != nil {
			continue // another process has it
		}
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			l.Close()
			claims.held = append(claims.held, claim)
			return strconv.Itoa(port)
		}
		claim.Close()
	}
	t.Fatalf("no free port between %d and %d", first, claims.end)
	return ""
}

// ephemeral returns the first port that the kernel gives to connections.
func ephemeral() (int, error) {
	const file = "/proc/sys/net/ipv4/ip_local_port_range"
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var low, high int
	if _, err := fmt.Sscan(string(text), &low, &high); err != nil {
		return 0, fmt.Errorf("%s: %q: %w", file, text, err)
	}
	if low <= first+1000 {
		// This machine gives nearly all ports to connections: better than none.
		return 32_768, nil
	}
	return low, nil
}
