package probe

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

// fullListener listens at an address whose queue of connections is full: the
// kernel drops what comes, as a firewall would.
func fullListener(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 5 {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue does not fill")
	return ""
}

func TestTCPCodes(t *testing.T) {
	f := func(what, address string, want Code) {
		t.Helper()
		timeout := 10 * time.Second
		if want == Timeout {
			timeout = 300 * time.Millisecond
		}
		r, got := probeOnce(t, Target{TCP: address}, timeout)
		if r.code != want {
			t.Errorf("%s: code %s (%v), want %s", what, r.code, r.err, want)
		}
		if _, ok := got[metricTCPConnectDuration]; ok != (want == OK) {
			t.Errorf("%s: connect duration present: %t", what, ok)
		}
	}
	f("accepts and talks", converse(t, func(c net.Conn) { c.Write([]byte("220 hello\r\n")) }), OK)
	f("accepts and says nothing", converse(t, func(net.Conn) {}), OK)
	f("accepts and closes", converse(t, func(c net.Conn) { c.Close() }), OK)
	f("refuses", closedPort(t), ConnectFailed)
	f("drops", fullListener(t), Timeout)
	f("name does not resolve", "bad..name:80", DNSFailed)
}

func TestOurOwnFaultIsNotTheTargets(t *testing.T) {
	f := func(err error, want bool) {
		t.Helper()
		r := dialResult(t.Context(), &net.OpError{Op: "dial", Err: err})
		if got := r.local != nil; got != want {
			t.Errorf("%v: our own fault: %t, want %t", err, got, want)
		}
	}
	f(syscall.EMFILE, true)
	f(syscall.EADDRNOTAVAIL, true)
	f(syscall.EPERM, true)
	f(syscall.ECONNREFUSED, false)
	f(syscall.ENETUNREACH, false)
	f(syscall.EHOSTUNREACH, false)
}
