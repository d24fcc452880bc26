// Package config reads the configuration file: strictly decoded, checked as a
// whole, every error one line with file, line and path.
package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"watchkeeper/alertrouter"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/host"
	"watchkeeper/exporters/middleware"
	"watchkeeper/exporters/probe"
	"watchkeeper/exporters/process"
	"watchkeeper/exporters/scrape"
	"watchkeeper/internal/ingest"
	"watchkeeper/internal/remotewrite"
	"watchkeeper/internal/storage"
	"watchkeeper/internal/strictyaml"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/aliyunaccount"
	"watchkeeper/ruleset/coverage"
	"watchkeeper/ruleset/dbpolicy"
	"watchkeeper/ruleset/promrules"
)

// DefaultCustomer is the customer of what an unconfigured server watches.
const DefaultCustomer = "default"

// Config is the configuration file. Relative paths in it are relative to the
// folder of the file.
type Config struct {
	// DataDir is the folder of everything that is kept. Default ./data.
	DataDir string `yaml:"data_dir"`
	// ExternalURL is the address under which people reach this server; it is
	// put into notifications. Default: the API listener's.
	ExternalURL string `yaml:"external_url"`
	// API is the listener for queries, incidents and Alertmanager's API.
	API Listener `yaml:"api"`
	// Ingest is the listener for remote write.
	Ingest Ingest `yaml:"ingest"`
	// Storage bounds what is kept.
	Storage storage.Config `yaml:"storage"`
	// Rules says by which rules samples are judged.
	Rules Rules `yaml:"rules"`
	// Customers lists whose resources are watched.
	Customers []Customer `yaml:"customers"`
	// Alertmanager is a plain Alertmanager configuration: route, receivers,
	// inhibit_rules, time_intervals, templates. Default: one receiver that
	// tells nobody; incidents are kept all the same.
	Alertmanager yaml.Node `yaml:"alertmanager"`
	// AlertRouter says how incidents are kept and messages retried.
	AlertRouter alertrouter.Config `yaml:"alertrouter"`
	// Contracts are files of service-level contracts. Patterns are allowed.
	Contracts []string `yaml:"contracts"`

	file string
}

// Listener is a listening address.
type Listener struct {
	// Listen is host:port. Default 127.0.0.1:9370.
	Listen string `yaml:"listen"`
	// AllowUnauthenticated permits an address that others can reach although the
	// API asks nobody who he is. Put a proxy that does in front. Default false.
	AllowUnauthenticated bool `yaml:"allow_unauthenticated"`
	// MaxConnections is the number of connections served at once. Default 512.
	MaxConnections int `yaml:"max_connections"`
	// MaxQueries is the number of PromQL queries that run at once; further ones
	// wait. Default 8.
	MaxQueries int `yaml:"max_queries"`
	// MaxQuerySamples is the number of samples that one query may hold in
	// memory, at about 35 bytes each. Default 5000000.
	MaxQuerySamples int `yaml:"max_query_samples"`
}

// Ingest is the listener for remote write and who may send there.
type Ingest struct {
	// Listen is host:port; empty turns the listener off. Default 127.0.0.1:9371.
	Listen string `yaml:"listen"`
	// Limits bounds requests.
	Limits ingest.Config `yaml:"limits"`
	// Senders are who may write, each by its token.
	Senders []Sender `yaml:"senders"`
	// Open takes writes without a token, for this customer; only on a loopback
	// address. Default: none.
	Open *OpenSender `yaml:"open"`
}

// Sender is one who may write samples. What it writes belongs to Customer,
// whatever its samples say.
type Sender struct {
	// Name identifies the sender; its source is push/NAME. Required.
	Name string `yaml:"name"`
	// Customer owns the samples. Required.
	Customer string `yaml:"customer"`
	// TokenFile holds the bearer token, at least 16 bytes.
	TokenFile string `yaml:"token_file"`
	// TokenEnv names the environment variable that holds it instead.
	TokenEnv string `yaml:"token_env"`
}

// OpenSender is who writes without a token.
type OpenSender struct {
	Customer string `yaml:"customer"` // owns the samples. Required.
	Name     string `yaml:"name"`     // the source is push/NAME. Default open.
}

// Rules says by which rules samples are judged.
type Rules struct {
	// Packs are shipped rule packs: contract; database-policy; aliyun-account; vantage, whose rules
	// for targets of several vantage points take the places of the contract's;
	// watch, which tells when a limit bites, a contracted check is not made or an
	// account's calls run out; expiry, which warns before resources and certificates
	// expire. Default [contract, watch].
	Packs []string `yaml:"packs"`
	// Literal names contract rows whose literal threshold is judged instead of
	// the shipped deviation. Default none.
	Literal []string `yaml:"literal"`
	// Files are rule files. Patterns are allowed. Default none.
	Files []string `yaml:"files"`
	// DatabasePolicy holds the thresholds of the pack database-policy, which the
	// contract leaves to each customer.
	DatabasePolicy dbpolicy.Config `yaml:"database_policy"`
	// AliyunAccount holds the thresholds of the pack aliyun-account.
	AliyunAccount aliyunaccount.Config `yaml:"aliyun_account"`
	// Overrides is a file of changes to rules for one customer or resource, each
	// with owner, reason and end. Default none.
	Overrides string `yaml:"overrides"`
	// Coverage says how long a resource counts as existing and what the contracts
	// are entitled to.
	Coverage coverage.Config `yaml:"coverage"`
	// Engine bounds the rule engine.
	Engine ruleset.Config `yaml:"engine"`
	// Plain says how Prometheus's own rules in the files (those without
	// consecutive) are run and to which outside Alertmanagers they are sent.
	Plain promrules.Config `yaml:"plain"`
}

// Customer is one whose resources are watched.
type Customer struct {
	// Name is the tenant in every key: lower-case letters, digits, '-'. Required.
	Name string `yaml:"name"`
	// Host watches the host that this server runs on.
	Host *Host `yaml:"host"`
	// Probes are ports, URLs, name servers and addresses that are looked at from here.
	Probes *Probes `yaml:"probes"`
	// Aliyun are Alibaba Cloud accounts.
	Aliyun aliyun.Config `yaml:"aliyun"`
	// Processes are programs that must run on this host.
	Processes *Processes `yaml:"processes"`
	// Middleware are servers that this process reads: web servers, databases,
	// queues. docs/exporters.md explains each product.
	Middleware middleware.Config `yaml:"middleware"`
	// ScrapeConfigs are scrape configurations in Prometheus's own format, for any
	// exporter: static, file and HTTP discovery, relabelling. Credentials stand in
	// files. Defaults: scrape_interval 30s, scrape_timeout 10s, body_size_limit
	// 16MB, sample_limit 50000, target_limit 1000.
	ScrapeConfigs []yaml.Node `yaml:"scrape_configs"`
	// RemoteWrite are servers to which everything collected here is sent as well, by
	// Prometheus remote write: from a vantage point to the server that judges.
	RemoteWrite []remotewrite.Config `yaml:"remote_write"`
	// OnHost is what is read on this host besides its own figures.
	OnHost `yaml:",inline"`
}

// CustomerNames lists whom the configuration knows, each once.
func (c *Config) CustomerNames() []string {
	names := []string{c.Rules.Plain.DefaultCustomer}
	for _, cu := range c.Customers {
		names = append(names, cu.Name)
	}
	for _, s := range c.Ingest.Senders {
		names = append(names, s.Customer)
	}
	if c.Ingest.Open != nil {
		names = append(names, c.Ingest.Open.Customer)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Processes is the configuration of the process collector with its defaults.
type Processes struct {
	process.Config `yaml:",inline"`
}

// SetDefaults fills in what the file leaves out.
func (p *Processes) SetDefaults() { p.Config = process.DefaultConfig() }

// Host is the configuration of the host collector with its defaults.
type Host struct {
	host.Config `yaml:",inline"`
}

// SetDefaults fills in what the file leaves out.
func (h *Host) SetDefaults() { h.Config = host.DefaultConfig() }

// Probes is the configuration of the probes with its defaults.
type Probes struct {
	probe.Config `yaml:",inline"`
}

// SetDefaults fills in what the file leaves out.
func (p *Probes) SetDefaults() { p.Config = probe.DefaultConfig() }

// Default is the configuration without a file: this host is watched.
func Default() Config {
	c := base()
	c.Customers = []Customer{{Name: DefaultCustomer, Host: &Host{host.DefaultConfig()}}}
	return c
}

// base holds the defaults that a file starts from: nobody is watched.
func base() Config {
	return Config{
		DataDir: "data",
		API:     Listener{Listen: "127.0.0.1:9370", MaxConnections: 512, MaxQueries: 8, MaxQuerySamples: 5_000_000},
		Ingest:  Ingest{Listen: "127.0.0.1:9371", Limits: ingest.DefaultConfig()},
		Storage: storage.DefaultConfig(),
		Rules:   Rules{Packs: []string{"contract", "watch"}, Engine: ruleset.DefaultConfig(), AliyunAccount: aliyunaccount.DefaultConfig(), Coverage: coverage.DefaultConfig(), Plain: promrules.DefaultConfig()},

		AlertRouter: alertrouter.DefaultConfig(),
	}
}

// Load reads and checks a file. An empty name means Default.
func Load(name string) (*Config, error) {
	if name == "" {
		c := Default()
		return &c, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return Parse(name, b)
}

// Parse decodes and checks the content of a file.
func Parse(name string, b []byte) (*Config, error) {
	c := base()
	doc, err := strictyaml.Decode(name, b, &c)
	if err != nil {
		return nil, err
	}
	c.file = name
	if err := c.Validate(); err != nil {
		return nil, doc.At(err)
	}
	c.DataDir = c.Path(c.DataDir)
	for i := range c.Customers {
		c.Customers[i].Middleware.ResolvePaths(c.Path)
		c.Customers[i].resolvePaths(c.Path)
		for j := range c.Customers[i].RemoteWrite {
			c.Customers[i].RemoteWrite[j].ResolvePaths(c.Path)
		}
		if p := c.Customers[i].Probes; p != nil {
			p.ResolvePaths(c.Path)
		}
		if p := c.Customers[i].Processes; p != nil {
			p.ResolvePaths(c.Path)
		}
	}
	return &c, nil
}

// File is the name of the file that was read; empty without one.
func (c *Config) File() string { return c.file }

// Path resolves a path of the file against the file's folder.
func (c *Config) Path(p string) string {
	if p == "" || filepath.IsAbs(p) || c.file == "" {
		return p
	}
	return filepath.Join(filepath.Dir(c.file), p)
}

// Rel is the name of a file as seen from the configuration's folder: it stays when the
// folder is moved. What lies elsewhere keeps its name.
func (c *Config) Rel(name string) string {
	dir, err := filepath.Abs(filepath.Dir(c.file))
	if err != nil {
		return name
	}
	full, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	if rel, err := filepath.Rel(dir, full); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return name
}

// AlertmanagerText is the Alertmanager configuration as text.
func (c *Config) AlertmanagerText() (string, error) {
	if c.Alertmanager.IsZero() {
		return "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n", nil
	}
	b, err := yaml.Marshal(&c.Alertmanager)
	return string(b), err
}

var customerPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Validate names the path of the first mistake.
func (c *Config) Validate() error {
	if c.DataDir == "" {
		return errors.New("data_dir: is empty")
	}
	if err := c.API.validate(); err != nil {
		return prefixed("api", err)
	}
	if c.Ingest.Listen != "" && c.Ingest.Listen == c.API.Listen && !strings.HasSuffix(c.API.Listen, ":0") {
		return fmt.Errorf("ingest.listen: %s is the API's address", c.Ingest.Listen)
	}
	if err := prefixed("storage", c.Storage.Validate()); err != nil {
		return err
	}
	if err := c.Ingest.validate(); err != nil {
		return prefixed("ingest", err)
	}
	if err := c.AlertRouter.Validate(); err != nil {
		return prefixed("alertrouter", err)
	}
	if err := c.Rules.Engine.Validate(); err != nil {
		return prefixed("rules.engine", err)
	}
	if err := c.Rules.DatabasePolicy.Validate(); err != nil {
		return prefixed("rules.database_policy", err)
	}
	if err := c.Rules.AliyunAccount.Validate(); err != nil {
		return prefixed("rules.aliyun_account", err)
	}
	if err := c.Rules.Coverage.Validate(); err != nil {
		return prefixed("rules.coverage", err)
	}
	if err := c.Rules.Plain.Validate(); err != nil {
		return prefixed("rules.plain", err)
	}
	if c.AlertRouter.RoutingFile != "" && !c.Alertmanager.IsZero() {
		return errors.New("alertrouter.routing_file: is set beside the section alertmanager; give one of them")
	}
	seen := map[string]bool{}
	for i, cu := range c.Customers {
		path := fmt.Sprintf("customers[%d]", i)
		if seen[cu.Name] {
			return fmt.Errorf("%s.name: %q is there twice", path, cu.Name)
		}
		seen[cu.Name] = true
		if err := cu.validate(); err != nil {
			return prefixed(path, err)
		}
	}
	return nil
}

func (cu Customer) validate() error {
	if !customerPattern.MatchString(cu.Name) {
		return fmt.Errorf("name: %q: want lower-case letters, digits and '-'", cu.Name)
	}
	if cu.Host != nil {
		if err := cu.Host.Validate(); err != nil {
			return prefixed("host", err)
		}
	}
	if cu.Probes != nil {
		if err := cu.Probes.Validate(); err != nil {
			return prefixed("probes", err)
		}
	}
	if cu.Processes != nil {
		if err := cu.Processes.Validate(); err != nil {
			return prefixed("processes", err)
		}
	}
	if err := cu.validateOnHost(); err != nil {
		return err
	}
	if err := prefixed("middleware", cu.Middleware.Validate()); err != nil {
		return err
	}
	if err := remotewrite.ValidateAll(cu.RemoteWrite); err != nil {
		return err
	}
	if _, err := scrape.Jobs(cu.Name, cu.ScrapeConfigs, ""); err != nil {
		return err
	}
	return prefixed("aliyun", cu.Aliyun.Validate())
}

func (l Listener) validate() error {
	if _, _, err := net.SplitHostPort(l.Listen); err != nil {
		return fmt.Errorf("listen: %q: want host:port", l.Listen)
	}
	if !Loopback(l.Listen) && !l.AllowUnauthenticated {
		return fmt.Errorf("listen: others can reach %s and the API asks nobody who he is; listen on loopback, or put an authenticating proxy in front and set api.allow_unauthenticated", l.Listen)
	}
	for _, f := range []struct {
		path  string
		value int
	}{{"max_connections", l.MaxConnections}, {"max_queries", l.MaxQueries}, {"max_query_samples", l.MaxQuerySamples}} {
		if f.value < 1 {
			return fmt.Errorf("%s: must be at least 1", f.path)
		}
	}
	return nil
}

func (in Ingest) validate() error {
	if in.Listen != "" {
		if _, _, err := net.SplitHostPort(in.Listen); err != nil {
			return fmt.Errorf("listen: %q: want host:port", in.Listen)
		}
	}
	names := map[string]bool{}
	for i, s := range in.Senders {
		path := fmt.Sprintf("senders[%d]", i)
		switch {
		case !customerPattern.MatchString(s.Name):
			return fmt.Errorf("%s.name: %q: want lower-case letters, digits and '-'", path, s.Name)
		case names[s.Name]:
			return fmt.Errorf("%s.name: %q is there twice", path, s.Name)
		case !customerPattern.MatchString(s.Customer):
			return fmt.Errorf("%s.customer: %q: want lower-case letters, digits and '-'", path, s.Customer)
		case (s.TokenFile == "") == (s.TokenEnv == ""):
			return fmt.Errorf("%s: give token_file or token_env", path)
		}
		names[s.Name] = true
	}
	if in.Open != nil {
		if !customerPattern.MatchString(in.Open.Customer) {
			return fmt.Errorf("open.customer: %q: want lower-case letters, digits and '-'", in.Open.Customer)
		}
		if !Loopback(in.Listen) {
			return fmt.Errorf("open: writes without a token are taken on a loopback address only, not on %s", in.Listen)
		}
	}
	return prefixed("limits", in.Limits.Validate())
}

// prefixed puts a path before an error that begins with the rest of it.
func prefixed(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s.%w", path, err)
}

// Loopback tells whether only this machine reaches an address, host:port.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
