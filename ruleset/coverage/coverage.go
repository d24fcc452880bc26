// Package coverage answers whether every resource is watched as the contract
// says: for each resource that is known and each row of the alarm table that
// its product has, whether the row's rule sees samples, since when not, or why
// it need not. It also counts what the contract is entitled to.
//
// A resource is what the stored series tell of: an inventory's *_info series, a
// host's, a probe's target, an instance of any declared metric.
package coverage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
	"watchkeeper/ruleset/override"
)

// Status says how a resource is covered for one row.
type Status string

// The statuses, of which only a hole is a fault.
const (
	Watched       Status = "watched"
	Sparse        Status = "sparse"         // samples are too far apart for the rule ever to fire
	NotApplicable Status = "not_applicable" // the row is not for this resource
	Overridden    Status = "overridden"     // watched otherwise than the contract says, or off, by an override
	Hole          Status = "hole"           // should be watched and is not
)

// Statuses lists the statuses.
func Statuses() []Status { return []Status{Watched, Sparse, NotApplicable, Overridden, Hole} }

// Verdict says what a row's rule made of a resource at its last check.
type Verdict string

// The verdicts. A resource with several series breaches when one does.
const (
	Breach  Verdict = "breach"
	Good    Verdict = "good"
	Missing Verdict = "missing"
)

// Entry is one resource and one row.
type Entry struct {
	Customer   string    `json:"customer"`
	Product    string    `json:"product"` // value of the label product
	Region     string    `json:"region,omitempty"`
	Instance   string    `json:"instance"`
	Row        string    `json:"row"`
	Rule       string    `json:"rule,omitempty"` // id of the rule that judges it
	Status     Status    `json:"status"`
	Reason     string    `json:"reason,omitempty"`
	LastSample time.Time `json:"last_sample,omitzero"`
	Verdict    Verdict   `json:"verdict,omitempty"`
	Series     int       `json:"series"` // of the resource, that the rule reads
}

// Report is the coverage at one time.
type Report struct {
	At           time.Time      `json:"at"`
	Resources    int            `json:"resources"`
	Totals       map[Status]int `json:"totals"` // resource and row pairs
	Entries      []Entry        `json:"entries"`
	Entitlements []Usage        `json:"entitlements"`

	resourcesOf map[string]int // by customer
}

// Of is what the report says of one customer. An unknown one has nothing.
func (r *Report) Of(customer string) *Report {
	out := &Report{At: r.At, Resources: r.resourcesOf[customer], Totals: map[Status]int{}, Entries: []Entry{}, Entitlements: []Usage{}, resourcesOf: map[string]int{}}
	out.resourcesOf[customer] = out.Resources
	for _, e := range r.Entries {
		if e.Customer == customer {
			out.Totals[e.Status]++
			out.Entries = append(out.Entries, e)
		}
	}
	for _, u := range r.Entitlements {
		if u.Customer == customer {
			out.Entitlements = append(out.Entitlements, u)
		}
	}
	return out
}

// Holes counts the pairs that should be watched and are not.
func (r *Report) Holes() int { return r.Totals[Hole] }

// Config says what counts as known and what is entitled to.
type Config struct {
	// Inventory is how long a resource counts as existing after its last
	// sample, unless something says that it is gone. Default 24h.
	Inventory model.Duration `yaml:"inventory"`
	// Entitlements of every customer. Default: the sample contract's.
	Entitlements Entitlements `yaml:"entitlements"`
	// Customers are entitlements by customer, instead. Default none.
	Customers map[string]Entitlements `yaml:"customers"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{Inventory: model.Duration(24 * time.Hour), Entitlements: DefaultEntitlements()}
}

// Validate names the path of the first mistake.
func (c Config) Validate() error {
	if c.Inventory < model.Duration(time.Hour) {
		return fmt.Errorf("inventory: %s: must be at least 1h", c.Inventory)
	}
	if err := c.Entitlements.validate(); err != nil {
		return fmt.Errorf("entitlements.%w", err)
	}
	for name, e := range c.Customers {
		if err := e.validate(); err != nil {
			return fmt.Errorf("customers.%s.%w", name, err)
		}
	}
	return nil
}

// Compute reads the store as it is at now. The groups are the rules in force,
// overrides applied; applied is what override.Apply returned with them. The
// journal tells which series ended; without one (nil) they are taken to be there.
func Compute(ctx context.Context, cfg Config, q storage.Queryable, j ruleset.Journal, groups []ruleset.Group, applied []override.Applied, refused ruleset.Refuser, now time.Time) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("coverage: %w", err)
	}
	rules, err := readRules(groups)
	if err != nil {
		return nil, fmt.Errorf("coverage: %w", err)
	}
	s := newScan(cfg, now, rules)
	s.refused = refused
	if err := s.run(ctx, q, j); err != nil {
		return nil, fmt.Errorf("coverage: %w", err)
	}
	breaches, err := judge(ctx, q, rules, now)
	if err != nil {
		return nil, fmt.Errorf("coverage: %w", err)
	}
	c := composer{scan: s, rules: rules, applied: applied, breaches: breaches, now: now}
	r := &Report{At: now.UTC(), Totals: map[Status]int{}, Entries: []Entry{}, Entitlements: append([]Usage{}, s.usage(cfg)...), resourcesOf: map[string]int{}}
	for _, res := range s.resources() {
		r.Resources++
		r.resourcesOf[res.customer]++
		for _, row := range rowsOf[res.product] {
			e := c.entry(res, row)
			r.Totals[e.Status]++
			r.Entries = append(r.Entries, e)
		}
	}
	return r, nil
}

// resource identifies what a row is about.
type resource struct{ customer, product, region, instance string }

func (r resource) labels() labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set("customer", r.customer).Set("product", r.product).Set("region", r.region).Set("instance", r.instance)
	return b.Labels()
}

func compareResources(a, b resource) int {
	return cmp.Or(cmp.Compare(a.customer, b.customer), cmp.Compare(a.product, b.product), cmp.Compare(a.instance, b.instance), cmp.Compare(a.region, b.region))
}

// products maps the alarm table's names of products to values of the label product.
var products = map[string]string{
	"ECS": contract.ProductECS, "RDS": contract.ProductRDS, "SLB": contract.ProductSLB, "云 Redis": contract.ProductKVStore,
	"云 MongoDB": contract.ProductMongoDB, "DRDS": contract.ProductDRDS, "CDN": contract.ProductCDN, "云 Elasticsearch": contract.ProductESCloud,
	"Linux/Windows": contract.ProductHost, "Processes": contract.ProductProcess, "Ping": contract.ProductPing, "Website": contract.ProductWebsite,
	"Port": contract.ProductPort, "Apache": contract.ProductApache, "Nginx": contract.ProductNginx, "PHP": contract.ProductPHP,
	"Java": contract.ProductJava, "Tomcat": contract.ProductTomcat, "MySQL": contract.ProductMySQL, "IIS": contract.ProductIIS,
	"Docker": contract.ProductDocker, "Zookeeper": contract.ProductZooKeeper, "RabbitMQ": contract.ProductRabbitMQ,
	"Kafka": contract.ProductKafka, "Elasticsearch": contract.ProductElasticsearch, "Kubernetes": contract.ProductKubernetes,
}

// rowsOf lists the rows of a product.
var rowsOf = func() map[string][]contract.Row {
	out := map[string][]contract.Row{}
	for _, r := range contract.Rows() {
		p, ok := products[r.Product]
		if !ok {
			panic("BUG: no label for the alarm table's product " + r.Product)
		}
		out[p] = append(out[p], r)
	}
	return out
}()

// composer puts together what is known of a resource and a row.
type composer struct {
	scan     *scan
	rules    []*watch
	applied  []override.Applied
	breaches map[*watch]map[place]bool
	now      time.Time
}

func (c *composer) entry(res resource, row contract.Row) Entry {
	e := Entry{Customer: res.customer, Product: res.product, Region: res.region, Instance: res.instance, Row: row.ID}
	over := c.override(res, row.ID)
	if over != nil && over.Override.Off {
		e.Status, e.Reason = Overridden, fmt.Sprintf("off: override %s by %s until %s: %s", over.Override.Name, over.Override.Owner, over.Override.End.UTC().Format(time.RFC3339), over.Override.Reason)
		return e
	}
	w := c.rule(row.ID, over)
	if w == nil {
		e.Status, e.Reason = Hole, "no rule for this row is loaded"
		return e
	}
	e.Rule = w.rule.ID()
	at := w.need.seen(res)
	e.Series = at.series
	if at.last > 0 {
		e.LastSample = time.UnixMilli(at.last).UTC()
	}
	e.Status, e.Reason = c.status(res, row, w, at)
	if e.Status == Watched || e.Status == Sparse {
		e.Verdict = c.verdict(res, w, at)
	}
	if e.Status == Watched && over != nil {
		o := over.Override
		e.Status, e.Reason = Overridden, fmt.Sprintf("%s; override %s by %s until %s: %s", over.Expr, o.Name, o.Owner, o.End.UTC().Format(time.RFC3339), o.Reason)
	}
	return e
}

// override finds the active override that applies to a whole resource.
func (c *composer) override(res resource, row string) *override.Applied {
	l := res.labels()
	i := slices.IndexFunc(c.applied, func(a override.Applied) bool {
		return a.State == override.Active && a.Rule == row && a.Override.Matches(l)
	})
	if i < 0 {
		return nil
	}
	return &c.applied[i]
}

// rule finds the rule that judges a row: the override's, or the row's own.
func (c *composer) rule(row string, over *override.Applied) *watch {
	id := row
	if over != nil {
		id = over.ID
	}
	i := slices.IndexFunc(c.rules, func(w *watch) bool { return w.rule.ID() == id })
	if i < 0 {
		return nil
	}
	return c.rules[i]
}

// status judges by the samples first: what is seen is watched, whatever else is
// known of it.
func (c *composer) status(res resource, row contract.Row, w *watch, at sight) (Status, string) {
	r := w.rule
	if reason := c.scan.notFor(res, row); reason != "" {
		return NotApplicable, reason
	}
	fresh := at.last >= c.now.Add(-r.MissingAfter-time.Duration(r.NoDataAfter)*r.Interval-r.Interval).UnixMilli()
	bridged := r.Interval * time.Duration(r.MaxGap+1)
	if r.Missing == ruleset.MissingReset {
		bridged = r.Interval
	}
	tooFar := r.Consecutive > 1 && r.Missing != ruleset.MissingBreach && at.spacing > bridged.Milliseconds()
	switch {
	case tooFar && (fresh || c.now.UnixMilli()-at.last < 2*at.spacing):
		return Sparse, fmt.Sprintf("a sample every %s; a run bridges %s", model.Duration(time.Duration(at.spacing)*time.Millisecond), model.Duration(bridged))
	case fresh && at.limit != "" && at.refused < at.series:
		return Hole, fmt.Sprintf("not judged: %s refused %d of %d series", at.limit, at.refused, at.series)
	case fresh && at.limit != "":
		return Hole, fmt.Sprintf("not judged: %s refused it", at.limit)
	case fresh:
		return Watched, ""
	case at.last > 0:
		return Hole, fmt.Sprintf("silent for %s", model.Duration(c.now.Sub(time.UnixMilli(at.last)).Round(time.Second)))
	}
	if reason, ok := optional[row.ID]; ok {
		return NotApplicable, reason
	}
	return Hole, "never seen: nothing delivers " + w.names()
}

func (c *composer) verdict(res resource, w *watch, at sight) Verdict {
	switch {
	case c.breaches[w][place{res.customer, res.instance}]:
		return Breach
	case at.last < checkBefore(w.rule, c.now)-w.rule.Interval.Milliseconds():
		return Missing
	}
	return Good
}
