package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/alertrouter"
	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/exporters/heartbeat"
	"watchkeeper/exporters/host"
	"watchkeeper/exporters/middleware"
	"watchkeeper/exporters/probe"
	"watchkeeper/exporters/process"
	"watchkeeper/exporters/scrape"
	"watchkeeper/internal/config"
	"watchkeeper/internal/ingest"
	"watchkeeper/internal/remotewrite"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/aliyunaccount"
	"watchkeeper/ruleset/contract"
	"watchkeeper/ruleset/coverage"
	"watchkeeper/ruleset/dbpolicy"
	"watchkeeper/ruleset/expiry"
	"watchkeeper/ruleset/override"
	"watchkeeper/ruleset/promrules"
	"watchkeeper/ruleset/vantage"
	watchpack "watchkeeper/ruleset/watch"
	"watchkeeper/slo"
)

// pushPrefix begins the names of sources that send by themselves.
const pushPrefix = "push/"

// minToken is the least length of a sender's token, in bytes.
const minToken = 16

// world is everything that a configuration says and that a reload swaps.
type world struct {
	*loadedRules
	running promrules.Config // how plain rules are run
	jobs    []exporters.Job
	scrapes []scrape.Job
	senders map[string]ingest.Sender
	routing alertrouter.Config

	receivers map[remotewrite.Key]remotewrite.Config

	contracts int
}

// Summary counts what a configuration asks for.
type Summary struct{ Customers, Collectors, Rules, Contracts int }

// Check builds everything that a configuration names without starting or
// opening anything: what 'watchkeeper check' does.
func Check(cfg *config.Config, log *slog.Logger) (Summary, error) {
	a := &App{log: log, set: metrics.NewSet(), now: time.Now, cfg: cfg}
	a.heartbeats = heartbeat.NewRegistry(filepath.Join(cfg.DataDir, stateFolder))
	defer a.set.UnregisterAllMetrics()
	w, err := a.build(cfg)
	if err != nil {
		return Summary{}, err
	}
	_, err = ruleset.New(cfg.Rules.Engine, w.groups, nil, nil, nil, a.set, log)
	return Summary{Customers: len(cfg.Customers), Collectors: len(w.jobs) + len(w.scrapes), Rules: w.count(), Contracts: w.contracts}, err
}

// build makes the world of a configuration; it starts and opens nothing.
func (a *App) build(cfg *config.Config) (*world, error) {
	w := &world{}
	var err error
	if w.loadedRules, err = readRules(cfg, a.now()); err != nil {
		return nil, err
	}
	if a.apiListener != nil { // else New does it, when the address is known
		linkRunbooks(w.groups, a.externalURL(cfg))
	}
	w.running = cfg.Rules.Plain
	w.running.Dir, w.running.ExternalURL = filepath.Dir(cfg.File()), a.externalURL(cfg)
	if err := promrules.Check(w.running, w.files); err != nil {
		return nil, err
	}
	if w.senders, err = senders(cfg); err != nil {
		return nil, err
	}
	if w.jobs, err = a.buildJobs(cfg); err != nil {
		return nil, err
	}
	if w.scrapes, err = buildScrapes(cfg); err != nil {
		return nil, err
	}
	if w.receivers, err = receivers(cfg); err != nil {
		return nil, err
	}
	if w.routing, err = a.buildRouting(cfg); err != nil {
		return nil, err
	}
	for i, pattern := range cfg.Contracts {
		files, err := glob(cfg, fmt.Sprintf("contracts[%d]", i), pattern)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if _, err := slo.LoadFile(f); err != nil {
				return nil, err
			}
			w.contracts++
		}
	}
	return w, nil
}

// Rules reads the rules of a configuration whose checks are counted, as they
// are now: overrides applied.
func Rules(cfg *config.Config) ([]ruleset.Group, error) {
	r, err := readRules(cfg, time.Now())
	if err != nil {
		return nil, err
	}
	return r.groups, nil
}

// loadedRules is what the packs, the rule files and the overrides say at a time.
type loadedRules struct {
	groups   []ruleset.Group    // whose checks are counted
	files    []promrules.File   // all rule files; plain groups in them are Prometheus's
	plain    []promrules.Group  // the plain groups in them
	applied  []override.Applied // overrides and what became of them
	until    time.Time          // when an override begins or ends; zero: never
	coverage coverage.Config
}

// readRules reads packs, rule files and overrides. Plain groups are left to
// Prometheus's meaning; a group that mixes both kinds is refused there.
func readRules(cfg *config.Config, now time.Time) (*loadedRules, error) {
	r := &loadedRules{coverage: cfg.Rules.Coverage}
	for i, pack := range cfg.Rules.Packs {
		groups, err := readPack(cfg, pack)
		if err != nil {
			return nil, fmt.Errorf("rules.packs[%d]: %w", i, err)
		}
		r.groups = append(r.groups, groups...)
	}
	r.groups = giveWay(r.groups, vantage.File)
	for i, pattern := range cfg.Rules.Files {
		names, err := glob(cfg, fmt.Sprintf("rules.files[%d]", i), pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("rule file: %w", err)
			}
			groups, err := ruleset.Parse(name, b)
			if err != nil {
				return nil, err
			}
			r.groups = append(r.groups, slices.DeleteFunc(groups, plainGroup)...)
			r.files = append(r.files, promrules.File{Name: name, Data: b, ID: cfg.Rel(name)})
		}
	}
	var err error
	if r.plain, err = promrules.Groups(r.files); err != nil {
		return nil, err
	}
	return r, r.override(cfg, now)
}

// count returns how many rules of both kinds there are.
func (r *loadedRules) count() int { return countRules(r.groups) + countPlain(r.plain) }

func readPack(cfg *config.Config, pack string) ([]ruleset.Group, error) {
	switch pack {
	case dbpolicy.Name:
		return dbpolicy.Groups(cfg.Rules.DatabasePolicy)
	case aliyunaccount.Name:
		return aliyunaccount.Groups(cfg.Rules.AliyunAccount)
	case vantage.Name:
		return vantage.Groups()
	case watchpack.Name:
		return watchpack.Groups()
	case expiry.Name:
		return expiry.Groups()
	case contract.Name:
	default:
		return nil, fmt.Errorf("no pack %q; shipped are %q, %q, %q, %q, %q and %q", pack, contract.Name, dbpolicy.Name, aliyunaccount.Name, vantage.Name, watchpack.Name, expiry.Name)
	}
	files, err := contract.Pack(cfg.Rules.Literal...)
	if err != nil {
		return nil, err
	}
	var groups []ruleset.Group
	for _, f := range files {
		gs, err := ruleset.Parse(f.Name, f.Data)
		if err != nil {
			return nil, err
		}
		groups = append(groups, gs...)
	}
	return groups, nil
}

// override applies the overrides that are active at now.
func (r *loadedRules) override(cfg *config.Config, now time.Time) error {
	if cfg.Rules.Overrides == "" {
		return nil
	}
	name := cfg.Path(cfg.Rules.Overrides)
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("rules.overrides: %w", err)
	}
	overrides, err := override.Parse(name, b)
	if err != nil {
		return err
	}
	if r.groups, r.applied, err = override.Apply(r.groups, overrides, now); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.until, _ = override.NextChange(overrides, now)
	return nil
}

func plainGroup(g ruleset.Group) bool {
	return len(g.Rules) > 0 && !slices.ContainsFunc(g.Rules, func(r *ruleset.Rule) bool { return !r.Plain })
}

// glob finds the files of a pattern; none is a mistake.
func glob(cfg *config.Config, path, pattern string) ([]string, error) {
	files, err := filepath.Glob(cfg.Path(pattern))
	if err != nil {
		return nil, fmt.Errorf("%s: %q: %w", path, pattern, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no file matches %q", path, cfg.Path(pattern))
	}
	sort.Strings(files)
	return files, nil
}

func (a *App) buildJobs(cfg *config.Config) ([]exporters.Job, error) {
	if a.budgets == nil {
		a.budgets = aliyun.NewBudgets(a.set)
	}
	var jobs []exporters.Job
	for i, cu := range cfg.Customers {
		path := fmt.Sprintf("customers[%d]", i)
		if cu.Host != nil {
			c, err := host.New(cu.Name, cu.Host.Config, a.set, a.log)
			if err != nil {
				return nil, fmt.Errorf("%s.host: %w", path, err)
			}
			jobs = append(jobs, exporters.Job{Kind: "host", Collector: c, Interval: time.Duration(cu.Host.Interval), Revision: revision(cu.Host.Config)})
		}
		if cu.Probes != nil {
			cs, err := probe.New(cu.Name, cu.Probes.Config, a.set, a.log)
			if err != nil {
				return nil, fmt.Errorf("%s.probes: %w", path, err)
			}
			for _, c := range cs {
				jobs = append(jobs, exporters.Job{Kind: probe.Kind, Collector: c, Interval: c.Interval(), Timeout: c.Timeout(), Revision: cu.Probes.Revision()})
			}
		}
		if cu.Processes != nil {
			c, err := process.New(cu.Name, cu.Processes.Config, a.set, a.log)
			if err != nil {
				return nil, fmt.Errorf("%s.processes: %w", path, err)
			}
			jobs = append(jobs, exporters.Job{Kind: process.Kind, Collector: c, Interval: time.Duration(cu.Processes.Interval), Revision: revision(cu.Processes.Config)})
		}
		js, err := a.onHostJobs(cfg, cu)
		if err != nil {
			return nil, fmt.Errorf("%s.%w", path, err)
		}
		jobs = append(jobs, js...)
		js, err = middleware.Jobs(cu.Name, cu.Middleware, a.set, a.log)
		if err != nil {
			return nil, fmt.Errorf("%s.middleware: %w", path, err)
		}
		jobs = append(jobs, js...)
		accounts, err := aliyun.New(resolvePaths(cfg, cu.Aliyun), cu.Name, aliyun.Deps{
			NewClient: sdk.New, Budgets: a.budgets, Resume: a.resume, Newest: a.newest, Metrics: a.set, Log: a.log,
		})
		if err != nil {
			return nil, fmt.Errorf("%s.%w", path, err)
		}
		for _, acc := range accounts {
			js, err := AccountJobs(acc, a.recall)
			if err != nil {
				return nil, fmt.Errorf("%s.aliyun: %w", path, err)
			}
			jobs = append(jobs, js...)
		}
	}
	return jobs, nil
}

// revision changes with a configuration's content. It is a hash, since the
// content may hold credentials.
func revision(cfg any) string {
	h := sha256.New()
	fmt.Fprintf(h, "%#v", cfg)
	return hex.EncodeToString(h.Sum(nil))
}

// resolvePaths makes the files of an Aliyun configuration relative to the
// configuration file.
func resolvePaths(cfg *config.Config, c aliyun.Config) aliyun.Config {
	out := aliyun.Config{}
	for _, f := range c.CatalogFiles {
		out.CatalogFiles = append(out.CatalogFiles, cfg.Path(f))
	}
	for _, a := range c.Accounts {
		a.AccessKeyIDFile = cfg.Path(a.AccessKeyIDFile)
		a.AccessKeySecretFile = cfg.Path(a.AccessKeySecretFile)
		a.SecurityTokenFile = cfg.Path(a.SecurityTokenFile)
		a.Performance.KeyFiles = slices.Clone(a.Performance.KeyFiles)
		for i, f := range a.Performance.KeyFiles {
			a.Performance.KeyFiles[i] = cfg.Path(f)
		}
		a.AssetFile = cfg.Path(a.AssetFile)
		out.Accounts = append(out.Accounts, a)
	}
	return out
}

func (a *App) buildRouting(cfg *config.Config) (alertrouter.Config, error) {
	rc := cfg.AlertRouter
	rc.DataDir = cfg.DataDir
	rc.RoutingFile = cfg.Path(rc.RoutingFile)
	if rc.RoutingFile == "" {
		text, err := cfg.AlertmanagerText()
		if err != nil {
			return rc, fmt.Errorf("alertmanager: %w", err)
		}
		rc.Routing = text
	}
	rc.ExternalURL = a.externalURL(cfg)
	if err := rc.Validate(); err != nil {
		return rc, routingError(cfg, err)
	}
	return rc, nil
}

// externalURL is the address under which people reach this server.
func (a *App) externalURL(cfg *config.Config) string {
	switch {
	case cfg.ExternalURL != "":
		return cfg.ExternalURL
	case a.apiListener != nil:
		return a.URL()
	}
	return "http://" + cfg.API.Listen
}

var routingLine = regexp.MustCompile(`\bline \d+: `)

// routingError says in one line where the routing is wrong. Lines that
// Alertmanager's parser tells of a section are not those of the file.
func routingError(cfg *config.Config, err error) error {
	if cfg.Alertmanager.IsZero() {
		return fmt.Errorf("alertrouter.%s", strings.Join(strings.Fields(err.Error()), " "))
	}
	text := routingLine.ReplaceAllString(strings.TrimPrefix(err.Error(), "routing: "), "")
	return fmt.Errorf("%s:%d: alertmanager: %s", cfg.File(), cfg.Alertmanager.Line, strings.Join(strings.Fields(text), " "))
}

// senders reads the tokens of those who may write.
func senders(cfg *config.Config) (map[string]ingest.Sender, error) {
	out := map[string]ingest.Sender{}
	for i, s := range cfg.Ingest.Senders {
		token, err := readSecret(cfg.Path(s.TokenFile), s.TokenEnv)
		if err != nil {
			return nil, fmt.Errorf("ingest.senders[%d]: token: %w", i, err)
		}
		if len(token) < minToken {
			return nil, fmt.Errorf("ingest.senders[%d]: the token is shorter than %d bytes", i, minToken)
		}
		if _, ok := out[token]; ok {
			return nil, fmt.Errorf("ingest.senders[%d]: another sender has the same token", i)
		}
		out[token] = ingest.Sender{Customer: s.Customer, Source: pushPrefix + s.Name}
	}
	if o := cfg.Ingest.Open; o != nil {
		name := o.Name
		if name == "" {
			name = "open"
		}
		out[""] = ingest.Sender{Customer: o.Customer, Source: pushPrefix + name}
	}
	return out, nil
}

func (a *App) hasSenders() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.senders) > 0
}

// sender is the ingest.Authenticator: who a token stands for now.
func (a *App) sender(token string) (ingest.Sender, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.senders[token]
	return s, ok
}

// Reload reads the configuration file again and swaps rules, collectors,
// routes and senders: fully, or with an error not at all. What a running server
// cannot change (folder, listeners, storage) must be as it was.
func (a *App) Reload(ctx context.Context) error {
	a.reloadMu.Lock()
	defer a.reloadMu.Unlock()
	err := a.reload(ctx)
	a.relabelDue.Store(true)
	if err != nil {
		a.log.Error("reload: nothing was changed", "err", err)
		a.set.GetOrCreateCounter("watchkeeper_app_reload_failures_total").Inc()
	}
	a.set.GetOrCreateCounter("watchkeeper_app_reloads_total").Inc()
	return err
}

func (a *App) reload(ctx context.Context) error {
	cfg, err := config.Load(a.file)
	if err != nil {
		return err
	}
	if err := fixed(a.config(), cfg); err != nil {
		return err
	}
	w, err := a.build(cfg)
	if err != nil {
		return err
	}
	// What is in force is not read again: its files may be gone or changed.
	old, oldWorld := a.config(), a.world
	// Each step can refuse; what was swapped before goes back then.
	if err := a.router.Reload(w.routing); err != nil {
		return err
	}
	if err := a.engine.Reload(ctx, w.groups, a.now()); err != nil {
		return errors.Join(err, a.router.Reload(oldWorld.routing))
	}
	// From here on it is done, or taken back, though the caller goes away.
	ctx = context.WithoutCancel(ctx)
	if err := a.plain.Update(w.running, w.files); err != nil {
		return errors.Join(err, a.engine.Reload(ctx, oldWorld.groups, a.now()), a.router.Reload(oldWorld.routing))
	}
	if err := a.jobs.Apply(w.jobs); err != nil {
		return errors.Join(err, a.plain.Update(oldWorld.running, oldWorld.files), a.engine.Reload(ctx, oldWorld.groups, a.now()), a.router.Reload(oldWorld.routing))
	}
	if err := a.scrapes.Apply(w.scrapes); err != nil {
		return errors.Join(err, a.jobs.Apply(oldWorld.jobs), a.plain.Update(oldWorld.running, oldWorld.files), a.engine.Reload(ctx, oldWorld.groups, a.now()), a.router.Reload(oldWorld.routing))
	}
	if err := a.sendOn.Apply(w.receivers); err != nil {
		return errors.Join(err, a.scrapes.Apply(oldWorld.scrapes), a.jobs.Apply(oldWorld.jobs), a.plain.Update(oldWorld.running, oldWorld.files), a.engine.Reload(ctx, oldWorld.groups, a.now()), a.router.Reload(oldWorld.routing))
	}
	a.declareHeartbeats(cfg)
	a.world = w
	a.mu.Lock()
	a.cfg, a.loaded, a.senders = cfg, w.loadedRules, w.senders
	a.mu.Unlock()
	after := newRemoval(cfg, w)
	if err := errors.Join(a.saveRules(w.loadedRules), a.endRemoved(ctx, after, a.engine.Alerts(), a.endedElsewhere(newRemoval(old, oldWorld), after)...)); err != nil {
		// The new configuration is in force; the alerts of what it no longer
		// watches go to no-data instead of ended.
		a.log.Error("reload: after the swap", "err", err)
	}
	a.log.Info("configuration reloaded", "rules", w.count(), "collectors", len(w.jobs)+len(w.scrapes))
	return nil
}

// fixed names the first setting that differs and needs a restart.
func fixed(old, new *config.Config) error {
	for _, f := range []struct {
		path string
		same bool
	}{
		{"data_dir", old.DataDir == new.DataDir},
		{"api.listen", old.API == new.API},
		{"ingest.listen", old.Ingest.Listen == new.Ingest.Listen},
		{"ingest.limits", old.Ingest.Limits == new.Ingest.Limits},
		{"storage", old.Storage == new.Storage},
		{"rules.engine", old.Rules.Engine == new.Rules.Engine},
		{"alertrouter", keeping(old.AlertRouter) == keeping(new.AlertRouter)},
	} {
		if !f.same {
			return fmt.Errorf("%s: changed; this needs a restart", f.path)
		}
	}
	return nil
}

// keeping is the part of the router's configuration that a reload cannot change.
func keeping(c alertrouter.Config) alertrouter.Config {
	c.RoutingFile, c.Routing, c.ExternalURL = "", "", ""
	return c
}

func (a *App) config() *config.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg
}

func trimSecret(b []byte) string { return strings.TrimSpace(string(bytes.TrimRight(b, "\r\n"))) }
