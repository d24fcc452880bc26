package config

import (
	"watchkeeper/exporters/custom"
	"watchkeeper/exporters/fileage"
	"watchkeeper/exporters/heartbeat"
	"watchkeeper/exporters/logfile"
	"watchkeeper/exporters/watch"
)

// OnHost is what is read on this host besides its own figures.
type OnHost struct {
	// Watches tells changes on this host: files, accounts, host name, firewall, ports.
	Watches *Watches `yaml:"watches"`
	// Logs are log files on this host, in which lines are counted by pattern.
	Logs *Logs `yaml:"logs"`
	// Custom are programs that are run for their output, and folders of text files.
	Custom *Custom `yaml:"custom"`
	// FileAges are files of which a new one is expected, such as backups.
	FileAges *FileAges `yaml:"file_ages"`
	// Heartbeats are jobs that report to the ingest listener when they are done.
	Heartbeats *Heartbeats `yaml:"heartbeats"`
}

// Watches is the configuration of change watches with its defaults.
type Watches struct {
	watch.Config `yaml:",inline"`
}

// SetDefaults fills in what the file leaves out.
func (w *Watches) SetDefaults() { w.Config = watch.DefaultConfig() }

// Logs is the configuration of followed log files with its defaults.
type Logs struct {
	logfile.Config `yaml:",inline"`
}

// SetDefaults fills in what the file leaves out.
func (l *Logs) SetDefaults() { l.Config = logfile.DefaultConfig() }

// Custom is the configuration of programs and text files with its defaults.
type Custom struct {
	custom.Config `yaml:",inline"`
}

// SetDefaults fills in what the file leaves out.
func (c *Custom) SetDefaults() { c.Config = custom.DefaultConfig() }

// FileAges is the configuration of expected files with its defaults.
type FileAges struct {
	fileage.Config `yaml:",inline"`
}

// SetDefaults fills in what the file leaves out.
func (f *FileAges) SetDefaults() { f.Config = fileage.DefaultConfig() }

// Heartbeats is the configuration of heartbeats with its defaults.
type Heartbeats struct {
	heartbeat.Config `yaml:",inline"`
}

// SetDefaults fills in what the file leaves out.
func (h *Heartbeats) SetDefaults() { h.Config = heartbeat.DefaultConfig() }

// validateOnHost names the first value that cannot be used.
func (o *OnHost) validateOnHost() error {
	if o.Watches != nil {
		if err := o.Watches.Validate(); err != nil {
			return prefixed("watches", err)
		}
	}
	if o.Logs != nil {
		if err := o.Logs.Validate(); err != nil {
			return prefixed("logs", err)
		}
	}
	if o.Custom != nil {
		if err := o.Custom.Validate(); err != nil {
			return prefixed("custom", err)
		}
	}
	if o.FileAges != nil {
		if err := o.FileAges.Validate(); err != nil {
			return prefixed("file_ages", err)
		}
	}
	if o.Heartbeats != nil {
		return prefixed("heartbeats", o.Heartbeats.Validate())
	}
	return nil
}

// resolvePaths makes the paths relative to a folder.
func (o *OnHost) resolvePaths(resolve func(string) string) {
	if o.Watches != nil {
		o.Watches.ResolvePaths(resolve)
	}
	if o.Logs != nil {
		o.Logs.ResolvePaths(resolve)
	}
	if o.Custom != nil {
		o.Custom.ResolvePaths(resolve)
	}
	if o.FileAges != nil {
		o.FileAges.ResolvePaths(resolve)
	}
}
