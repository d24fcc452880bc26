package aliyun

import (
	"fmt"
	"time"
)

// Expire makes an instance a prepaid one that ends at At, cut to the minute. A later
// Expire of the same instance is its renewal: the latest injected counts. Instances
// of products without subscriptions (CDN, OSS, ALB) cannot expire.
type Expire struct {
	Instance string
	At       time.Time
}

func (f Expire) add(s *Server) error {
	r := s.estate.byID[f.Instance]
	if r == nil {
		return fmt.Errorf("expire: no instance %q", f.Instance)
	}
	if r.product.postpaidOnly {
		return fmt.Errorf("expire: %s is of a product without subscriptions", f.Instance)
	}
	if s.faults.expiries == nil {
		s.faults.expiries = map[string]time.Time{}
	}
	s.faults.expiries[f.Instance] = f.At.UTC().Truncate(time.Minute)
	return nil
}

// Formats of times in list actions.
const (
	minuteLayout = "2006-01-02T15:04Z"
	secondLayout = "2006-01-02T15:04:05Z"
	dateLayout   = "2006-01-02"
)

// expiryOf is when a prepaid instance ends, the same in every list and in the bill
// service. The zero time: never, it is paid as it goes.
//
// Without an Expire it is a whole number of years after the creation, at midnight in
// China, the first one after now: as if it had always been renewed.
func (s *Server) expiryOf(r *resource) time.Time {
	s.faultMu.RLock()
	at, scripted := s.faults.expiries[r.id]
	s.faultMu.RUnlock()
	if scripted {
		return at
	}
	if r.product.postpaidOnly || !pick(mix(r.key, 61), true, true, false) {
		return time.Time{}
	}
	now, first := s.now(), r.firstRenewal()
	end := first
	for years := 1; !end.After(now); years++ {
		end = first.AddDate(years, 0, 0) // from the first on: a year after a leap day is March
	}
	return end
}

// Expiry is the ground truth of when an instance ends; the zero time: never, or there
// is no such instance.
func (s *Server) Expiry(instance string) time.Time {
	r := s.estate.byID[instance]
	if r == nil {
		return time.Time{}
	}
	return s.expiryOf(r)
}

// firstRenewal is the midnight in China from which subscription years count.
func (r *resource) firstRenewal() time.Time { return r.created.Truncate(day).Add(16 * time.Hour) }

func (s *Server) prepaid(r *resource) bool { return !s.expiryOf(r).IsZero() }

// expired tells that a prepaid instance has ended and was not renewed.
func (s *Server) expired(r *resource) bool {
	end := s.expiryOf(r)
	return !end.IsZero() && !end.After(s.now())
}

// expiryText formats the expiry; never is what the product says of instances that do
// not expire.
func (s *Server) expiryText(r *resource, layout, never string) string {
	end := s.expiryOf(r)
	if end.IsZero() {
		return never
	}
	return end.Format(layout)
}

// chargeType is in the words of ECS and most others.
func (s *Server) chargeType(r *resource) string {
	if s.prepaid(r) {
		return "PrePaid"
	}
	return "PostPaid"
}
