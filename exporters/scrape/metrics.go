package scrape

import (
	"fmt"
	"strings"

	"github.com/VictoriaMetrics/metrics"
)

// Reasons of the failures counter: what is in the way of a scrape.
const (
	failureTimeout = "timeout"   // no full answer in time
	failureConnect = "connect"   // nobody took the connection
	failureDNS     = "dns"       // the name has no address
	failureTLS     = "tls"       // no TLS session
	failureStatus  = "status"    // an answer other than 200
	failureSize    = "too_large" // body_size_limit
	failureLimit   = "limit"     // sample_limit, target_limit or a label limit
	failureFormat  = "format"    // the answer is no exposition
	failureOther   = "other"     // none of these
)

var failureReasons = []string{
	failureTimeout, failureConnect, failureDNS, failureTLS, failureStatus, failureSize, failureLimit, failureFormat, failureOther,
}

// Reasons of the dropped counter.
const (
	droppedHistogram = "native_histogram" // the store keeps floats only
	droppedReserved  = "reserved_name"    // a name by which the store keeps a source's facts
)

type figures struct {
	scrapes  *metrics.Counter
	failures map[string]*metrics.Counter
	commits  *metrics.Counter
	unkept   *metrics.Counter
	dropped  map[string]*metrics.Counter
	ended    *metrics.Counter
	aliases  *metrics.Counter
	garbled  *metrics.Counter
}

func newFigures(set *metrics.Set, m *Manager) *figures {
	f := &figures{
		scrapes:  set.GetOrCreateCounter("watchkeeper_scrape_scrapes_total"),
		commits:  set.GetOrCreateCounter("watchkeeper_scrape_commits_total"),
		unkept:   set.GetOrCreateCounter("watchkeeper_scrape_commit_failures_total"),
		ended:    set.GetOrCreateCounter("watchkeeper_scrape_targets_ended_total"),
		aliases:  set.GetOrCreateCounter("watchkeeper_scrape_translations_total"),
		garbled:  set.GetOrCreateCounter("watchkeeper_scrape_translation_failures_total"),
		failures: map[string]*metrics.Counter{},
		dropped:  map[string]*metrics.Counter{},
	}
	for _, r := range failureReasons {
		f.failures[r] = set.GetOrCreateCounter(fmt.Sprintf("watchkeeper_scrape_failures_total{reason=%q}", r))
	}
	for _, r := range []string{droppedHistogram, droppedReserved} {
		f.dropped[r] = set.GetOrCreateCounter(fmt.Sprintf("watchkeeper_scrape_samples_dropped_total{reason=%q}", r))
	}
	set.GetOrCreateGauge("watchkeeper_scrape_jobs", func() float64 {
		jobs, _ := m.current()
		return float64(len(jobs))
	})
	set.GetOrCreateGauge("watchkeeper_scrape_targets", func() float64 {
		jobs, _ := m.current()
		n := 0
		for _, j := range jobs {
			n += j.known()
		}
		return float64(n)
	})
	return f
}

// failureReason sorts the scrape manager's error, which comes as text more
// often than as a type.
func failureReason(err error) string {
	if err == nil {
		return failureOther
	}
	text := err.Error()
	for _, r := range []struct{ part, reason string }{
		{"body size limit exceeded", failureSize},
		{"limit exceeded", failureLimit},
		{"server returned HTTP status", failureStatus},
		{"context deadline exceeded", failureTimeout},
		{"Client.Timeout", failureTimeout},
		{"i/o timeout", failureTimeout},
		{"no such host", failureDNS},
		{"connection refused", failureConnect},
		{"no route to host", failureConnect},
		{"network is unreachable", failureConnect},
		{"tls:", failureTLS},
		{"x509:", failureTLS},
		{"server gave HTTP response to HTTPS client", failureTLS},
		{"expected ", failureFormat},
		{"invalid metric name", failureFormat},
		{"missing metric name", failureFormat},
		{"invalid ", failureFormat},
		{"Content-Type", failureFormat},
		{"gzip:", failureFormat},
		{"unexpected end of input", failureFormat},
		{"data does not end with", failureFormat},
	} {
		if strings.Contains(text, r.part) {
			return r.reason
		}
	}
	return failureOther
}
