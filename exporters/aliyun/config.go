package aliyun

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Config is one customer's Alibaba Cloud accounts.
type Config struct {
	// CatalogFiles add metrics to the shipped catalogue, or replace some. Default none.
	CatalogFiles []string `yaml:"catalog_files"`
	// Accounts to read. Default none.
	Accounts []AccountConfig `yaml:"accounts"`
}

// AccountConfig is one account. A field left out takes its default.
type AccountConfig struct {
	// Name identifies the account in series' sources, logs and metrics; it is
	// ours, not the account's number, and unique within the customer. Required.
	Name string `yaml:"name"`
	// Regions to read, such as cn-hangzhou. At least one.
	Regions []string `yaml:"regions"`
	// Products of the catalogue to collect. Default [ecs].
	Products []string `yaml:"products"`

	// AccessKeyID of a RAM user with read-only policies; one of the three forms.
	AccessKeyID     string `yaml:"access_key_id"`
	AccessKeyIDFile string `yaml:"access_key_id_file"`
	AccessKeyIDEnv  string `yaml:"access_key_id_env"`
	// AccessKeySecret belongs to it; one of the three forms. Files are read again
	// while running, so a rotated key needs no reload.
	AccessKeySecret     Secret `yaml:"access_key_secret"`
	AccessKeySecretFile string `yaml:"access_key_secret_file"`
	AccessKeySecretEnv  string `yaml:"access_key_secret_env"`
	// SecurityTokenFile makes the key a temporary one (STS). Whoever renews the
	// token replaces the three files. Default none.
	SecurityTokenFile string `yaml:"security_token_file"`
	// ECSRole names the RAM role of the ECS instance that this program runs on,
	// whose keys its metadata service hands out and renews; no key is given then.
	// Default none.
	ECSRole string `yaml:"ecs_role"`
	// RoleARN is a RAM role, such as acs:ram::1234567890123456:role/watchkeeper,
	// that the key (or the ECS role) assumes; its temporary keys are renewed
	// before they expire. Default none.
	RoleARN string `yaml:"role_arn"`
	// RoleSessionName shows in the audit trail of the role's account. Default watchkeeper.
	RoleSessionName string `yaml:"role_session_name"`
	// RoleExternalID is what the role's trust policy asks for. Default none.
	RoleExternalID string `yaml:"role_external_id"`
	// RoleDuration is how long a temporary key of the role lives, 15 m to 12 h; the
	// role's own limit holds too. Default 1 h.
	RoleDuration model.Duration `yaml:"role_duration"`

	// Scheme of the API: https, or http for a simulator. Default https.
	Scheme string `yaml:"scheme"`
	// Endpoint, host:port, is dialled instead of the service's hosts; requests
	// keep the real host names. For simulators and gateways. Default none.
	Endpoint string `yaml:"endpoint"`

	// Interval between two polls of an alarm metric. A metric of one region costs
	// 8,640 calls in 30 days at 300 s and 43,200 at 60 s, for each page of 1440
	// points; calls_per_month are free. Points are a minute apart either way.
	// Default 300 s.
	Interval model.Duration `yaml:"interval"`
	// FastInterval is the interval of metrics in the fast lane. Default 60 s.
	FastInterval model.Duration `yaml:"fast_interval"`
	// NormalInterval is the interval of metrics in the normal lane. Default 300 s.
	NormalInterval model.Duration `yaml:"normal_interval"`
	// InventoryInterval is the interval of the lists of resources. Default 300 s.
	InventoryInterval model.Duration `yaml:"inventory_interval"`

	// Overlap is how far polls look back before the end of the last one. A point
	// that is published later than this after its minute is lost; the price is
	// points read twice (pages of 1440). Default 20 m, at least 10 m.
	Overlap model.Duration `yaml:"overlap"`
	// ShortOverlap is how far polls look back between two that look back the whole
	// overlap. Default 10 m, at least 5 m; at most the overlap counts.
	ShortOverlap model.Duration `yaml:"short_overlap"`
	// LateInterval is how often the whole overlap is looked at, for metrics that are
	// polled more often: a point later than short_overlap is found so much later. Default 5 m.
	LateInterval model.Duration `yaml:"late_interval"`
	// FillIn is how much history is read at the first contact. Default 3 h.
	FillIn model.Duration `yaml:"fill_in"`
	// CatchUp bounds how far back a poll reaches after an outage; what is older
	// is given up, with a log line. Default 23 h: the store takes samples of 24 h.
	CatchUp model.Duration `yaml:"catch_up"`

	// CallTimeout of one API call. Default 10 s.
	CallTimeout model.Duration `yaml:"call_timeout"`
	// CallsPerSecond of one API of this account, or the API's documented limit if
	// that is lower. Default 20.
	CallsPerSecond float64 `yaml:"calls_per_second"`
	// APICallsPerSecond replaces both for single APIs
	// ("Actiontrail.LookupEvents": 1). Default none.
	APICallsPerSecond map[string]float64 `yaml:"api_calls_per_second"`
	// CallsPerMonth is the account's quota of metric queries. When all polls
	// would exceed it, metrics without a contract row are polled less often, then
	// not at all, and contract rows last. Default 1,000,000, the free quota.
	CallsPerMonth int64 `yaml:"calls_per_month"`

	// Inventory lists the products whose resources are listed: alb, cdn, drds, ecs,
	// eip, es-cloud, kvstore, memcache, mongodb, oss, rds, slb. Each list is one
	// action with its own permission. Default: those of products that have one.
	Inventory []string `yaml:"inventory"`
	// AssetFile tells what people know of resources: by id name, purpose, owner,
	// contact, environment, entered, modules. It wins over tags. Default none.
	AssetFile string `yaml:"asset_file"`
	// TagLabels maps keys of tags to labels of the info series ("负责人": owner).
	// Other tags with ASCII keys become tag_<key>. Default none.
	TagLabels map[string]string `yaml:"tag_labels"`

	// Performance says how RDS' own counters are read.
	Performance PerformanceConfig `yaml:"performance"`
	// CDNRequests says how the requests of CDN domains are counted.
	CDNRequests CDNRequestsConfig `yaml:"cdn_requests"`
	// Events says which events, backups and security findings are read.
	Events EventsConfig `yaml:"events"`
	// Cost says whether balance and bill are read.
	Cost CostConfig `yaml:"cost"`
}

// infoLabels are taken; a tag cannot become one of them.
var infoLabels = []string{
	model.MetricNameLabel, "customer", "product", "region", "instance", "name", "zone", "instance_type", "class", "os",
	"engine", "version", "storage_gb", "private_ip", "public_ip", "endpoint", "vpc",
}

// DefaultConfig has no accounts.
func DefaultConfig() Config { return Config{} }

// DefaultAccount holds the default of every field that has one.
func DefaultAccount() AccountConfig {
	return AccountConfig{
		Products:          []string{"ecs"},
		Scheme:            "https",
		Interval:          model.Duration(300 * time.Second),
		FastInterval:      model.Duration(60 * time.Second),
		NormalInterval:    model.Duration(300 * time.Second),
		InventoryInterval: model.Duration(300 * time.Second),
		Overlap:           model.Duration(20 * time.Minute),
		ShortOverlap:      model.Duration(10 * time.Minute),
		LateInterval:      model.Duration(5 * time.Minute),
		FillIn:            model.Duration(3 * time.Hour),
		CatchUp:           model.Duration(23 * time.Hour),
		CallTimeout:       model.Duration(10 * time.Second),
		CallsPerSecond:    20,
		CallsPerMonth:     1_000_000,
		RoleSessionName:   "watchkeeper",
		RoleDuration:      model.Duration(time.Hour),
	}
}

// WithDefaults returns the account with its unset fields filled in.
func (a AccountConfig) WithDefaults() AccountConfig {
	d := DefaultAccount()
	if len(a.Products) == 0 {
		a.Products = d.Products
	}
	if a.Scheme == "" {
		a.Scheme = d.Scheme
	}
	for _, f := range []struct {
		field    *model.Duration
		standard model.Duration
	}{
		{&a.Interval, d.Interval},
		{&a.FastInterval, d.FastInterval},
		{&a.NormalInterval, d.NormalInterval},
		{&a.InventoryInterval, d.InventoryInterval},
		{&a.Overlap, d.Overlap},
		{&a.ShortOverlap, d.ShortOverlap},
		{&a.LateInterval, d.LateInterval},
		{&a.FillIn, d.FillIn},
		{&a.CatchUp, d.CatchUp},
		{&a.CallTimeout, d.CallTimeout},
		{&a.RoleDuration, d.RoleDuration},
	} {
		if *f.field == 0 {
			*f.field = f.standard
		}
	}
	if a.CallsPerSecond == 0 {
		a.CallsPerSecond = d.CallsPerSecond
	}
	if a.CallsPerMonth == 0 {
		a.CallsPerMonth = d.CallsPerMonth
	}
	if a.RoleSessionName == "" {
		a.RoleSessionName = d.RoleSessionName
	}
	a.Performance, a.CDNRequests = a.Performance.withDefaults(), a.CDNRequests.withDefaults()
	a.Events, a.Cost = a.Events.withDefaults(), a.Cost.withDefaults()
	return a
}

// Validate names the path of the first mistake. Products are checked against
// the catalogue by New, which reads it.
func (c Config) Validate() error {
	seen := map[string]bool{}
	for i, a := range c.Accounts {
		if err := a.WithDefaults().validate(); err != nil {
			return fmt.Errorf("accounts[%d].%w", i, err)
		}
		if seen[a.Name] {
			return fmt.Errorf("accounts[%d].name: %q is there twice", i, a.Name)
		}
		seen[a.Name] = true
	}
	return nil
}

var (
	accountPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	regionPattern  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
	apiPattern     = regexp.MustCompile(`^[A-Za-z-]+\.[A-Za-z]+$`)
	tagPattern     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

func (a AccountConfig) validate() error {
	if !accountPattern.MatchString(a.Name) {
		return fmt.Errorf("name: %q: want letters, digits, '.', '_' and '-'", a.Name)
	}
	if len(a.Regions) == 0 {
		return errors.New("regions: at least one is needed")
	}
	for i, r := range a.Regions {
		if !regionPattern.MatchString(r) {
			return fmt.Errorf("regions[%d]: %q is no region id such as cn-hangzhou", i, r)
		}
		if slices.Contains(a.Regions[:i], r) {
			return fmt.Errorf("regions[%d]: %q is there twice", i, r)
		}
	}
	for i, p := range a.Products {
		if slices.Contains(a.Products[:i], p) {
			return fmt.Errorf("products[%d]: %q is there twice", i, p)
		}
	}
	if a.Scheme != "https" && a.Scheme != "http" {
		return fmt.Errorf("scheme: %q: want https or http", a.Scheme)
	}
	if a.Endpoint != "" {
		if _, _, err := net.SplitHostPort(a.Endpoint); err != nil {
			return fmt.Errorf("endpoint: %q: want host:port", a.Endpoint)
		}
	}
	for tag, label := range a.TagLabels {
		if !tagPattern.MatchString(label) || slices.Contains(infoLabels, label) {
			return fmt.Errorf("tag_labels.%s: %q cannot be a label here", tag, label)
		}
	}
	return errors.Join(a.validateKey(), a.validateRole(), a.validateTimes(), a.Performance.validate(), a.CDNRequests.validate(), a.Events.validate(), a.Cost.validate())
}

func (a AccountConfig) validateKey() error {
	if a.ECSRole != "" {
		return a.validateECSRole()
	}
	for _, k := range []struct {
		name  string
		forms []string
	}{
		{"access_key_id", []string{a.AccessKeyID, a.AccessKeyIDFile, a.AccessKeyIDEnv}},
		{"access_key_secret", []string{a.AccessKeySecret.Reveal(), a.AccessKeySecretFile, a.AccessKeySecretEnv}},
	} {
		set := len(slices.DeleteFunc(slices.Clone(k.forms), func(s string) bool { return s == "" }))
		if set != 1 {
			return fmt.Errorf("%[1]s: set exactly one of %[1]s, %[1]s_file and %[1]s_env", k.name)
		}
		if strings.ContainsAny(k.forms[0], " \t\r\n") {
			return fmt.Errorf("%s: contains blanks or line ends", k.name)
		}
	}
	return nil
}

func (a AccountConfig) validateTimes() error {
	for _, f := range []struct {
		name     string
		value    model.Duration
		min, max time.Duration
	}{
		{"interval", a.Interval, time.Second, time.Hour},
		{"fast_interval", a.FastInterval, time.Second, time.Hour},
		{"normal_interval", a.NormalInterval, time.Second, 24 * time.Hour},
		{"inventory_interval", a.InventoryInterval, time.Second, time.Hour},
		{"overlap", a.Overlap, 10 * time.Minute, 3 * time.Hour},
		{"short_overlap", a.ShortOverlap, 5 * time.Minute, 3 * time.Hour},
		{"late_interval", a.LateInterval, time.Minute, time.Hour},
		{"fill_in", a.FillIn, time.Minute, 24 * time.Hour},
		{"catch_up", a.CatchUp, time.Hour, 31 * 24 * time.Hour},
		{"call_timeout", a.CallTimeout, 100 * time.Millisecond, time.Minute},
	} {
		if d := time.Duration(f.value); d < f.min || d > f.max {
			return fmt.Errorf("%s: %s: want %s to %s", f.name, f.value, model.Duration(f.min), model.Duration(f.max))
		}
	}
	if !(a.CallsPerSecond > 0 && a.CallsPerSecond <= 100) {
		return fmt.Errorf("calls_per_second: %v: want above 0, at most 100", a.CallsPerSecond)
	}
	for name, r := range a.APICallsPerSecond {
		if !apiPattern.MatchString(name) {
			return fmt.Errorf("api_calls_per_second: %q: want Product.Action such as Cms.DescribeMetricList", name)
		}
		if !(r > 0 && r <= 1000) {
			return fmt.Errorf("api_calls_per_second.%s: %v: want above 0, at most 1000", name, r)
		}
	}
	if a.CallsPerMonth < 1 {
		return fmt.Errorf("calls_per_month: %d: want at least 1", a.CallsPerMonth)
	}
	return nil
}
