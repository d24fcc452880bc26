// Package middleware builds the collectors of all middleware servers that one
// customer's configuration names. Each product has a folder of its own.
package middleware

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/apache"
	"watchkeeper/exporters/middleware/docker"
	"watchkeeper/exporters/middleware/elasticsearch"
	"watchkeeper/exporters/middleware/iis"
	"watchkeeper/exporters/middleware/java"
	"watchkeeper/exporters/middleware/kafka"
	"watchkeeper/exporters/middleware/kubernetes"
	"watchkeeper/exporters/middleware/memcached"
	"watchkeeper/exporters/middleware/mongodb"
	"watchkeeper/exporters/middleware/mysql"
	"watchkeeper/exporters/middleware/nginx"
	"watchkeeper/exporters/middleware/phpfpm"
	"watchkeeper/exporters/middleware/postgresql"
	"watchkeeper/exporters/middleware/rabbitmq"
	"watchkeeper/exporters/middleware/redis"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/sqlserver"
	"watchkeeper/exporters/middleware/tomcat"
	"watchkeeper/exporters/middleware/zookeeper"
)

// maxServers bounds the servers of one product and customer.
const maxServers = 1_000

// Config lists the middleware servers of one customer by product. Default: none.
type Config struct {
	// Apache are Apache HTTP servers.
	Apache []apache.Config `yaml:"apache"`
	// Docker are Docker engines.
	Docker []docker.Config `yaml:"docker"`
	// Elasticsearch are Elasticsearch clusters on own hosts.
	Elasticsearch []elasticsearch.Config `yaml:"elasticsearch"`
	// IIS is the IIS of the Windows host that watchkeeper runs on.
	IIS []iis.Config `yaml:"iis"`
	// Java are JVMs with Jolokia.
	Java []java.Config `yaml:"java"`
	// Kafka are Kafka brokers and clusters.
	Kafka []kafka.Config `yaml:"kafka"`
	// Kubernetes are Kubernetes clusters.
	Kubernetes []kubernetes.Config `yaml:"kubernetes"`
	// Memcached are memcached servers.
	Memcached []memcached.Config `yaml:"memcached"`
	// MongoDB are mongod and mongos.
	MongoDB []mongodb.Config `yaml:"mongodb"`
	// MySQL are MySQL and MariaDB servers.
	MySQL []mysql.Config `yaml:"mysql"`
	// Nginx are Nginx servers.
	Nginx []nginx.Config `yaml:"nginx"`
	// PHPFPM are PHP-FPM pools.
	PHPFPM []phpfpm.Config `yaml:"phpfpm"`
	// PostgreSQL are PostgreSQL servers.
	PostgreSQL []postgresql.Config `yaml:"postgresql"`
	// RabbitMQ are RabbitMQ clusters or nodes.
	RabbitMQ []rabbitmq.Config `yaml:"rabbitmq"`
	// Redis are Redis servers and sentinels.
	Redis []redis.Config `yaml:"redis"`
	// SQLServer are Microsoft SQL Servers.
	SQLServer []sqlserver.Config `yaml:"sqlserver"`
	// Tomcat are Tomcat servers.
	Tomcat []tomcat.Config `yaml:"tomcat"`
	// ZooKeeper are ZooKeeper servers.
	ZooKeeper []zookeeper.Config `yaml:"zookeeper"`
}

// DefaultConfig returns a configuration without servers.
func DefaultConfig() Config { return Config{} }

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	for _, p := range c.products() {
		if err := p.validate(); err != nil {
			return err
		}
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder, that of the
// configuration file.
func (c *Config) ResolvePaths(resolve func(string) string) {
	for _, p := range c.products() {
		for _, s := range p.servers {
			s.resolve(resolve)
		}
	}
}

// Jobs builds a job for every server; their sources are "<product>/<name>".
// It fails when a certificate file cannot be read.
func Jobs(customer string, cfg Config, set *metrics.Set, log *slog.Logger) ([]exporters.Job, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var jobs []exporters.Job
	for _, p := range cfg.products() {
		for i, s := range p.servers {
			c, err := s.build(customer, set, log)
			if err != nil {
				return nil, fmt.Errorf("%s[%d]: %w", p.path, i, err)
			}
			jobs = append(jobs, exporters.Job{Kind: c.Kind(), Collector: c, Interval: c.Interval(), Revision: s.revision})
		}
	}
	return jobs, nil
}

// products lists the sections of the configuration with all that is done to
// their elements.
func (c *Config) products() []product {
	return []product{
		section("apache", c.Apache, apache.New),
		section("docker", c.Docker, docker.New),
		section("elasticsearch", c.Elasticsearch, elasticsearch.New),
		section("iis", c.IIS, iis.New),
		section("java", c.Java, java.New),
		section("kafka", c.Kafka, kafka.New),
		section("kubernetes", c.Kubernetes, kubernetes.New),
		section("memcached", c.Memcached, memcached.New),
		section("mongodb", c.MongoDB, mongodb.New),
		section("mysql", c.MySQL, mysql.New),
		section("nginx", c.Nginx, nginx.New),
		section("phpfpm", c.PHPFPM, phpfpm.New),
		section("postgresql", c.PostgreSQL, postgresql.New),
		section("rabbitmq", c.RabbitMQ, rabbitmq.New),
		section("redis", c.Redis, redis.New),
		section("sqlserver", c.SQLServer, sqlserver.New),
		section("tomcat", c.Tomcat, tomcat.New),
		section("zookeeper", c.ZooKeeper, zookeeper.New),
	}
}

// product is one section: a list of servers.
type product struct {
	path    string
	servers []entry
}

// entry is one server's configuration, whatever its product.
type entry struct {
	name     string
	revision string
	validate func() error
	resolve  func(func(string) string)
	build    func(customer string, set *metrics.Set, log *slog.Logger) (*server.Collector, error)
}

// configuration is what the Config of every product can do.
type configuration[C any] interface {
	*C
	Validate() error
	InstanceName() string
	ResolvePaths(func(string) string)
}

func section[C any, P configuration[C]](path string, list []C,
	build func(string, C, *metrics.Set, *slog.Logger) (*server.Collector, error)) product {
	p := product{path: path}
	for i := range list {
		cfg := P(&list[i])
		p.servers = append(p.servers, entry{
			name:     cfg.InstanceName(),
			revision: revision(list[i]),
			validate: cfg.Validate,
			resolve:  cfg.ResolvePaths,
			build: func(customer string, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
				return build(customer, *cfg, set, log)
			},
		})
	}
	return p
}

func (p product) validate() error {
	if len(p.servers) > maxServers {
		return fmt.Errorf("%s: more than %d", p.path, maxServers)
	}
	names := make(map[string]int)
	for i, s := range p.servers {
		if err := s.validate(); err != nil {
			return fmt.Errorf("%s[%d].%w", p.path, i, err)
		}
		if j, ok := names[s.name]; ok {
			return fmt.Errorf("%s[%d].name: %q is %s[%d] already", p.path, i, s.name, p.path, j)
		}
		names[s.name] = i
	}
	return nil
}

// revision changes with a server's configuration.
func revision(cfg any) string {
	h := sha256.New()
	fmt.Fprintf(h, "%#v", cfg)
	return hex.EncodeToString(h.Sum(nil))
}
