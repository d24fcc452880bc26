package host

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"

	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/process"

	"watchkeeper/exporters"
)

// systemReader delivers uptime and what the system is.
type systemReader struct {
	// fixed is read once: it changes with a reboot or an upgrade at most, and
	// some distributions answer by running a program.
	fixed *host.InfoStat
}

func (r *systemReader) read(ctx context.Context, b *exporters.Builder) error {
	uptime, err := host.UptimeWithContext(ctx)
	if err != nil {
		return err
	}
	b.Add(metricUptimeSeconds, float64(uptime))
	boot, err := host.BootTimeWithContext(ctx)
	if err != nil {
		return err
	}
	b.Add(metricBootTimeSeconds, float64(boot))
	if r.fixed == nil {
		if r.fixed, err = host.InfoWithContext(ctx); err != nil {
			return err
		}
	}
	name, err := os.Hostname() // this one may change
	if err != nil {
		return err
	}
	b.Add(metricInfo, 1, "hostname", name, "os", r.fixed.OS, "platform", r.fixed.Platform,
		"platform_version", r.fixed.PlatformVersion, "kernel", r.fixed.KernelVersion, "arch", r.fixed.KernelArch)
	return nil
}

func readProcesses(ctx context.Context, b *exporters.Builder) error {
	if runtime.GOOS == "windows" { // which has neither state
		pids, err := process.PidsWithContext(ctx)
		if err != nil {
			return err
		}
		b.Add(metricProcesses, float64(len(pids)))
		return nil
	}
	m, err := load.MiscWithContext(ctx)
	if err != nil {
		return err
	}
	b.Add(metricProcesses, float64(m.ProcsTotal))
	b.Add(metricProcessesRunning, float64(m.ProcsRunning))
	b.Add(metricProcessesBlocked, float64(m.ProcsBlocked))
	return nil
}

// readUsers delivers the number of log-in sessions. Where nothing records them,
// as in most containers and on Windows, there is no sample.
func readUsers(ctx context.Context, b *exporters.Builder) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	users, err := host.UsersWithContext(ctx)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	b.Add(metricUsers, float64(len(users)))
	return nil
}

// ecsProduct is what the firmware of an Alibaba Cloud ECS instance calls itself.
const ecsProduct = "Alibaba Cloud ECS"

// ecsReader delivers the marker of hosts that are ECS instances, to which some
// rows of the contract do not apply. It reads files only: a look-up at the
// cloud's metadata address would be a request that nobody asked for.
type ecsReader struct {
	root string // "/", another folder in tests
}

func (r ecsReader) read(_ context.Context, b *exporters.Builder) error {
	product, err := firstLine(filepath.Join(r.root, "sys/class/dmi/id/product_name"))
	if os.IsNotExist(err) {
		return nil // no such firmware, hence not ECS
	}
	if err != nil {
		return err
	}
	if product != ecsProduct {
		return nil
	}
	id, region := r.cloudInit()
	b.Add(metricECSInfo, 1, "instance_id", id, "region_id", region)
	return nil
}

// cloudInit returns what cloud-init learned at boot; "" where it did not run.
func (r ecsReader) cloudInit() (id, region string) {
	data, err := os.ReadFile(filepath.Join(r.root, "run/cloud-init/instance-data.json"))
	if err != nil {
		return "", ""
	}
	var v struct {
		V1 struct {
			InstanceID string `json:"instance_id"`
			Region     string `json:"region"`
		} `json:"v1"`
	}
	if json.Unmarshal(data, &v) != nil {
		return "", ""
	}
	return v.V1.InstanceID, v.V1.Region
}
