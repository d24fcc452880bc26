//go:build !linux

package watch

import (
	"context"
	"strconv"

	"github.com/shirou/gopsutil/v4/net"
)

// ports lists the TCP ports on which this host listens.
func ports(ctx context.Context) (snapshot, error) {
	all, err := net.ConnectionsWithContext(ctx, "tcp")
	if err != nil {
		return nil, err
	}
	s := make(snapshot)
	for _, c := range all {
		if c.Status == "LISTEN" {
			s[join("tcp", c.Laddr.IP, strconv.FormatUint(uint64(c.Laddr.Port), 10))] = map[string]string{}
		}
	}
	return s, nil
}
