package sqlserver

import (
	"context"
	"slices"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

// oldest is SQL Server 2016.
const oldest = 13

// check is one reading of one server.
type check struct {
	*reader
	db   rows
	out  *server.Reading
	hadr bool // availability groups are switched on
}

func (r *reader) read(ctx context.Context, db rows, out *server.Reading) error {
	c := &check{reader: r, db: db, out: out}
	if err := c.server(ctx); err != nil {
		return err
	}
	parts := []struct {
		name string
		read func(context.Context) error
		// comeAndGo are the things of which nothing is known when the part is not read.
		comeAndGo []*server.Presence
	}{
		{"cpu", c.cpu, nil},
		{"sessions", c.sessions, nil},
		{"requests", c.requests, nil},
		{"databases", c.databasesOf, []*server.Presence{&r.databases}},
		{"files", c.filesOf, []*server.Presence{&r.files}},
		{"volumes", c.volumesOf, []*server.Presence{&r.volumes}},
		{"availability groups", c.replicasOf, []*server.Presence{&r.replicas, &r.replicaDatabases}},
		{"jobs", c.jobsOf, []*server.Presence{&r.jobs}},
		{"backups", c.backupsOf, []*server.Presence{&r.backups}}, // the last: a long history takes long
	}
	for _, p := range parts {
		err := p.read(ctx)
		if err == nil {
			continue
		}
		refusal := refused(err)
		if refusal == nil || ctx.Err() != nil || fatal(err) {
			return err
		}
		out.Miss(p.name, refusal)
		for _, presence := range p.comeAndGo {
			presence.Carry()
		}
	}
	return nil
}

// server adds what every check needs: a login without VIEW SERVER STATE fails here.
func (c *check) server(ctx context.Context) error {
	if _, err := c.db.query(ctx, querySession); err != nil {
		return err
	}
	one, err := c.one(ctx, queryServer)
	if err != nil {
		return err
	}
	major, ok := one.number("major")
	if !ok || one["version"] == "" {
		return server.Failed(server.ReasonFormat, "no version")
	}
	if major < oldest {
		return server.Failed(server.ReasonStatus, "SQL Server %s: 2016 or later is needed", one["version"])
	}
	c.hadr = one["hadr"] == "1"
	c.out.Add(metricInfo, 1, "version", one["version"], "edition", one["edition"])
	host, err := c.one(ctx, queryHost)
	if err != nil {
		return err
	}
	c.columns(host, hostColumns)
	return c.countersOf(ctx)
}

// place is where a counter stands.
type place struct{ object, name, instance string }

// countersOf adds the performance counters. SQL Server's own name stands before
// the object: SQLServer:Locks, MSSQL$SALES:Locks.
func (c *check) countersOf(ctx context.Context) error {
	all, err := c.db.query(ctx, queryCounters(c.cfg.databases()))
	if err != nil {
		return err
	}
	values := make(map[place]float64)
	var databases []string
	for _, r := range all {
		v, ok := r.number("value")
		_, object, cut := strings.Cut(r["object"], ":")
		if !ok || !cut {
			continue
		}
		at := place{object, r["counter"], r["instance"]}
		values[at] = v
		if object == databaseObject && at.instance != total && at.name == databaseCounters[0].name {
			databases = append(databases, at.instance)
		}
	}
	if len(values) == 0 {
		return server.Failed(server.ReasonStatus, "the server has no performance counters")
	}
	for _, k := range counters {
		c.counter(values, k, k.object, k.instance, k.dims...)
	}
	for _, name := range databases {
		c.counters.Add(c.out, name, func() {
			for _, k := range databaseCounters {
				c.counter(values, k, databaseObject, name, "database", name)
			}
		})
	}
	c.counters.Settle(c.out, "deleted")
	return nil
}

func (c *check) counter(values map[place]float64, k counter, object, instance string, dims ...string) {
	v, ok := values[place{object, k.name, instance}]
	if !ok {
		return
	}
	if k.base != "" {
		base, ok := values[place{object, k.base, instance}]
		if !ok || base <= 0 {
			return // nothing happened yet
		}
		v = 100 * v / base
	}
	if k.factor != 0 {
		v *= k.factor
	}
	c.out.Add(k.metric, v, dims...)
}

func (c *check) cpu(ctx context.Context) error {
	all, err := c.db.query(ctx, queryCPU)
	if err != nil || len(all) == 0 { // in its first minute a server has noted nothing
		return err
	}
	c.columns(all[0], cpuColumns)
	return nil
}

func (c *check) sessions(ctx context.Context) error {
	all, err := c.db.query(ctx, querySessions)
	if err != nil {
		return err
	}
	counts := make(map[string]float64)
	for _, s := range all {
		state := strings.ToLower(s["state"])
		if !slices.Contains(states, state) {
			state = stateOther
		}
		n, _ := s.number("sessions")
		counts[state] += n
	}
	for _, state := range append([]string{stateOther}, states...) {
		c.out.Add(metricSessions, counts[state], "state", state)
	}
	return nil
}

func (c *check) requests(ctx context.Context) error {
	one, err := c.one(ctx, queryRequests(c.cfg.longAfter()))
	if err != nil {
		return err
	}
	c.columns(one, requestColumns)
	if one, err = c.one(ctx, queryIdle(c.cfg.longAfter())); err != nil {
		return err
	}
	c.columns(one, idleColumns)
	return nil
}

func (c *check) databasesOf(ctx context.Context) error {
	all, err := c.one(ctx, queryAllDatabases)
	if err != nil {
		return err
	}
	c.columns(all, []column{{"databases", metricDatabases, 0}, {"not_online", metricDatabasesOffline, 0}})
	limit := c.cfg.databases()
	if err := c.things(ctx, limit, queryDatabases(limit), &c.reader.databases, "deleted", databaseColumns, "database", "name"); err != nil {
		return err
	}
	if n, _ := all.number("databases"); limit > 0 && n > float64(limit) {
		c.out.Miss("databases", server.Failed(server.ReasonTooLarge, "%g databases; the first %d have figures of their own", n, limit))
	}
	return nil
}

func (c *check) filesOf(ctx context.Context) error {
	limit := c.cfg.databases()
	return c.things(ctx, limit, queryFiles(limit), &c.files, "deleted", fileColumns, "database", "name")
}

func (c *check) volumesOf(ctx context.Context) error {
	return c.things(ctx, maxVolumes, queryVolumes, &c.volumes, "removed", volumeColumns, "volume", "volume")
}

func (c *check) backupsOf(ctx context.Context) error {
	limit := c.cfg.databases()
	return c.things(ctx, limit, queryBackups(limit), &c.backups, "deleted", backupColumns, "database", "name")
}

func (c *check) jobsOf(ctx context.Context) error {
	limit := c.cfg.jobs()
	return c.things(ctx, limit, queryJobs(limit), &c.jobs, "deleted", jobColumns, "agent_job", "job")
}

func (c *check) replicasOf(ctx context.Context) error {
	limit := 0
	if c.hadr {
		limit = maxReplicas
	}
	err := c.things(ctx, limit, queryReplicas, &c.replicas, "removed", replicaColumns, "ag", "ag", "replica", "replica")
	if err != nil {
		return err
	}
	return c.things(ctx, limit, queryReplicaDatabases, &c.replicaDatabases, "removed", replicaDatabaseColumns, "ag", "ag", "replica", "replica", "database", "name")
}

// things adds the figures of things that come and go: each row is one, known by
// the labels, which are pairs of a label's name and its column. A limit of 0
// means that none are asked for.
func (c *check) things(ctx context.Context, limit int, q string, presence *server.Presence, reason string, columns []column, labels ...string) error {
	if limit > 0 {
		all, err := c.db.query(ctx, q)
		if err != nil {
			return err
		}
		for _, one := range all {
			var dims []string
			key := ""
			for i := 0; i+1 < len(labels); i += 2 {
				dims = append(dims, labels[i], one[labels[i+1]])
				key += one[labels[i+1]] + "\x00"
			}
			presence.Add(c.out, key, func() { c.columns(one, columns, dims...) })
		}
	}
	presence.Settle(c.out, reason)
	return nil
}

// one is the answer to a query that has one row.
func (c *check) one(ctx context.Context, q string) (row, error) {
	all, err := c.db.query(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, server.Failed(server.ReasonFormat, "%d rows for %s", len(all), server.Excerpt(q, 60))
	}
	return all[0], nil
}

// columns adds the columns that have a value. Ages by a clock that was put back
// would be less than nothing.
func (c *check) columns(one row, columns []column, dims ...string) {
	for _, col := range columns {
		if v, ok := one.number(col.name); ok {
			if col.factor != 0 {
				v *= col.factor
			}
			c.out.Add(col.metric, max(0, v), dims...)
		}
	}
}
