package aliyun

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// What EventsConfig.Read may name.
const (
	EventsECS          = "ecs"          // scheduled maintenance and failures of ECS instances
	EventsCloudMonitor = "cloudmonitor" // system events of all products
	EventsActionTrail  = "actiontrail"  // changes: writing API calls and console steps
	EventsSecurity     = "security"     // Security Center: alarms, vulnerabilities
	EventsBackups      = "backups"      // backups of RDS instances
	EventsSnapshots    = "snapshots"    // snapshots of ECS disks
)

// EventSources lists what EventsConfig.Read may name.
func EventSources() []string {
	return []string{EventsECS, EventsCloudMonitor, EventsActionTrail, EventsSecurity, EventsBackups, EventsSnapshots}
}

// EventsConfig says which events of an account are read.
type EventsConfig struct {
	// Read lists the sources: ecs (scheduled maintenance), cloudmonitor (system
	// events of all products), actiontrail (changes), security (Security Center),
	// backups (RDS), snapshots (ECS disks). Each needs its own permission. Default none.
	Read []string `yaml:"read"`
	// Interval between two reads of events. The shipped rules look every 5 m.
	// Default 5 m, at most 5 m.
	Interval model.Duration `yaml:"interval"`
	// StateInterval between two reads of backups and snapshots;
	// the shipped rules look once an hour. Default 30 m, at most 1 h.
	StateInterval model.Duration `yaml:"state_interval"`
	// VulnerabilityTypes are asked of the Security Center: cve (Linux), sys
	// (Windows), cms (web), app, emg (emergency; not confirmed by the vendor's
	// documents). Default [cve, sys, cms, app].
	VulnerabilityTypes []string `yaml:"vulnerability_types"`
	// MaxChangeSeries bounds the distinct (service, event, user) of one region's
	// changes; what goes beyond is counted under "other". Default 200.
	MaxChangeSeries int `yaml:"max_change_series"`
}

// CostConfig says whether an account's money is read.
type CostConfig struct {
	// Read turns the collectors of balance and bill on. Default false.
	Read bool `yaml:"read"`
	// Interval between two reads; bills are a day late anyway and the shipped
	// rules look once an hour. Default 30 m, at most 1 h.
	Interval model.Duration `yaml:"interval"`
	// HistoryWeeks is how many earlier days of the same weekday a day's spending is
	// compared with. Default 4.
	HistoryWeeks int `yaml:"history_weeks"`
}

var vulnerabilityTypes = []string{"cve", "sys", "cms", "app", "emg"}

func (c EventsConfig) withDefaults() EventsConfig {
	if c.Interval == 0 {
		c.Interval = model.Duration(5 * time.Minute)
	}
	if c.StateInterval == 0 {
		c.StateInterval = model.Duration(30 * time.Minute)
	}
	if len(c.VulnerabilityTypes) == 0 {
		c.VulnerabilityTypes = vulnerabilityTypes[:4]
	}
	if c.MaxChangeSeries == 0 {
		c.MaxChangeSeries = 200
	}
	return c
}

func (c EventsConfig) validate() error {
	if err := oneOf("events.read", c.Read, EventSources()); err != nil {
		return err
	}
	if err := oneOf("events.vulnerability_types", c.VulnerabilityTypes, vulnerabilityTypes); err != nil {
		return err
	}
	if c.MaxChangeSeries < 1 || c.MaxChangeSeries > 10_000 {
		return fmt.Errorf("events.max_change_series: %d: want 1 to 10000", c.MaxChangeSeries)
	}
	if err := intervalWithin("events.interval", c.Interval, 5*time.Minute); err != nil {
		return err
	}
	return intervalWithin("events.state_interval", c.StateInterval, time.Hour)
}

func (c CostConfig) withDefaults() CostConfig {
	if c.Interval == 0 {
		c.Interval = model.Duration(30 * time.Minute)
	}
	if c.HistoryWeeks == 0 {
		c.HistoryWeeks = 4
	}
	return c
}

func (c CostConfig) validate() error {
	if c.HistoryWeeks < 1 || c.HistoryWeeks > 26 {
		return fmt.Errorf("cost.history_weeks: %d: want 1 to 26", c.HistoryWeeks)
	}
	return intervalWithin("cost.interval", c.Interval, time.Hour)
}

func intervalWithin(path string, d model.Duration, longest time.Duration) error {
	if time.Duration(d) < time.Second || time.Duration(d) > longest {
		return fmt.Errorf("%s: %s: want 1s to %s", path, d, model.Duration(longest))
	}
	return nil
}

func oneOf(path string, have, allowed []string) error {
	for i, word := range have {
		if !slices.Contains(allowed, word) {
			return fmt.Errorf("%s[%d]: %q: want one of %s", path, i, word, strings.Join(allowed, ", "))
		}
		if slices.Contains(have[:i], word) {
			return fmt.Errorf("%s[%d]: %q is there twice", path, i, word)
		}
	}
	return nil
}
