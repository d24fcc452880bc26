package custom

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
)

const (
	maxNameBytes  = 128
	maxCommands   = 500
	maxFolders    = 50
	maxTotalBytes = 64 << 20
)

// Config lists what delivers values of the customer's own making on this host:
// programs that are run, and text files that others write.
type Config struct {
	// Instance identifies the host in the series' label `instance`; the same as
	// the host's. Default: the host name.
	Instance string `yaml:"instance"`
	// Commands are programs that are run at every check. Default: none.
	Commands []Command `yaml:"commands"`
	// TextFiles are folders of files in Prometheus's text format.
	TextFiles TextFilesConfig `yaml:"text_files"`
}

// Command declares one program whose output is delivered.
type Command struct {
	// Name of the command; the label `command` of its series. Required, unique.
	Name string `yaml:"name"`
	// Argv is the program and its arguments, without a shell. Either this or shell.
	Argv []string `yaml:"argv"`
	// Shell is a script for /bin/sh instead.
	Shell string `yaml:"shell"`
	// Format of the output: value (one number), lines (NAME VALUE), prometheus
	// (text format) or zabbix (HOST KEY VALUE, as zabbix_sender reads it). Default value.
	Format string `yaml:"format"`
	// Interval between two runs. Default 1m.
	Interval model.Duration `yaml:"interval"`
	// Timeout after which the program and all it started are ended; at most three
	// quarters of the interval. Default 10s.
	Timeout model.Duration `yaml:"timeout"`
	// User to run as; needs root. Default: the user of this process.
	User string `yaml:"user"`
	// Dir is the working folder. Default /.
	Dir string `yaml:"dir"`
	// PassEnv names environment variables of this process that the program sees;
	// PATH, LANG and TZ are passed always, others never. Default: none.
	PassEnv []string `yaml:"pass_env"`
	// MaxOutputBytes bounds the output. Default 1048576.
	MaxOutputBytes int `yaml:"max_output_bytes"`
	// MaxMemoryBytes bounds the address space of each of its processes (Linux);
	// 0: no bound. Java and Go programs reserve more than they use. Default 2147483648.
	MaxMemoryBytes int64 `yaml:"max_memory_bytes"`
	// MaxSeries bounds the values of one run. Default 1000.
	MaxSeries int `yaml:"max_series"`
}

// TextFilesConfig declares folders whose *.prom files are delivered.
type TextFilesConfig struct {
	// Folders are read at every check. Default: none.
	Folders []string `yaml:"folders"`
	// Interval between two checks. Default 1m.
	Interval model.Duration `yaml:"interval"`
	// MaxFileBytes bounds one file. Default 4194304.
	MaxFileBytes int64 `yaml:"max_file_bytes"`
	// MaxSeries bounds the series of all files. Default 10000.
	MaxSeries int `yaml:"max_series"`
}

// Formats of a program's output.
const (
	formatValue      = "value"
	formatLines      = "lines"
	formatPrometheus = "prometheus"
	formatZabbix     = "zabbix"
)

// DefaultConfig returns a configuration without commands and folders.
func DefaultConfig() Config {
	return Config{TextFiles: TextFilesConfig{Interval: model.Duration(time.Minute), MaxFileBytes: 4 << 20, MaxSeries: 10_000}}
}

// SetDefaults fills in what the file leaves out.
func (c *Command) SetDefaults() {
	c.Format = formatValue
	c.Interval, c.Timeout = model.Duration(time.Minute), model.Duration(10*time.Second)
	c.MaxOutputBytes, c.MaxMemoryBytes, c.MaxSeries = 1<<20, 2<<30, 1000
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if len(c.Commands) > maxCommands {
		return fmt.Errorf("commands: more than %d", maxCommands)
	}
	names := make(map[string]int)
	for i, x := range c.Commands {
		if err := x.validate(); err != nil {
			return fmt.Errorf("commands[%d].%w", i, err)
		}
		if j, ok := names[x.Name]; ok {
			return fmt.Errorf("commands[%d].name: %q is commands[%d] already", i, x.Name, j)
		}
		names[x.Name] = i
	}
	if err := c.TextFiles.validate(); err != nil {
		return fmt.Errorf("text_files.%w", err)
	}
	return nil
}

func (c Command) validate() error {
	if c.Name == "" || len(c.Name) > maxNameBytes || !utf8.ValidString(c.Name) {
		return fmt.Errorf("name: must be UTF-8 of 1 to %d bytes", maxNameBytes)
	}
	if (len(c.Argv) == 0) == (c.Shell == "") {
		return errors.New("argv: give either argv or shell")
	}
	if len(c.Argv) > 0 && !filepath.IsAbs(c.Argv[0]) {
		return fmt.Errorf("argv[0]: %q: want the program's full path", c.Argv[0])
	}
	switch c.Format {
	case formatValue, formatLines, formatPrometheus, formatZabbix:
	default:
		return fmt.Errorf("format: %q: want value, lines, prometheus or zabbix", c.Format)
	}
	interval, timeout := time.Duration(c.Interval), time.Duration(c.Timeout)
	switch {
	case interval < exporters.MinInterval:
		return fmt.Errorf("interval: %s is shorter than %s", c.Interval, exporters.MinInterval)
	case timeout <= 0 || timeout > interval/4*3:
		return fmt.Errorf("timeout: %s: want more than 0 and at most three quarters of the interval", c.Timeout)
	case c.MaxOutputBytes < 1 || c.MaxOutputBytes > maxTotalBytes:
		return fmt.Errorf("max_output_bytes: want 1 to %d", maxTotalBytes)
	case c.MaxMemoryBytes < 0:
		return errors.New("max_memory_bytes: is negative")
	case c.MaxSeries < 1:
		return errors.New("max_series: must be at least 1")
	}
	return nil
}

func (f TextFilesConfig) validate() error {
	switch {
	case len(f.Folders) > maxFolders:
		return fmt.Errorf("folders: more than %d", maxFolders)
	case time.Duration(f.Interval) < exporters.MinInterval:
		return fmt.Errorf("interval: %s is shorter than %s", f.Interval, exporters.MinInterval)
	case f.MaxFileBytes < 1 || f.MaxFileBytes > maxTotalBytes:
		return fmt.Errorf("max_file_bytes: want 1 to %d", maxTotalBytes)
	case f.MaxSeries < 1:
		return errors.New("max_series: must be at least 1")
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	for i := range c.Commands {
		c.Commands[i].Dir = resolve(c.Commands[i].Dir)
	}
	for i := range c.TextFiles.Folders {
		c.TextFiles.Folders[i] = resolve(c.TextFiles.Folders[i])
	}
}

// argv is what is run.
func (c Command) argv() []string {
	if c.Shell != "" {
		return []string{"/bin/sh", "-c", c.Shell}
	}
	return c.Argv
}
