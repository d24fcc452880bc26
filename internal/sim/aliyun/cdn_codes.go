package aliyun

import (
	"fmt"
	"time"
)

// DomainErrors makes requests to a CDN domain fail: of the requests in [From, To),
// in whole slots of five minutes, the Ratio (0 to 1) is answered with Code. With
// Source the origin's answers fail the same way, otherwise those to visitors alone.
type DomainErrors struct {
	Domain   string
	From, To time.Time
	Code     int
	Ratio    float64
	Source   bool
}

func (f DomainErrors) add(s *Server) error {
	if r := s.estate.byID[f.Domain]; r == nil || r.product.namespace != nsCDN {
		return fmt.Errorf("domain errors: no domain %q", f.Domain)
	}
	if f.Code < 100 || f.Code > 599 || !(f.Ratio >= 0 && f.Ratio <= 1) {
		return fmt.Errorf("domain errors: code %d or ratio %v is out of range", f.Code, f.Ratio)
	}
	s.faults.domainErrors = append(s.faults.domainErrors, f)
	return nil
}

// DomainCodes is the ground truth of a domain's requests by status code in the five
// minutes that begin at `slot`: those of visitors, or with source those that went to
// the origin. Nil for an unknown domain.
func (s *Server) DomainCodes(domain string, source bool, slot time.Time) map[int]int64 {
	r := s.estate.byID[domain]
	if r == nil || r.product.namespace != nsCDN {
		return nil
	}
	return s.slotCodes(r, source, slot.Truncate(cdnSlot))
}

var requestRate = rate(4000)

// slotCodes: about one request in ten goes to the origin.
func (s *Server) slotCodes(r *resource, source bool, slot time.Time) map[int]int64 {
	key := mix(r.key, 90)
	requests := requestRate.at(key, slot.Unix()/60).average
	if source {
		key, requests = mix(r.key, 91), requests/10
	}
	total := int64(requests * cdnSlot.Seconds())
	if r.domainStatus() == "offline" || !s.lifeOf(r.id).exists(slot) {
		total = 0
	}
	counts := map[int]int64{}
	rest := total
	take := func(code int, ratio float64) {
		n := min(rest, int64(float64(total)*ratio))
		if n > 0 {
			counts[code] += n
			rest -= n
		}
	}
	s.faultMu.RLock()
	for _, f := range s.faults.domainErrors {
		if f.Domain == r.id && (!source || f.Source) && !slot.Before(f.From.Truncate(cdnSlot)) && slot.Before(f.To) {
			take(f.Code, f.Ratio)
		}
	}
	s.faultMu.RUnlock()
	share := func(n uint64, most float64) float64 { return most * unit(mix(key, uint64(slot.Unix())*8+n)) }
	take(304, 0.05+share(1, 0.05))
	take(404, share(2, 0.01))
	take(499, share(3, 0.002))
	take(502, share(4, 0.0005))
	if rest > 0 {
		counts[200] += rest
	}
	return counts
}
