package aliyun

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// MaxECSInstances bounds Config.ECSInstances.
const MaxECSInstances = 20000

const maxRequestLog = 1_000_000

// Config describes the simulated account. A zero field takes its default.
type Config struct {
	// Seed decides every generated resource and value. Default 0.
	Seed uint64
	// AccountID is the account's number. Default 1234567890123456.
	AccountID string
	// Keys are the AccessKeys that the account knows. At least one.
	Keys []Key
	// RoleExternalID is what the trust policy of every role asks of AssumeRole.
	// Default none.
	RoleExternalID string
	// Regions hold the resources, evenly. Default cn-hangzhou.
	Regions []string
	// ECSInstances is how many ECS instances exist. Default 0, at most MaxECSInstances.
	ECSInstances int
	// Products is how many instances of each other product exist, by namespace
	// (acs_rds_dashboard: 3). Default none.
	Products map[string]int
	// Now is the account's clock: it decides which points are published, and flow
	// control and quota run on it, so that a time-scaled test scales them too.
	// Signatures and security tokens are always checked on the real clock.
	// Default time.Now.
	Now func() time.Time
	// PointDelay is how late points are published. Default DefaultDelay().
	PointDelay *Delay
	// ProductDelay overrides PointDelay by namespace.
	ProductDelay map[string]Delay
	// MissingRatio is the share of points that are never published, 0 to 1. Default 0.
	MissingRatio float64
	// Retention is how long points can be queried, by period. Default 7 days below
	// 60 s, 31 days at 60 s, 91 days from 300 s.
	Retention Retention
	// QuotaPerMonth is the number of metric queries allowed in a calendar month
	// (UTC+8; the real zone is not documented), all regions and keys together.
	// Default 1,000,000; negative: no limit.
	QuotaPerMonth int
	// HybridCloud is whether the edition is activated that exports points in bulk
	// (Cursor, BatchExport). Default false: these calls are refused.
	HybridCloud bool
	// RateLimits are calls per second by API ("Cms.DescribeMetricList") or product
	// ("Cms", for each of its other APIs). Entries replace those of
	// DefaultRateLimits; a negative one switches the limit off. They run on Now: a
	// clock that stands never refills them.
	RateLimits map[string]float64
	// RequestLog is how many of the latest requests Requests returns, at most a
	// million. Default 1000; negative: none.
	RequestLog int
}

// KeyStatus is whether an AccessKey may be used.
type KeyStatus int

// Statuses of a key.
const (
	Active KeyStatus = iota
	Inactive
)

// Key is an AccessKey, or a temporary one when SecurityToken is set.
type Key struct {
	ID     string
	Secret string
	Status KeyStatus
	// SecurityToken must come with every request of a temporary key.
	SecurityToken string
	// Expires is when the SecurityToken ends (real clock). Zero: never.
	Expires time.Time
	// Permissions are RAM actions (cms:QueryMetricList), with * as wildcard.
	// Nil: everything; empty but not nil: nothing.
	Permissions []string
}

// Delay says how long after its timestamp a point of period 60 is published.
type Delay struct {
	// Min and Max bound the usual delay. The range must lie within 15 minutes.
	Min, Max time.Duration
	// LateRatio of the points, 0 to 1, take longer: up to LateMax. Points overtake
	// one another when the range is wider than a minute, or late ones exist.
	LateRatio float64
	LateMax   time.Duration
}

// DefaultDelay is 90 to 150 s, and one point in a hundred up to 10 minutes.
func DefaultDelay() Delay {
	return Delay{Min: 90 * time.Second, Max: 150 * time.Second, LateRatio: 0.01, LateMax: 10 * time.Minute}
}

// Retention is how long points of a period can be queried.
type Retention struct {
	Second, Minute, Coarse time.Duration // below 60 s; 60 s to 299 s; from 300 s
}

// DefaultRateLimits are the documented calls per second of an account.
func DefaultRateLimits() map[string]float64 {
	return map[string]float64{
		"Cms":                             20,
		"Cms.DescribeMetricList":          50,
		"Cms.DescribeMetricLast":          50,
		"Cms.DescribeMetricTop":           10,
		"Cms.DescribeMetricData":          10,
		"Cdn.DescribeUserDomains":         100,
		"BssOpenApi.QueryAccountBalance":  10,
		"BssOpenApi.DescribeInstanceBill": 10,
		"Actiontrail.LookupEvents":        2,
	}
}

const day = 24 * time.Hour

// DefaultConfig is an account of one region without resources or keys.
func DefaultConfig() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	if c.AccountID == "" {
		c.AccountID = "1234567890123456"
	}
	if len(c.Regions) == 0 {
		c.Regions = []string{"cn-hangzhou"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.PointDelay == nil {
		d := DefaultDelay()
		c.PointDelay = &d
	}
	if c.Retention == (Retention{}) {
		c.Retention = Retention{Second: 7 * day, Minute: 31 * day, Coarse: 91 * day}
	}
	if c.QuotaPerMonth == 0 {
		c.QuotaPerMonth = 1_000_000
	}
	limits := DefaultRateLimits()
	for api, perSecond := range c.RateLimits {
		limits[api] = perSecond
	}
	c.RateLimits = limits
	if c.RequestLog == 0 {
		c.RequestLog = 1000
	}
	return c
}

// Validate names the first wrong field.
func (c Config) Validate() error {
	if len(c.Keys) == 0 {
		return fmt.Errorf("field Keys: at least one is needed")
	}
	seen := map[string]bool{}
	for i, k := range c.Keys {
		if k.ID == "" || k.Secret == "" {
			return fmt.Errorf("field Keys[%d]: ID and Secret are needed", i)
		}
		if seen[k.ID] {
			return fmt.Errorf("field Keys[%d]: ID %q is there twice", i, k.ID)
		}
		seen[k.ID] = true
	}
	for i, r := range c.Regions {
		if r == "" || strings.ContainsAny(r, " ./") {
			return fmt.Errorf("field Regions[%d]: %q is no region", i, r)
		}
	}
	if c.ECSInstances < 0 || c.ECSInstances > MaxECSInstances {
		return fmt.Errorf("field ECSInstances: %d is outside 0..%d", c.ECSInstances, MaxECSInstances)
	}
	for ns, n := range c.Products {
		if productOf(ns) == nil || ns == nsECS {
			return fmt.Errorf("field Products[%s]: no such product", ns)
		}
		if n < 0 || n > MaxECSInstances {
			return fmt.Errorf("field Products[%s]: %d is outside 0..%d", ns, n, MaxECSInstances)
		}
	}
	if math.IsNaN(c.MissingRatio) || c.MissingRatio < 0 || c.MissingRatio > 1 {
		return fmt.Errorf("field MissingRatio: %v is outside 0..1", c.MissingRatio)
	}
	if err := c.PointDelay.validate(); err != nil {
		return fmt.Errorf("field PointDelay: %w", err)
	}
	for api, perSecond := range c.RateLimits {
		if math.IsNaN(perSecond) || math.IsInf(perSecond, 0) {
			return fmt.Errorf("RateLimits[%s]: %v is no rate", api, perSecond)
		}
	}
	for ns, d := range c.ProductDelay {
		if productOf(ns) == nil {
			return fmt.Errorf("field ProductDelay[%s]: no such product", ns)
		}
		if err := d.validate(); err != nil {
			return fmt.Errorf("field ProductDelay[%s]: %w", ns, err)
		}
	}
	if c.RequestLog > maxRequestLog {
		return fmt.Errorf("field RequestLog: %d is above %d", c.RequestLog, maxRequestLog)
	}
	return nil
}

func (d Delay) validate() error {
	switch {
	case d.Min < 0 || d.Max < d.Min || d.Max > 15*time.Minute:
		return fmt.Errorf("range %s..%s must be ascending and within 0..15m", d.Min, d.Max)
	case math.IsNaN(d.LateRatio) || d.LateRatio < 0 || d.LateRatio > 1:
		return fmt.Errorf("LateRatio: %v is outside 0..1", d.LateRatio)
	case d.LateRatio > 0 && d.LateMax < d.Max:
		return fmt.Errorf("LateMax: %s is below Max", d.LateMax)
	}
	return nil
}

func (c Config) delayOf(namespace string) Delay {
	if d, ok := c.ProductDelay[namespace]; ok {
		return d
	}
	return *c.PointDelay
}
