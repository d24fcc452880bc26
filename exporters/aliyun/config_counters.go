package aliyun

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// PerformanceConfig says how RDS' own counters are read, beside CloudMonitor, when
// the products have rds. Calls for them do not count for the month.
type PerformanceConfig struct {
	// Off turns the counters off. Default false.
	Off bool `yaml:"off"`
	// Interval between two reads, each a call for every instance. Default 5 m.
	Interval model.Duration `yaml:"interval"`
	// KeyFiles add keys of DescribeDBInstancePerformance to the shipped ones, or
	// replace some. Default none.
	KeyFiles []string `yaml:"key_files"`
	// SlowLogOff turns the count of slow queries off, another call for every
	// instance of MySQL and SQL Server. Default false.
	SlowLogOff bool `yaml:"slow_log_off"`
	// SlowLogDelay is how long after its five minutes a count of slow queries is
	// taken for complete. Default 10 m.
	SlowLogDelay model.Duration `yaml:"slow_log_delay"`
}

// CDNRequestsConfig says how the requests of CDN domains are counted by status,
// when the products have cdn. Calls for them do not count for the month.
type CDNRequestsConfig struct {
	// Off turns the counts off. Default false.
	Off bool `yaml:"off"`
	// Interval between two reads, each two calls for every domain. Default 5 m.
	Interval model.Duration `yaml:"interval"`
	// Delay is how long after its five minutes a count is taken for complete.
	// Default 15 m.
	Delay model.Duration `yaml:"delay"`
}

func (c PerformanceConfig) withDefaults() PerformanceConfig {
	if c.Interval == 0 {
		c.Interval = model.Duration(5 * time.Minute)
	}
	if c.SlowLogDelay == 0 {
		c.SlowLogDelay = model.Duration(10 * time.Minute)
	}
	return c
}

func (c PerformanceConfig) validate() error {
	if err := between("performance.interval", c.Interval, time.Minute, 30*time.Minute); err != nil {
		return err
	}
	return between("performance.slow_log_delay", c.SlowLogDelay, time.Minute, time.Hour)
}

func (c CDNRequestsConfig) withDefaults() CDNRequestsConfig {
	if c.Interval == 0 {
		c.Interval = model.Duration(5 * time.Minute)
	}
	if c.Delay == 0 {
		c.Delay = model.Duration(15 * time.Minute)
	}
	return c
}

func (c CDNRequestsConfig) validate() error {
	if err := between("cdn_requests.interval", c.Interval, time.Minute, 30*time.Minute); err != nil {
		return err
	}
	return between("cdn_requests.delay", c.Delay, 5*time.Minute, 3*time.Hour)
}

func between(name string, d model.Duration, least, most time.Duration) error {
	if time.Duration(d) < least || time.Duration(d) > most {
		return fmt.Errorf("%s: %s: want %s to %s", name, d, model.Duration(least), model.Duration(most))
	}
	return nil
}
