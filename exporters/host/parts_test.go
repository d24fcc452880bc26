package host

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/shirou/gopsutil/v4/disk"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// batches is a Sink that keeps what it is given.
type batches []sample.Batch

func (b *batches) Append(_ context.Context, batch sample.Batch) error {
	*b = append(*b, batch)
	return nil
}

func TestCPUPercent(t *testing.T) {
	f := func(what string, last, now map[string]float64, used, iowait float64, ok bool) {
		t.Helper()
		u, i, gotOK := cpuPercent(last, now)
		if u != used || i != iowait || gotOK != ok {
			t.Errorf("%s: %v %v %t, want %v %v %t", what, u, i, gotOK, used, iowait, ok)
		}
	}
	base := map[string]float64{"user": 100, "system": 50, "idle": 1000, "iowait": 10}
	f("first check", nil, base, 0, 0, false)
	f("nothing passed", base, base, 0, 0, false)
	f("half busy", base, map[string]float64{"user": 120, "system": 80, "idle": 1045, "iowait": 15}, 50, 5, true)
	f("iowait went back", base, map[string]float64{"user": 110, "system": 50, "idle": 1010, "iowait": 9}, 50, 0, true)
	f("all counters went back", base, map[string]float64{"user": 1, "system": 1, "idle": 1, "iowait": 1}, 0, 0, false)
}

func partition(device, mount, fstype string) disk.PartitionStat {
	return disk.PartitionStat{Device: device, Mountpoint: mount, Fstype: fstype}
}

func TestWhichFileSystems(t *testing.T) {
	f := func(what string, in []disk.PartitionStat, want ...string) {
		t.Helper()
		var got []string
		for _, m := range newFilesystemReader(DefaultConfig()).wanted(in) {
			got = append(got, m.Mountpoint)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	f("pseudo file systems", []disk.PartitionStat{
		partition("proc", "/proc", "proc"), partition("/dev/vda1", "/", "ext4"), partition("tmpfs", "/run", "tmpfs"),
		partition("cgroup2", "/sys/fs/cgroup", "cgroup2"), partition("/dev/loop0", "/snap/core/1", "squashfs"),
	}, "/")
	f("a bind mount shows the same space", []disk.PartitionStat{
		partition("/dev/vdb", "/srv/export", "xfs"), partition("/dev/vdb", "/data", "xfs"),
	}, "/data")
	f("network file systems can fill too", []disk.PartitionStat{
		partition("nas:/a", "/mnt/a", "nfs4"), partition("nas:/b", "/mnt/b", "nfs4"), partition("//nas/c", "/mnt/c", "cifs"),
	}, "/mnt/a", "/mnt/b", "/mnt/c")
	f("one program, two file systems", []disk.PartitionStat{
		partition("rclone", "/mnt/a", "fuse.rclone"), partition("rclone", "/mnt/b", "fuse.rclone"),
	}, "/mnt/a", "/mnt/b")
	f("a container's root", []disk.PartitionStat{partition("overlay", "/", "overlay")}, "/")
	f("containers seen from their host", []disk.PartitionStat{
		partition("/dev/vda1", "/", "ext4"),
		partition("overlay", "/var/lib/docker/overlay2/x/merged", "overlay"),
		partition("overlay", "/mnt/image", "overlay"),
		partition("/dev/vdc", "/var/lib/kubelet/pods/y/volumes/z", "ext4"),
	}, "/")
}

// A network mount whose server is gone: the others are read on time, the dead
// one is asked once, and comes back by itself.
func TestHangingFileSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var asked atomic.Int64
		r := newFilesystemReader(DefaultConfig())
		r.partitions = func(context.Context) ([]disk.PartitionStat, error) {
			return []disk.PartitionStat{partition("nas:/a", "/a", "nfs4"), partition("/dev/vda1", "/data", "ext4")}, nil
		}
		r.usage = func(mount string) (*disk.UsageStat, error) {
			if mount == "/a" {
				asked.Add(1)
				<-release
			}
			return &disk.UsageStat{Total: 100, Used: 60, Free: 30}, nil
		}
		read := func() (mounts []string, err error) {
			b := exporters.NewBuilder(time.Now())
			err = r.read(t.Context(), b)
			for _, s := range b.Samples() {
				if s.Labels.Get("__name__") == metricFilesystemAvailableBytes {
					mounts = append(mounts, s.Labels.Get("mountpoint"))
				}
			}
			return mounts, err
		}
		for range 3 {
			began := time.Now()
			mounts, err := read()
			if diff := cmp.Diff([]string{"/data"}, mounts); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			if err == nil || !strings.Contains(err.Error(), "/a: file system does not answer") {
				t.Errorf("error %v, want one that names /a", err)
			}
			if d := time.Since(began); d > statTimeout {
				t.Errorf("took %s", d)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times while the first question hangs, want 1", n)
		}
		close(release)
		synctest.Wait()
		mounts, err := read()
		if diff := cmp.Diff([]string{"/a", "/data"}, mounts); diff != "" || err != nil {
			t.Errorf("after it came back: %v (-want +got):\n%s", err, diff)
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times, want 2: the late answer is of an earlier time", n)
		}
	})
}

func TestFileSystemWithoutInodes(t *testing.T) {
	b := exporters.NewBuilder(time.Now())
	addFilesystem(b, partition("/dev/sda1", "/boot/efi", "vfat"), &disk.UsageStat{Total: 100, Used: 60, Free: 20})
	addFilesystem(b, partition("none", "/none", "fuse"), &disk.UsageStat{})
	var got []string
	for _, s := range b.Samples() {
		got = append(got, s.Labels.Get("__name__")+s.Labels.Get("mountpoint"))
		if s.Labels.Get("__name__") == metricFilesystemAvailablePercent && s.V != 25 {
			t.Errorf("%v %% available, want 25 as df has it", s.V)
		}
	}
	want := []string{metricFilesystemInfo + "/boot/efi", metricFilesystemSizeBytes + "/boot/efi", metricFilesystemUsedBytes + "/boot/efi",
		metricFilesystemAvailableBytes + "/boot/efi", metricFilesystemAvailablePercent + "/boot/efi"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}

func TestDefaultExclusions(t *testing.T) {
	cfg := DefaultConfig()
	f := func(pattern, name string, want bool) {
		t.Helper()
		if got := mustWholeName(pattern).MatchString(name); got != want {
			t.Errorf("%q excluded: %t, want %t", name, got, want)
		}
	}
	for _, name := range []string{"sda", "vda", "vdab", "nvme0n1", "xvda", "dm-0", "md0", "mmcblk0"} {
		f(cfg.ExcludeDisks, name, false)
	}
	for _, name := range []string{"sda1", "vda12", "nvme0n1p1", "loop3", "ram0", "zram0", "sr0", "mmcblk0p2"} {
		f(cfg.ExcludeDisks, name, true)
	}
	for _, name := range []string{"eth0", "ens5", "enp3s0f1", "bond0", "wlan0", "Ethernet", "local0"} {
		f(cfg.ExcludeInterfaces, name, false)
	}
	for _, name := range []string{"lo", "veth12ab", "docker0", "br-5f3", "cali123", "ifb0", "Loopback Pseudo-Interface 1"} {
		f(cfg.ExcludeInterfaces, name, true)
	}
	f("", "", false)
	f("", "eth0", false)
}

func TestECSMarker(t *testing.T) {
	f := func(what, product, cloudInit string, want ...string) {
		t.Helper()
		root := t.TempDir()
		write := func(path, content string) {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if product != "" {
			write("sys/class/dmi/id/product_name", product)
		}
		if cloudInit != "" {
			write("run/cloud-init/instance-data.json", cloudInit)
		}
		b := exporters.NewBuilder(time.Now(), "instance", "web-1")
		if err := (ecsReader{root: root}).read(t.Context(), b); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		var got []string
		for _, s := range b.Samples() {
			got = append(got, s.Labels.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	f("no firmware tables", "", "")
	f("another machine", "PowerEdge R640\n", "")
	f("ECS", "Alibaba Cloud ECS\n", "", `{__name__="host_ecs_info", instance="web-1"}`)
	f("ECS with cloud-init", "Alibaba Cloud ECS\n", `{"v1": {"instance_id": "i-bp1", "region": "cn-hangzhou"}}`,
		`{__name__="host_ecs_info", instance="web-1", instance_id="i-bp1", region_id="cn-hangzhou"}`)
	f("ECS with a broken file", "Alibaba Cloud ECS\n", `{"v1": 5`, `{__name__="host_ecs_info", instance="web-1"}`)
}

func TestAPartThatFails(t *testing.T) {
	set := metrics.NewSet()
	c := &Collector{source: sample.Source{Customer: "acme", Name: "host/web-1"}, log: slog.New(slog.DiscardHandler)}
	broken := func(context.Context, *exporters.Builder) error { return errors.New("no such file") }
	c.add(set, "broken", broken)
	var got batches
	if err := c.Collect(t.Context(), time.Now(), &got); err == nil || len(got) != 0 {
		t.Errorf("with no part read: %v and %d batches, want an error and none", err, len(got))
	}
	c.add(set, "good", func(_ context.Context, b *exporters.Builder) error { b.Add("x", 1); return nil })
	if err := c.Collect(t.Context(), time.Now(), &got); err != nil || len(got) != 1 || len(got[0].Samples) != 1 {
		t.Errorf("with one part read: %v and %v, want its sample", err, got)
	}
	if n := set.GetOrCreateCounter(`watchkeeper_host_read_failures_total{part="broken"}`).Get(); n != 2 {
		t.Errorf("%d failures counted, want 2", n)
	}
}

func TestConfig(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		cfg := DefaultConfig()
		change(&cfg)
		err := cfg.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("Validate: %v, want %q", err, want)
		}
	}
	f("", func(*Config) {})
	f("interval: 0s is shorter", func(c *Config) { c.Interval = 0 })
	f("exclude_disks: error parsing regexp", func(c *Config) { c.ExcludeDisks = "(" })
	f("exclude_interfaces: error parsing regexp", func(c *Config) { c.ExcludeInterfaces = "[" })
	f("instance: longer", func(c *Config) { c.Instance = strings.Repeat("x", 300) })
}
