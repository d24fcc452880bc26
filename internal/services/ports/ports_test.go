//go:build linux

package ports

import (
	"net"
	"strconv"
	"testing"
)

func TestFree(t *testing.T) {
	low, err := ephemeral()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for range 100 {
		port := Free(t)
		if n, err := strconv.Atoi(port); err != nil || n < first || n >= low || seen[port] {
			t.Fatalf("port %s, want a new one between %d and %d", port, first, low)
		}
		seen[port] = true
		// A second process would find it claimed.
		if claim, err := net.Listen("unix", "@watchkeeper-test-port-"+port); err == nil {
			claim.Close()
			t.Fatalf("port %s is not claimed", port)
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}

// A port that somebody listens at is not given.
func TestTaken(t *testing.T) {
	Free(t)
	claims.Lock()
	taken := claims.next
	claims.Unlock()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(taken)))
	if err == nil { // else it is somebody else's
		defer l.Close()
	}
	if port := Free(t); port == strconv.Itoa(taken) {
		t.Fatalf("%s is taken", port)
	}
}
