package probe

import (
	"context"
	"strings"
	"testing"
	"time"

	"watchkeeper/exporters"
)

// Whether ping is permitted depends on where the test runs. Where it is,
// loopback answers; where not, that is our fault and not loopback's.
func TestPingLoopback(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "localhost"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r := icmpProber{host: host}.probe(ctx)
		if r.local != nil {
			if !strings.Contains(r.local.Error(), "NET_RAW") {
				t.Errorf("%s: %v, want an error that says what is missing", host, r.local)
			}
			continue
		}
		if r.code != OK {
			t.Errorf("%s: code %s (%v), want ok", host, r.code, r.err)
			continue
		}
		b := exporters.NewBuilder(time.Now())
		r.samples(b)
		if s := b.Samples(); len(s) != 1 || s[0].V <= 0 || s[0].V > 60 {
			t.Errorf("%s: round trip %v", host, s)
		}
	}
}

func TestPingNameThatDoesNotResolve(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if r := (icmpProber{host: "bad..name"}).probe(ctx); r.code != DNSFailed || r.local != nil {
		t.Errorf("code %s (%v, %v), want dns", r.code, r.err, r.local)
	}
}
