package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/VictoriaMetrics/metrics"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/exporters/aliyun/onboard"
	"watchkeeper/exporters/aliyun/plan"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/config"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// customerReport is what 'customer add' prints.
type customerReport struct {
	Customer string `json:"customer"`
	Account  string `json:"account"`
	File     string `json:"file"`
	Written  bool   `json:"written"`
	DryRun   bool   `json:"dry_run"`
	*onboard.Report
	MissingPolicy *onboard.Policy `json:"missing_policy"`
	Coverage      []coverageRow   `json:"coverage"`
	Plan          *plan.Plan      `json:"plan"`
	Configuration string          `json:"configuration"` // what is added to the file
}

// coverageRow is what will be watched of a product, of which nothing is watched before.
type coverageRow struct {
	Product   string `json:"product"`
	Resources int    `json:"resources"`
	// Rows of the contract's alarm table that the product has.
	Rows int `json:"rows"`
	// Collected tells whether the catalogue has metrics of it.
	Collected bool `json:"collected"`
}

func addCustomer(cmd *cobra.Command, name string, f customerFlags) error {
	cfg, secret, err := f.accountConfig(cmd.InOrStdin())
	if err != nil {
		return err
	}
	text, err := os.ReadFile(f.config)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// What is wrong with name or file is said before anything is asked.
	if _, err := config.AddCustomer(f.config, text, bareCustomer(name)); err != nil {
		return err
	}
	account, err := probingAccount(name, cfg)
	if err != nil {
		return err
	}
	found, err := onboard.Examine(cmd.Context(), account.Client(), cfg.Regions[0], f.regions)
	if err != nil {
		return err
	}
	report := &customerReport{
		Customer: name, Account: f.account, File: f.config, DryRun: f.dryRun, Report: found, MissingPolicy: found.MissingPolicy(),
	}
	usable := found.Metrics && len(found.Regions) > 0
	if usable {
		if err := report.complete(name, cfg, f, secret, text); err != nil {
			return err
		}
	}
	if f.format == "json" {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		err = report.print(cmd.OutOrStdout())
	}
	switch {
	case err != nil:
		return err
	case !found.Metrics:
		return foundf("the key may not read CloudMonitor, so nothing could be watched; give it the policy above")
	case !usable:
		return foundf("no region with resources was found; name the regions with --regions if the key may not list resources")
	}
	return nil
}

// complete makes the configuration of what was found, plans it, and writes it
// unless it is a trial.
func (r *customerReport) complete(name string, cfg aliyun.AccountConfig, f customerFlags, secret string, text []byte) error {
	known, err := catalog.Load()
	if err != nil {
		return err
	}
	groups, err := contractGroups()
	if err != nil {
		return err
	}
	r.Coverage = coverageOf(r.Report, known, groups)
	cfg.Regions = r.Regions
	for _, row := range r.Coverage {
		if row.Collected {
			cfg.Products = append(cfg.Products, row.Product)
		}
	}
	cfg.Events.Read, cfg.Cost.Read = r.Events(), r.Cost()
	if r.Plan, err = planOf(name, cfg, r.Uses); err != nil {
		return err
	}
	saved := ""
	if f.secretStdin {
		saved = f.saveSecret
		if saved == "" {
			saved = filepath.Join(filepath.Dir(f.config), name+"-"+f.account+".secret")
		}
		cfg.AccessKeySecretFile = saved
	}
	if cfg.AccessKeySecretFile, err = relativeTo(f.config, cfg.AccessKeySecretFile); err != nil {
		return err
	}
	node, err := customerNode(name, cfg)
	if err != nil {
		return err
	}
	added, err := config.AddCustomer(f.config, text, node)
	if err != nil {
		return err
	}
	var entry bytes.Buffer
	e := yaml.NewEncoder(&entry)
	e.SetIndent(2)
	if err := errors.Join(e.Encode([]*yaml.Node{node}), e.Close()); err != nil {
		return err
	}
	r.Configuration = entry.String()
	if f.dryRun {
		return nil
	}
	if saved != "" {
		if err := newFile(saved, secret); err != nil {
			return fmt.Errorf("save the secret: %w; name another file with --save-secret", err)
		}
	}
	if err := replaceFile(f.config, added); err != nil {
		if saved != "" {
			err = errors.Join(err, os.Remove(saved))
		}
		return err
	}
	r.Written = true
	return nil
}

func bareCustomer(name string) *yaml.Node {
	n := &yaml.Node{}
	// A mapping of texts always encodes.
	if err := n.Encode(map[string]string{"name": name}); err != nil {
		panic("BUG: " + err.Error())
	}
	return n
}

// customerNode is the customer as the configuration file has it: what differs
// from the defaults.
func customerNode(name string, cfg aliyun.AccountConfig) (*yaml.Node, error) {
	type events struct {
		Read []string `yaml:"read,flow"`
	}
	type cost struct {
		Read bool `yaml:"read"`
	}
	type account struct {
		Name       string   `yaml:"name"`
		ECSRole    string   `yaml:"ecs_role,omitempty"`
		ID         string   `yaml:"access_key_id,omitempty"`
		SecretFile string   `yaml:"access_key_secret_file,omitempty"`
		SecretEnv  string   `yaml:"access_key_secret_env,omitempty"`
		RoleARN    string   `yaml:"role_arn,omitempty"`
		ExternalID string   `yaml:"role_external_id,omitempty"`
		Scheme     string   `yaml:"scheme,omitempty"`
		Endpoint   string   `yaml:"endpoint,omitempty"`
		Rate       float64  `yaml:"calls_per_second,omitempty"`
		Regions    []string `yaml:"regions,flow"`
		Products   []string `yaml:"products,flow,omitempty"`
		Events     *events  `yaml:"events,omitempty"`
		Cost       *cost    `yaml:"cost,omitempty"`
	}
	a := account{
		Name: cfg.Name, ECSRole: cfg.ECSRole, ID: cfg.AccessKeyID, SecretFile: cfg.AccessKeySecretFile, SecretEnv: cfg.AccessKeySecretEnv,
		RoleARN: cfg.RoleARN, ExternalID: cfg.RoleExternalID, Scheme: cfg.Scheme, Endpoint: cfg.Endpoint, Rate: cfg.CallsPerSecond,
		Regions: cfg.Regions, Products: cfg.Products,
	}
	if len(cfg.Events.Read) > 0 {
		a.Events = &events{cfg.Events.Read}
	}
	if cfg.Cost.Read {
		a.Cost = &cost{true}
	}
	var c struct {
		Name   string `yaml:"name"`
		Aliyun struct {
			Accounts []account `yaml:"accounts"`
		} `yaml:"aliyun"`
	}
	c.Name, c.Aliyun.Accounts = name, []account{a}
	n := &yaml.Node{}
	return n, n.Encode(c)
}

// probingAccount is the account as the server will build it.
func probingAccount(customer string, cfg aliyun.AccountConfig) (*aliyun.Account, error) {
	set := metrics.NewSet()
	accounts, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{cfg}}, customer, aliyun.Deps{
		NewClient: sdk.New, Budgets: aliyun.NewBudgets(set), Metrics: set, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return accounts[0], nil
}

func planOf(customer string, cfg aliyun.AccountConfig, uses []onboard.Use) (*plan.Plan, error) {
	account, err := probingAccount(customer, cfg)
	if err != nil {
		return nil, err
	}
	p, err := plan.New([]*aliyun.Account{account}, func(_, region string) plan.Sizes {
		s := plan.Sizes{Resources: map[string]int{}}
		for _, u := range uses {
			if u.Region == "" || u.Region == region {
				s.Resources[u.Product] += u.Resources
			}
		}
		return s
	})
	return &p, err
}

func contractGroups() ([]ruleset.Group, error) {
	files, err := contract.Pack()
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

var cloudMetric = regexp.MustCompile(`\baliyun_[a-z0-9_]+`)

// coverageOf counts resources and contract rows by product.
func coverageOf(found *onboard.Report, known *catalog.Catalog, groups []ruleset.Group) []coverageRow {
	products := map[string]string{} // by metric
	for _, m := range known.Metrics() {
		products[m.Name] = m.Product
	}
	rows := map[string]int{}
	for _, g := range groups {
		for _, r := range g.Rules {
			if metric := cloudMetric.FindString(r.Expr); metric != "" {
				rows[products[metric]]++
			}
		}
	}
	var out []coverageRow
	for _, product := range found.Products() {
		row := coverageRow{Product: product, Rows: rows[product], Collected: slices.Contains(known.Products(), product)}
		for _, u := range found.Uses {
			if u.Product == product {
				row.Resources += u.Resources
			}
		}
		out = append(out, row)
	}
	return out
}
