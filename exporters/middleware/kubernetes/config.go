package kubernetes

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"

	"watchkeeper/exporters/middleware/server"
)

// Where a pod finds the API server and its own service account.
const (
	inClusterHost  = "KUBERNETES_SERVICE_HOST"
	inClusterPort  = "KUBERNETES_SERVICE_PORT"
	inClusterToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	inClusterCA    = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
)

const maxNamespaces = 100

// Config is one Kubernetes cluster, read from its API server or from
// kube-state-metrics.
type Config struct {
	server.Settings `yaml:",inline"`
	// URL is the API server's address, for example https://10.0.0.20:6443.
	// Default, without state_metrics_url: that of the cluster in which
	// watchkeeper runs as a pod, with the pod's service account and CA where
	// token_file, token_env and ca_file name no other.
	URL string `yaml:"url"`
	// StateMetricsURL is the metrics page of kube-state-metrics, for example
	// http://10.0.0.21:8080/metrics, to be read instead of the API. Default: none.
	StateMetricsURL string `yaml:"state_metrics_url"`
	// The token of a service account.
	server.Token `yaml:",inline"`
	// Trust of https, and the client certificate where it stands for a token.
	server.TLS `yaml:",inline"`
	// Namespaces are those whose workloads and pods are read from the API.
	// Default: all.
	Namespaces []string `yaml:"namespaces"`
}

var namespacePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	if c.URL != "" && c.StateMetricsURL != "" {
		return errors.New("state_metrics_url: is set beside url; give one of them")
	}
	if c.StateMetricsURL != "" && len(c.Namespaces) > 0 {
		return errors.New("namespaces: goes with the API, not with state_metrics_url")
	}
	for _, u := range []struct{ path, url string }{{"url", c.URL}, {"state_metrics_url", c.StateMetricsURL}} {
		if u.url == "" {
			continue
		}
		if err := server.ValidateURL(u.url); err != nil {
			return fmt.Errorf("%s: %w", u.path, err)
		}
	}
	if len(c.Namespaces) > maxNamespaces {
		return fmt.Errorf("namespaces: more than %d", maxNamespaces)
	}
	seen := make(map[string]bool)
	for i, ns := range c.Namespaces {
		switch {
		case !namespacePattern.MatchString(ns):
			return fmt.Errorf("namespaces[%d]: %q is not a namespace's name", i, ns)
		case seen[ns]:
			return fmt.Errorf("namespaces[%d]: %q is there twice", i, ns)
		}
		seen[ns] = true
	}
	if err := c.Token.Validate(); err != nil {
		return err
	}
	return c.TLS.Validate()
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	c.Token.ResolvePaths(resolve)
	c.TLS.ResolvePaths(resolve)
}

// inCluster fills in what a pod knows of its own cluster.
func (c Config) inCluster() (Config, error) {
	host, port := os.Getenv(inClusterHost), os.Getenv(inClusterPort)
	if host == "" || port == "" {
		return c, fmt.Errorf("url: must not be empty outside a pod (%s and %s are not set)", inClusterHost, inClusterPort)
	}
	c.URL = "https://" + net.JoinHostPort(host, port)
	if c.TokenFile == "" && c.TokenEnv == "" {
		c.TokenFile = inClusterToken
	}
	if c.CAFile == "" {
		c.CAFile = inClusterCA
	}
	return c, nil
}
