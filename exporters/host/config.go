package host

import (
	"fmt"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
)

// Config says what of the host is read. Patterns are regular expressions that
// must match the whole name.
type Config struct {
	// Interval between two checks. Default 1m, the contract's.
	Interval model.Duration `yaml:"interval"`
	// Instance identifies the host in its series' label `instance`. It must not
	// change while the host lives. Default: the host name.
	Instance string `yaml:"instance"`
	// ExcludeFilesystemTypes are the types of file systems that are not read.
	// Default: those without storage of their own (tmpfs, proc, …), those that
	// are always full (squashfs, iso9660, …). An overlay is read at / only.
	ExcludeFilesystemTypes string `yaml:"exclude_filesystem_types"`
	// ExcludeMountpoints are mount points that are not read. Default: those of
	// containers below /var/lib/docker, /var/lib/containerd and /var/lib/kubelet.
	ExcludeMountpoints string `yaml:"exclude_mountpoints"`
	// ExcludeDisks are block devices that are not read. Default: partitions,
	// loop devices, RAM disks and drives for removable media.
	ExcludeDisks string `yaml:"exclude_disks"`
	// ExcludeInterfaces are network interfaces that are not read. Default: the
	// loopback and those that software makes (bridges, veth, tun, …).
	ExcludeInterfaces string `yaml:"exclude_interfaces"`
}

// DefaultConfig returns the configuration of a host that names nothing.
func DefaultConfig() Config {
	return Config{
		Interval: model.Duration(time.Minute),
		ExcludeFilesystemTypes: `autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devfs|devpts|devtmpfs|efivarfs|fuse\.lxcfs|fuse\.gvfsd-fuse|fusectl|` +
			`hugetlbfs|mqueue|nsfs|nullfs|proc|pstore|ramfs|rpc_pipefs|securityfs|selinuxfs|sysfs|tmpfs|tracefs|` +
			`squashfs|iso9660|udf|erofs|cramfs|romfs|CDFS`,
		ExcludeMountpoints: `/var/lib/(docker|containers|containerd|kubelet)/.+|/run/(docker|containerd|k3s|user)/.+`,
		ExcludeDisks:       `(loop|z?ram|fd|sr)\d+|(sd|vd|xvd|hd)[a-z]+\d+|(nvme\d+n\d+|mmcblk\d+)p\d+`,
		ExcludeInterfaces: `lo|(veth|br-|cali|cni|docker|dummy|flannel|gre|ifb|kube-|lxc|lxd|nodelocaldns|sit|tap|tun|tunl|virbr|vmnet|vnet|vxlan|wg).*|` +
			`Loopback.*|isatap.*|Teredo.*`,
	}
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if time.Duration(c.Interval) < exporters.MinInterval {
		return fmt.Errorf("interval: %s is shorter than %s", c.Interval, exporters.MinInterval)
	}
	if len(c.Instance) > maxInstanceBytes {
		return fmt.Errorf("instance: longer than %d bytes", maxInstanceBytes)
	}
	for _, p := range []struct{ path, pattern string }{
		{"exclude_filesystem_types", c.ExcludeFilesystemTypes},
		{"exclude_mountpoints", c.ExcludeMountpoints},
		{"exclude_disks", c.ExcludeDisks},
		{"exclude_interfaces", c.ExcludeInterfaces},
	} {
		if _, err := wholeName(p.pattern); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
	}
	return nil
}

// wholeName compiles a pattern that matches whole names; an empty one matches none.
func wholeName(pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return regexp.Compile(`^\b$`)
	}
	return regexp.Compile(`^(?s:` + pattern + `)$`)
}

// mustWholeName compiles a pattern that Validate has accepted.
func mustWholeName(pattern string) *regexp.Regexp {
	re, err := wholeName(pattern)
	if err != nil {
		panic("BUG: pattern was not validated: " + err.Error())
	}
	return re
}
