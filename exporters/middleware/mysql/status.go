package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

func (r *reader) read(ctx context.Context, db rows, out *server.Reading) error {
	version, err := db.query(ctx, "SELECT VERSION() AS version")
	if err != nil {
		return err
	}
	if len(version) != 1 {
		return server.Failed(server.ReasonFormat, "VERSION() gives %d rows", len(version))
	}
	out.Add(metricInfo, 1, "version", version[0]["version"])
	status, err := db.query(ctx, "SHOW GLOBAL STATUS")
	if err != nil {
		return err
	}
	addVariables(status, prefixStatus, nil, out)
	settings, err := db.query(ctx, "SHOW GLOBAL VARIABLES")
	if err != nil {
		return err
	}
	addVariables(settings, prefixVariables, variables, out)
	if err := r.readReplication(ctx, db, version[0]["version"], out); err != nil {
		if ctx.Err() != nil {
			return err
		}
		out.Miss("replication", failed(err))
	}
	return nil
}

// addVariables adds those of wanted that are figures or switches; nil wants all.
func addVariables(all []row, prefix string, wanted []string, out *server.Reading) {
	for _, one := range all {
		name := strings.ToLower(one["Variable_name"])
		if wanted != nil && !slices.Contains(wanted, name) {
			continue
		}
		if v, ok := number(one["Value"]); ok && validName(name) {
			out.Add(prefix+name, v)
		}
	}
}

func number(value string) (float64, bool) {
	switch strings.ToUpper(value) {
	case "ON", "YES", "CONNECTED", "PRIMARY":
		return 1, true
	case "OFF", "NO", "DISCONNECTED", "NON-PRIMARY":
		return 0, true
	}
	v, err := strconv.ParseFloat(value, 64)
	return v, err == nil
}

// validName keeps odd names of plug-ins out of metric names.
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// dialect says how a server tells its replication. MariaDB kept the old words
// and has its own statement for several sources; MySQL has new words since
// 8.0.22 and dropped the old statement with 8.4.
type dialect struct{ statement, channel, io, sql, lag, delay string }

var (
	mariaDB  = dialect{"SHOW ALL SLAVES STATUS", "Connection_name", "Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master", "SQL_Delay"}
	oldMySQL = dialect{"SHOW SLAVE STATUS", "Channel_Name", "Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master", "SQL_Delay"}
	newMySQL = dialect{"SHOW REPLICA STATUS", "Channel_Name", "Replica_IO_Running", "Replica_SQL_Running", "Seconds_Behind_Source", "SQL_Delay"}
)

func dialectOf(version string) dialect {
	if strings.Contains(version, "MariaDB") {
		return mariaDB
	}
	var major, minor, patch int
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch)
	if slices.Compare([]int{major, minor, patch}, []int{8, 0, 22}) >= 0 {
		return newMySQL
	}
	return oldMySQL
}

// readReplication adds the state of every source that the server replicates
// from. A server that is no replica has none.
func (r *reader) readReplication(ctx context.Context, db rows, version string, out *server.Reading) error {
	d := dialectOf(version)
	sources, err := db.query(ctx, d.statement)
	if err != nil {
		return err
	}
	for _, s := range sources {
		r.channels.Add(out, s[d.channel], func() { d.add(s, out) })
	}
	r.channels.Settle(out, "deleted")
	return nil
}

func (d dialect) add(s row, out *server.Reading) {
	channel := []string{"channel", s[d.channel]}
	// "Connecting" and "Preparing" are not running: nothing is read meanwhile.
	io, sql := flag(s[d.io] == "Yes"), flag(s[d.sql] == "Yes")
	out.Add(metricReplicaRunning, io*sql, channel...)
	out.Add(metricReplicaIORunning, io, channel...)
	out.Add(metricReplicaSQLRunning, sql, channel...)
	add := func(metric, field string, dims ...string) {
		if v, err := strconv.ParseFloat(s[field], 64); err == nil {
			out.Add(metric, v, append(dims, channel...)...)
		}
	}
	add(metricReplicaLagSeconds, d.lag) // NULL while a thread stands still: no sample
	add(metricReplicaSQLDelaySeconds, d.delay)
	add(metricReplicaLastErrorNumber, "Last_IO_Errno", "thread", "io")
	add(metricReplicaLastErrorNumber, "Last_SQL_Errno", "thread", "sql")
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
