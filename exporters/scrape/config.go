package scrape

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	commoncfg "github.com/prometheus/common/config"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	_ "github.com/prometheus/prometheus/discovery/file" // file_sd_configs
	httpsd "github.com/prometheus/prometheus/discovery/http"
	"go.yaml.in/yaml/v3"
)

// Key is where the jobs of a customer stand in the configuration file.
const Key = "scrape_configs"

// defaults are what a scrape configuration leaves out. Two scrapes fall into
// each one-minute check of the contract, so that none of them is empty whatever
// the phase that Prometheus gives the target.
const defaults = `
scrape_interval: 30s
scrape_timeout: 10s
body_size_limit: 16MB
sample_limit: 50000
target_limit: 1000
label_limit: 63
label_name_length_limit: 256
label_value_length_limit: 4096
keep_dropped_targets: 100
`

// maxJobs bounds the scrape configurations of one customer.
const maxJobs = 200

// Job is one scrape configuration of one customer.
type Job struct {
	Customer string
	Name     string // the configuration's job_name

	config   *promconfig.Config // with this one scrape configuration, complete
	revision string             // changes with the configuration
}

// Jobs reads a customer's scrape configurations. Relative paths in them are
// relative to dir. An error begins with the path of what is wrong, below
// scrape_configs.
func Jobs(customer string, nodes []yaml.Node, dir string) ([]Job, error) {
	if len(nodes) > maxJobs {
		return nil, fmt.Errorf("%s: more than %d", Key, maxJobs)
	}
	var jobs []Job
	names := map[string]int{}
	for i := range nodes {
		at := fmt.Sprintf("%s[%d]", Key, i)
		cfg, text, err := parse(&nodes[i], at)
		if err != nil {
			return nil, err
		}
		sc := cfg.ScrapeConfigs[0]
		if j, ok := names[sc.JobName]; ok {
			return nil, fmt.Errorf("%s.job_name: %q is %s[%d] already", at, sc.JobName, Key, j)
		}
		names[sc.JobName] = i
		if err := check(sc, at); err != nil {
			return nil, err
		}
		sc.SetDirectory(dir)
		if err := tryDiscovery(sc, at); err != nil {
			return nil, err
		}
		sum := sha256.Sum256([]byte(dir + "\x00" + text))
		jobs = append(jobs, Job{Customer: customer, Name: sc.JobName, config: cfg, revision: hex.EncodeToString(sum[:])})
	}
	return jobs, nil
}

// TryFiles makes the HTTP clients of the jobs, which reads the certificates
// that they name: what would otherwise fail at the start of a job.
func TryFiles(jobs []Job) error {
	for _, j := range jobs {
		if _, err := commoncfg.NewClientFromConfig(j.config.ScrapeConfigs[0].HTTPClientConfig, j.Name); err != nil {
			return fmt.Errorf("scrape job %q: %w", j.Name, err)
		}
	}
	return nil
}

// nothing is a configuration without scrapes.
func nothing() *promconfig.Config {
	cfg, err := promconfig.Load("", slog.New(slog.DiscardHandler))
	if err != nil {
		panic("BUG: an empty Prometheus configuration is refused: " + err.Error())
	}
	return cfg
}

// parse decodes one scrape configuration by Prometheus's own strict decoder.
// It wants text and tells lines of it, which are turned back into paths here.
func parse(node *yaml.Node, at string) (*promconfig.Config, string, error) {
	var global yaml.Node
	if err := yaml.Unmarshal([]byte(defaults), &global); err != nil {
		return nil, "", err
	}
	left := maxNodes
	body, err := plain(node, &left)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", at, err)
	}
	root := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		{Kind: yaml.ScalarNode, Value: "global"}, global.Content[0],
		{Kind: yaml.ScalarNode, Value: Key}, {Kind: yaml.SequenceNode, Content: []*yaml.Node{body}},
	}}
	text, err := yaml.Marshal(root)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", at, err)
	}
	cfg, err := promconfig.Load(string(text), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, "", located(err, text, at)
	}
	return cfg, string(text), nil
}

// maxNodes bounds the values of one scrape configuration, aliases resolved.
const maxNodes = 100_000

// plain copies a node in block style, each key on a line of its own, with
// aliases resolved and without comments.
func plain(n *yaml.Node, left *int) (*yaml.Node, error) {
	if *left--; *left < 0 {
		return nil, fmt.Errorf("more than %d values", maxNodes)
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	c := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style &^ yaml.FlowStyle}
	for _, child := range n.Content {
		below, err := plain(child, left)
		if err != nil {
			return nil, err
		}
		c.Content = append(c.Content, below)
	}
	return c, nil
}

var (
	lineError  = regexp.MustCompile(`(?m)^\s*(?:yaml: )?line (\d+): (.*)$`)
	unknownKey = regexp.MustCompile(`^field (\S+) not found in type .+$`)
	repeated   = regexp.MustCompile(`^(?:key|field) "?(\S+?)"? already set in (?:type|map).*$`)
)

// located turns an error about a line of the text into one about a path.
func located(err error, text []byte, at string) error {
	m := lineError.FindStringSubmatch(err.Error())
	if m == nil {
		return fmt.Errorf("%s: %s", at, strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " "))
	}
	line, _ := strconv.Atoi(m[1]) // digits by the pattern
	path, msg := pathAt(text, line, at), m[2]
	if k := unknownKey.FindStringSubmatch(msg); k != nil {
		msg = "unknown key"
		if !strings.HasSuffix(path, k[1]) {
			path += "." + k[1]
		}
	} else if k := repeated.FindStringSubmatch(msg); k != nil {
		msg = "is given twice"
	}
	return fmt.Errorf("%s: %s", path, msg)
}

// pathAt returns the path of what stands at a line of the text, in terms of
// the configuration file.
func pathAt(text []byte, line int, at string) string {
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 {
		return at
	}
	found := at
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		if n.Line == line {
			found = path
		}
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				below := path + "." + n.Content[i].Value
				if n.Content[i].Line == line {
					found = below
				}
				walk(n.Content[i+1], below)
			}
		case yaml.SequenceNode:
			for i, c := range n.Content {
				walk(c, fmt.Sprintf("%s[%d]", path, i))
			}
		}
	}
	root := doc.Content[0]
	walk(root.Content[3].Content[0], at)
	return found
}

// check refuses what Prometheus allows and we do not.
func check(sc *promconfig.ScrapeConfig, at string) error {
	switch {
	case sc.ScrapeNativeHistogramsEnabled():
		return fmt.Errorf("%s.scrape_native_histograms: native histograms are not stored; leave it out to get the classic ones", at)
	case sc.ConvertClassicHistogramsToNHCBEnabled():
		return fmt.Errorf("%s.convert_classic_histograms_to_nhcb: native histograms are not stored", at)
	}
	if err := inFiles(&sc.HTTPClientConfig); err != nil {
		return fmt.Errorf("%s.%w", at, err)
	}
	for _, sd := range sc.ServiceDiscoveryConfigs {
		switch sd := sd.(type) {
		case *httpsd.SDConfig:
			if err := inFiles(&sd.HTTPClientConfig); err != nil {
				return fmt.Errorf("%s.http_sd_configs.%w", at, err)
			}
			if u, err := url.Parse(sd.URL); err == nil && u.User != nil {
				return fmt.Errorf("%s.http_sd_configs.url: holds a password; use basic_auth with password_file", at)
			}
		default:
			if name := sd.Name(); name != "static" && name != "file" {
				return fmt.Errorf("%s.%s_sd_configs: not supported; there are static_configs, file_sd_configs and http_sd_configs", at, name)
			}
		}
	}
	return nil
}

// inFiles refuses credentials that stand in the configuration itself.
func inFiles(c *commoncfg.HTTPClientConfig) error {
	refuse := func(path, instead string) error {
		return fmt.Errorf("%s: credentials are read from files: use %s", path, instead)
	}
	switch {
	case c.BasicAuth != nil && c.BasicAuth.Password != "":
		return refuse("basic_auth.password", "password_file")
	case c.Authorization != nil && c.Authorization.Credentials != "" || c.BearerToken != "":
		return refuse("authorization.credentials", "credentials_file")
	case c.TLSConfig.Key != "":
		return refuse("tls_config.key", "key_file")
	case c.ProxyURL.URL != nil && c.ProxyURL.User != nil:
		return errors.New("proxy_url: holds a password, which is not supported")
	case len(c.ProxyConnectHeader) > 0:
		return errors.New("proxy_connect_header: may hold credentials and cannot be read from a file; it is not supported")
	}
	if o := c.OAuth2; o != nil {
		switch {
		case o.ClientSecret != "":
			return refuse("oauth2.client_secret", "client_secret_file")
		case o.ClientCertificateKey != "":
			return refuse("oauth2.client_certificate_key", "client_certificate_key_file")
		case o.TLSConfig.Key != "":
			return refuse("oauth2.tls_config.key", "key_file")
		}
	}
	if c.HTTPHeaders != nil {
		for name, h := range c.HTTPHeaders.Headers {
			if len(h.Secrets) > 0 {
				return refuse("http_headers."+name+".secrets", "files")
			}
		}
	}
	return nil
}

// tryDiscovery makes the discoverers without starting them.
func tryDiscovery(sc *promconfig.ScrapeConfig, at string) error {
	sd, err := discovery.CreateAndRegisterSDMetrics(prometheus.NewRegistry())
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	for _, c := range sc.ServiceDiscoveryConfigs {
		_, err := c.NewDiscoverer(discovery.DiscovererOptions{
			Logger: slog.New(slog.DiscardHandler), Metrics: sd.MechanismMetrics[c.Name()], SetName: sc.JobName,
		})
		if err != nil {
			return fmt.Errorf("%s: %s discovery: %w", at, c.Name(), err)
		}
	}
	return nil
}
