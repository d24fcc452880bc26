package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grafana/regexp"
	"github.com/shirou/gopsutil/v4/disk"

	"watchkeeper/exporters"
)

// statTimeout is how long all file systems together may take to answer. A
// network mount whose server is gone answers never.
const statTimeout = 3 * time.Second

// filesystemReader delivers space and inodes of every file system that can fill.
type filesystemReader struct {
	excludeTypes, excludeMounts *regexp.Regexp
	partitions                  func(context.Context) ([]disk.PartitionStat, error)
	usage                       func(mountpoint string) (*disk.UsageStat, error)
	// hanging holds the questions without an answer yet, by mount point. The
	// system call cannot be cancelled, so the mount point is not asked again
	// until it has returned: one thread hangs per dead mount, never one per check.
	hanging map[string]chan answer
}

type answer struct {
	usage *disk.UsageStat
	err   error
}

func newFilesystemReader(cfg Config) *filesystemReader {
	return &filesystemReader{
		excludeTypes:  mustWholeName(cfg.ExcludeFilesystemTypes),
		excludeMounts: mustWholeName(cfg.ExcludeMountpoints),
		partitions: func(ctx context.Context) ([]disk.PartitionStat, error) {
			return disk.PartitionsWithContext(ctx, true) // false would leave out network file systems
		},
		usage:   disk.Usage,
		hanging: make(map[string]chan answer),
	}
}

func (r *filesystemReader) read(ctx context.Context, b *exporters.Builder) error {
	all, err := r.partitions(ctx)
	if err != nil {
		return err
	}
	mounts := r.wanted(all)
	var errs []error
	if len(mounts) > maxDevices {
		errs = append(errs, errTooMany(len(mounts)))
		mounts = mounts[:maxDevices]
	}
	answers := make([]chan answer, len(mounts))
	for i, m := range mounts {
		answers[i] = r.ask(m.Mountpoint)
	}
	deadline, cancel := context.WithTimeout(ctx, statTimeout)
	defer cancel()
	for i, m := range mounts {
		usage, err := r.await(deadline, m.Mountpoint, answers[i])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.Mountpoint, err))
			continue
		}
		addFilesystem(b, m, usage)
	}
	return errors.Join(errs...)
}

// wanted leaves out what is excluded and all but one mount point of each
// device: bind mounts and subvolumes show the same space again. The shortest
// mount point stays.
func (r *filesystemReader) wanted(all []disk.PartitionStat) []disk.PartitionStat {
	var mounts []disk.PartitionStat
	for _, m := range all {
		if r.excludeTypes.MatchString(m.Fstype) || r.excludeMounts.MatchString(m.Mountpoint) {
			continue
		}
		if m.Fstype == "overlay" && m.Mountpoint != "/" {
			continue // shows the space of the file system below it
		}
		mounts = append(mounts, m)
	}
	slices.SortFunc(mounts, func(a, b disk.PartitionStat) int {
		return cmp.Or(cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)), cmp.Compare(a.Mountpoint, b.Mountpoint))
	})
	seen := make(map[string]bool)
	return slices.DeleteFunc(mounts, func(m disk.PartitionStat) bool {
		key := "mount " + m.Mountpoint
		if strings.HasPrefix(m.Device, "/") || strings.Contains(m.Device, ":/") {
			key = m.Device // names one file system; "rclone" names a program
		}
		again := seen[key]
		seen[key] = true
		return again
	})
}

// ask starts the question, unless the one before hangs.
func (r *filesystemReader) ask(mountpoint string) chan answer {
	if c, ok := r.hanging[mountpoint]; ok && len(c) == 0 {
		return c
	}
	// An answer to a question of an earlier check is of an earlier time: dropped.
	c := make(chan answer, 1)
	r.hanging[mountpoint] = c
	go func() {
		usage, err := r.usage(mountpoint)
		c <- answer{usage, err}
	}()
	return c
}

func (r *filesystemReader) await(ctx context.Context, mountpoint string, c chan answer) (*disk.UsageStat, error) {
	select {
	case a := <-c:
		delete(r.hanging, mountpoint)
		return a.usage, a.err
	case <-ctx.Done():
	}
	select { // the deadline may have passed in waiting for another one
	case a := <-c:
		delete(r.hanging, mountpoint)
		return a.usage, a.err
	default:
		return nil, errors.New("file system does not answer")
	}
}

func addFilesystem(b *exporters.Builder, m disk.PartitionStat, u *disk.UsageStat) {
	// df's percentage: what root keeps in reserve is neither used nor available.
	used, available := float64(u.Used), float64(u.Free)
	if used+available == 0 {
		return // nothing that could fill
	}
	mount := []string{"mountpoint", m.Mountpoint}
	b.Add(metricFilesystemInfo, 1, "mountpoint", m.Mountpoint, "device", m.Device, "fstype", m.Fstype)
	b.Add(metricFilesystemSizeBytes, float64(u.Total), mount...)
	b.Add(metricFilesystemUsedBytes, used, mount...)
	b.Add(metricFilesystemAvailableBytes, available, mount...)
	b.Add(metricFilesystemAvailablePercent, 100*available/(used+available), mount...)
	if u.InodesTotal > 0 {
		b.Add(metricFilesystemInodes, float64(u.InodesTotal), mount...)
		b.Add(metricFilesystemInodesFree, float64(u.InodesFree), mount...)
		b.Add(metricFilesystemInodesFreePercent, 100*float64(u.InodesFree)/float64(u.InodesTotal), mount...)
	}
}
