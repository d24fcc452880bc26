package host

import (
	"context"
	"fmt"

	"github.com/grafana/regexp"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/net"

	"watchkeeper/exporters"
)

// maxDevices bounds the disks, the interfaces and the file systems of one host,
// each, so that a host gone wild does not fill the store with series.
const maxDevices = 256

func errTooMany(n int) error {
	return fmt.Errorf("%d found, %d read", n, maxDevices)
}

// diskReader delivers the counters of whole disks, not of their partitions too.
type diskReader struct{ exclude *regexp.Regexp }

func (r diskReader) read(ctx context.Context, b *exporters.Builder) error {
	counters, err := disk.IOCountersWithContext(ctx)
	if err != nil {
		return err
	}
	n := 0
	for name, c := range counters {
		if r.exclude.MatchString(name) {
			continue
		}
		if n++; n > maxDevices {
			continue
		}
		b.Add(metricDiskReadBytesTotal, float64(c.ReadBytes), "device", name)
		b.Add(metricDiskWrittenBytesTotal, float64(c.WriteBytes), "device", name)
		b.Add(metricDiskReadsTotal, float64(c.ReadCount), "device", name)
		b.Add(metricDiskWritesTotal, float64(c.WriteCount), "device", name)
		b.Add(metricDiskReadTimeSecondsTotal, float64(c.ReadTime)/1000, "device", name)
		b.Add(metricDiskWriteTimeSecondsTotal, float64(c.WriteTime)/1000, "device", name)
		b.Add(metricDiskIOTimeSecondsTotal, float64(c.IoTime)/1000, "device", name)
	}
	if n > maxDevices {
		return errTooMany(n)
	}
	return nil
}

// interfaceReader delivers the counters of network interfaces.
type interfaceReader struct{ exclude *regexp.Regexp }

func (r interfaceReader) read(ctx context.Context, b *exporters.Builder) error {
	counters, err := net.IOCountersWithContext(ctx, true)
	if err != nil {
		return err
	}
	n := 0
	for _, c := range counters {
		if r.exclude.MatchString(c.Name) {
			continue
		}
		if n++; n > maxDevices {
			continue
		}
		b.Add(metricNetworkReceiveBytesTotal, float64(c.BytesRecv), "device", c.Name)
		b.Add(metricNetworkTransmitBytesTotal, float64(c.BytesSent), "device", c.Name)
		b.Add(metricNetworkReceivePacketsTotal, float64(c.PacketsRecv), "device", c.Name)
		b.Add(metricNetworkTransmitPacketsTotal, float64(c.PacketsSent), "device", c.Name)
		b.Add(metricNetworkReceiveErrorsTotal, float64(c.Errin), "device", c.Name)
		b.Add(metricNetworkTransmitErrorsTotal, float64(c.Errout), "device", c.Name)
		b.Add(metricNetworkReceiveDropsTotal, float64(c.Dropin), "device", c.Name)
		b.Add(metricNetworkTransmitDropsTotal, float64(c.Dropout), "device", c.Name)
	}
	if n > maxDevices {
		return errTooMany(n)
	}
	return nil
}
