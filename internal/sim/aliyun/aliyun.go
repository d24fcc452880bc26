// Package aliyun simulates the API of an Alibaba Cloud account over HTTP, true
// enough for the official SDK: signatures, nonces and clocks are checked, paging,
// flow control and the monthly free quota are enforced, points are published late,
// out of order or never, and errors have the shapes of the real service.
//
// A Server is an http.Handler. A client keeps the real host names
// (metrics.cn-hangzhou.aliyuncs.com) and dials the Server instead; product, action
// and region are read from the request, as the real service does. Everything that
// the account holds is a function of Config.Seed and of Config.Now, so two servers
// with equal configuration give equal answers, also after a restart.
//
// Tests steer a Server with Inject: faults of the service (Outage, Throttle), faults
// of resources (Breach, BackupFailure, SlowQueries) and things that happen in an
// account (Create, Expire, InstanceEvent, Spend, Change). Without them nothing
// happens but what a healthy account does. They compare what a collector stored with
// the ground truth: Published, Performance, Expiry, DomainCodes, SlowQueryCount,
// DailyCost, and Calls for what it cost. What the simulator does where the real service's
// behaviour is not documented is written at the code that does it.
package aliyun

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Server is one simulated account. Its methods may be called at any time by
// several goroutines.
type Server struct {
	cfg     Config
	now     func() time.Time // the account's clock: points, quota, flow control
	wall    func() time.Time // the clock that signatures and tokens are checked against
	estate  *estate
	actions map[actionName]action
	keys    *keyring
	nonces  *nonceMemory
	limits  *limiter
	journal *callJournal
	tokens  tokenSealer

	faultMu sync.RWMutex
	faults  faultSet // guarded by faultMu
}

// New builds the account. It returns an error that names the wrong field of cfg.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("aliyun simulator: %w", err)
	}
	s := &Server{
		cfg:     cfg,
		now:     cfg.Now,
		wall:    time.Now,
		estate:  newEstate(cfg),
		keys:    newKeyring(cfg.Keys),
		nonces:  newNonceMemory(nonceLifetime, maxNonces),
		limits:  newLimiter(cfg.RateLimits, cfg.QuotaPerMonth),
		journal: newCallJournal(cfg.RequestLog),
		tokens:  newTokenSealer(cfg),
	}
	s.actions = map[actionName]action{}
	for _, register := range []func(*Server){
		registerCMS, registerECS, registerSTS, registerElasticsearch, registerRDS, registerSLB, registerALB, registerRedis,
		registerMongoDB, registerDRDS, registerCDN, registerEIP, registerBSS, registerActionTrail, registerSAS,
	} {
		register(s)
	}
	return s, nil
}

var _ http.Handler = (*Server)(nil)
