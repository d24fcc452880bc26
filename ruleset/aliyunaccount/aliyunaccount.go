// Package aliyunaccount makes the rule pack of what happens to an Alibaba Cloud
// account besides its metrics: announced and running maintenance, system events,
// findings of the Security Center, backups and snapshots that are old or failed,
// a low balance, abnormal spending. The contract names these things and gives no
// figures; thresholds come from the configuration.
package aliyunaccount

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"text/template"
	"time"

	"github.com/prometheus/common/model"

	"watchkeeper/ruleset"
)

// Name is the name of this rule pack.
const Name = "aliyun-account"

// File is the name of the pack's rule file.
const File = Name + ".yml"

// Config holds the thresholds.
type Config struct {
	// BackupAge is how old the newest good backup of an RDS instance may be.
	// Default 36 h, which suits daily backups.
	BackupAge model.Duration `yaml:"backup_age"`
	// SnapshotAge is how old the newest good snapshot of a disk with an automatic
	// policy may be. Default 36 h.
	SnapshotAge model.Duration `yaml:"snapshot_age"`
	// Balance is the amount that must be available, in the account's currency.
	// Default 1000.
	Balance float64 `yaml:"balance"`
	// SpendRatio is how many times the same weekday's usual pay-as-you-go spending a
	// day may cost. Default 1.5.
	SpendRatio float64 `yaml:"spend_ratio"`
	// SpendFloor is the day's amount below which no ratio alerts. Default 100.
	SpendFloor float64 `yaml:"spend_floor"`
}

// DefaultConfig holds the defaults.
func DefaultConfig() Config {
	return Config{
		BackupAge: model.Duration(36 * time.Hour), SnapshotAge: model.Duration(36 * time.Hour),
		Balance: 1000, SpendRatio: 1.5, SpendFloor: 100,
	}
}

// Validate names the path of the first mistake.
func (c Config) Validate() error {
	for _, f := range []struct {
		path string
		age  model.Duration
	}{{"backup_age", c.BackupAge}, {"snapshot_age", c.SnapshotAge}} {
		// Older than that the collectors do not look.
		if d := time.Duration(f.age); d < time.Hour || d > 7*24*time.Hour {
			return fmt.Errorf("%s: %s: want 1h to 7d", f.path, f.age)
		}
	}
	for _, f := range []struct {
		path  string
		value float64
	}{{"balance", c.Balance}, {"spend_ratio", c.SpendRatio}, {"spend_floor", c.SpendFloor}} {
		if math.IsNaN(f.value) || math.IsInf(f.value, 0) {
			return fmt.Errorf("%s: is not a number", f.path)
		}
	}
	if c.SpendRatio <= 1 {
		return errors.New("spend_ratio: want above 1")
	}
	return nil
}

//go:embed aliyun-account.yml
var file string

// The file's own templates, of annotations, keep their braces.
var pack = template.Must(template.New(Name).Delims("[[", "]]").Parse(file))

// Source returns the pack as a rule file.
func Source(cfg Config) ([]byte, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pack %s: %w", Name, err)
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	var b bytes.Buffer
	err := pack.Execute(&b, map[string]string{
		"BackupSeconds":   number(time.Duration(cfg.BackupAge).Seconds()),
		"SnapshotSeconds": number(time.Duration(cfg.SnapshotAge).Seconds()),
		"Balance":         number(cfg.Balance), "SpendRatio": number(cfg.SpendRatio), "SpendFloor": number(cfg.SpendFloor),
	})
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", Name, err)
	}
	return b.Bytes(), nil
}

// Groups returns the pack's rule groups.
func Groups(cfg Config) ([]ruleset.Group, error) {
	b, err := Source(cfg)
	if err != nil {
		return nil, err
	}
	return ruleset.Parse(File, b)
}

// metrics are those that the rules read.
var metrics = []string{
	"aliyun_ecs_event_scheduled", "aliyun_ecs_event_executing", "aliyun_system_events_recent",
	"aliyun_security_alarms", "aliyun_security_vulnerabilities",
	"aliyun_rds_backup_age_seconds", "aliyun_rds_backup_failures", "aliyun_ecs_snapshot_age_seconds", "aliyun_ecs_snapshot_failures",
	"aliyun_account_available_amount", "aliyun_bill_day_ratio", "aliyun_bill_day_amount",
}

// Reads tells whether the pack's rules read a metric.
func Reads(metric string) bool { return slices.Contains(metrics, metric) }

// Metrics lists the metrics that the rules read.
func Metrics() []string { return slices.Clone(metrics) }
