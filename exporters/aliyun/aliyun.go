// Package aliyun reads customers' Alibaba Cloud accounts: the points of
// CloudMonitor for every metric of the catalogue.
//
// New builds the accounts of one customer; Account.Jobs gives the scheduler one
// job per account, region and metric (a Source each, see metricCollector); other
// packages build further collectors over Account.Client. All calls of an account share one budget of calls per
// second, since the cloud limits accounts. Points keep their own timestamps;
// late ones are delivered behind their successors, none is delivered twice, and
// cursors move only when the sink has acknowledged.
//
// The vendor's SDK is behind the Client interface; the adapter is package sdk.
package aliyun

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/internal/sample"
)

// Kind is the job kind of this package's collectors.
const Kind = "aliyun"

// jobTimeout bounds one collection; a catch-up of many hours or pages may need
// more than an interval, and continues where it stopped.
const jobTimeout = 2 * time.Minute

// ClientConfig is what an adapter needs to call one account.
type ClientConfig struct {
	Credentials CredentialSource
	Scheme      string        // "https" or "http"
	Endpoint    string        // host:port to dial instead of the service's hosts; "" for none
	Timeout     time.Duration // of one call; the context's deadline holds too
	// Dial connects to a host:port of the service. Nil: TCP, to Endpoint if there is one.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// ResumeFunc tells up to which time a source was fetched whole in an earlier
// run: the time of its newest up-sample with value 1 (UpMetric). known is false
// when it has never delivered; then the collector fills in history.
type ResumeFunc func(ctx context.Context, source sample.Source) (end time.Time, known bool, err error)

// Deps is what accounts need from the program.
type Deps struct {
	// NewClient makes the adapter: sdk.New in production.
	NewClient func(ClientConfig) (Client, error)
	// Budgets of the process; the same value for every customer and reload.
	Budgets *Budgets
	// Resume is asked once per source at its first collection. Nil: every
	// start is a first contact, which the store's duplicate handling makes exact.
	Resume ResumeFunc
	// Newest is asked then, too: answers before the restart may have been empty for
	// want of a permission. Nil: they are taken to have held points.
	Newest NewestFunc
	// Metrics takes the counters of points; those of calls are the budgets'.
	Metrics *metrics.Set
	Log     *slog.Logger

	metadata string // base of the metadata service in tests
}

// Account is one configured account.
type Account struct {
	cfg      AccountConfig
	customer string
	metrics  []catalog.Metric
	client   Client // without budget and retries
	budget   *budget
	assets   map[string]Asset
	refused  *refusals
	deps     Deps
	log      *slog.Logger

	mu        sync.Mutex
	presences map[string]*Presence // guarded by mu; by product and region
}

// New builds the accounts of one customer; it calls nothing. Errors name the path.
func New(cfg Config, customer string, deps Deps) ([]*Account, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("aliyun: %w", err)
	}
	known, err := catalog.Load(cfg.CatalogFiles...)
	if err != nil {
		return nil, fmt.Errorf("aliyun: %w", err)
	}
	var accounts []*Account
	for i, a := range cfg.Accounts {
		account, err := newAccount(a.WithDefaults(), customer, known, deps)
		if err != nil {
			return nil, fmt.Errorf("aliyun: accounts[%d].%w", i, err)
		}
		accounts = append(accounts, account)
	}
	return accounts, nil
}

func newAccount(cfg AccountConfig, customer string, known *catalog.Catalog, deps Deps) (*Account, error) {
	for i, p := range cfg.Products {
		if !slices.Contains(known.Products(), p) {
			return nil, fmt.Errorf("products[%d]: the catalogue has no product %q; it has %s", i, p, strings.Join(known.Products(), ", "))
		}
	}
	client, err := newClient(cfg, deps)
	if err != nil {
		return nil, fmt.Errorf("name: %q: %w", cfg.Name, err)
	}
	assets, err := LoadAssets(cfg.AssetFile)
	if err != nil {
		return nil, fmt.Errorf("asset_file: %w", err)
	}
	log := deps.Log.With("customer", customer, "account", cfg.Name)
	return &Account{
		cfg: cfg, customer: customer, metrics: known.Collected(cfg.Products...), client: client,
		budget: deps.Budgets.of(customer, cfg), assets: assets, refused: newRefusals(log), deps: deps, log: log,
		presences: map[string]*Presence{},
	}, nil
}

// Name is the account's configured name.
func (a *Account) Name() string { return a.cfg.Name }

// Customer owns the account.
func (a *Account) Customer() string { return a.customer }

// Config is the account's configuration with defaults.
func (a *Account) Config() AccountConfig { return a.cfg }

// Log names customer and account in each line.
func (a *Account) Log() *slog.Logger { return a.log }

// Assets are what the account's asset file says, by resource id.
func (a *Account) Assets() map[string]Asset { return a.assets }

// Presence is what inventory and points say of a product's resources in a
// region, "" for a global product. Its collectors share it.
func (a *Account) Presence(product, region string) *Presence {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := product + "/" + region
	if a.presences[key] == nil {
		a.presences[key] = NewPresence()
	}
	return a.presences[key]
}

// Client calls the account within its budget, with time-outs and retries.
func (a *Account) Client() Client { return a.collecting() }

// Job makes a job of a collector that other packages built over Client.
func (a *Account) Job(c exporters.Collector, interval time.Duration) exporters.Job {
	return exporters.Job{Kind: Kind, Collector: c, Interval: interval, Timeout: jobTimeout, Revision: a.revision()}
}

// Source names a collector of the account: aliyun/ACCOUNT/REGION/rest.
func (a *Account) Source(region string, rest ...string) sample.Source {
	return a.sourceOf(region, rest...)
}

// Resume tells up to which time a source of the account was read in an earlier run.
func (a *Account) Resume(ctx context.Context, source sample.Source) (end time.Time, known bool, err error) {
	if a.deps.Resume == nil {
		return time.Time{}, false, nil
	}
	return a.deps.Resume(ctx, source)
}

// Metrics takes the own metrics of collectors that other packages build.
func (a *Account) Metrics() *metrics.Set { return a.deps.Metrics }

// Check asks for one point of one metric, without retries, and returns an error
// that says what is wrong with the key, the endpoint or the permissions.
func (a *Account) Check(ctx context.Context) error {
	now := time.Now()
	_, err := a.caller(1).MetricList(ctx, MetricQuery{
		Region: a.cfg.Regions[0], Namespace: "acs_ecs_dashboard", Metric: "CPUUtilization", Period: 60,
		Start: now.Add(-10 * time.Minute), End: now, Length: 1,
	})
	if err != nil {
		return fmt.Errorf("aliyun account %q: %w", a.cfg.Name, err)
	}
	return nil
}

// collecting is the client of collectors: what concerns the whole account is told once.
func (a *Account) collecting() *caller {
	c := a.caller(maxTries)
	c.refused = a.refused
	return c
}

func (a *Account) caller(tries int) *caller {
	return &caller{client: a.client, budget: a.budget, timeout: time.Duration(a.cfg.CallTimeout), tries: tries}
}

// Jobs returns the account's collectors with their intervals. They share what
// the inventory knows, so all of them carry the same revision: a reload that
// changes anything of the account replaces all.
func (a *Account) Jobs() []exporters.Job {
	var jobs []exporters.Job
	revision := a.revision()
	client := a.collecting()
	add := func(c exporters.Collector, interval time.Duration) {
		jobs = append(jobs, exporters.Job{Kind: Kind, Collector: c, Interval: interval, Timeout: jobTimeout, Revision: revision})
	}
	for i, region := range a.cfg.Regions {
		for _, m := range a.metrics {
			if m.Scope == catalog.Global && i > 0 {
				continue
			}
			add(a.metric(m, region, client), a.cfg.IntervalOf(m.Lane))
		}
	}
	add(&monthCollector{source: a.sourceOf("account", "month-calls"), account: a.cfg.Name, budget: a.budget}, monthInterval)
	return jobs
}

func (a *Account) sourceOf(region string, rest ...string) sample.Source {
	parts := append([]string{"aliyun", a.cfg.Name, region}, rest...)
	return sample.Source{Customer: a.customer, Name: strings.Join(parts, "/")}
}

func (a *Account) metric(m catalog.Metric, region string, client Client) *metricCollector {
	labelled := region
	if m.Scope == catalog.Global {
		labelled = ""
	}
	name := region
	if labelled == "" {
		name = string(catalog.Global)
	}
	source := a.sourceOf(name, m.Namespace, m.Metric)
	return &metricCollector{
		source: source, account: a.cfg, region: region, base: baseLabels(m.Name, a.customer, m.Product, labelled),
		metric: m, reader: newPointReader(m), client: client, presence: a.Presence(m.Product, labelled), resume: a.deps.Resume, newest: a.deps.Newest,
		gate:   newGate(a.budget, source, m.Lane, a.cfg.IntervalOf(m.Lane), time.Duration(a.cfg.Interval)),
		counts: newPointMetrics(a.deps.Metrics, a.budget, name, m.Namespace), log: a.log.With("source", source.Name),
		late: newLateLooks(a.cfg, a.cfg.IntervalOf(m.Lane), source), series: map[string]*series{},
	}
}

// baseLabels are those that every series of a metric shares.
func baseLabels(name, customer, product, region string) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set(model.MetricNameLabel, name).Set("customer", customer).Set("product", product)
	return b.Set("region", region).Labels() // an empty region sets no label
}

// revision changes with everything that the jobs are built from. The secret
// itself is not part of it in a form that anybody could see.
func (a *Account) revision() string {
	cfg, err := json.Marshal(struct {
		AccountConfig
		Catalogue []catalog.Metric
		Assets    map[string]Asset
	}{a.cfg, a.metrics, a.assets})
	if err != nil {
		panic("BUG: aliyun: configuration does not marshal: " + err.Error())
	}
	sum := sha256.Sum256(append(cfg, a.cfg.AccessKeySecret.Reveal()...))
	return hex.EncodeToString(sum[:16])
}
