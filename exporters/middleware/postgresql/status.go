package postgresql

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"watchkeeper/exporters/middleware/server"
)

const (
	oldest       = 100_000 // 10: pg_monitor, the names of WAL functions
	checkpointer = 170_000
)

// check is one reading of one server.
type check struct {
	*reader
	db      rows
	out     *server.Reading
	version int
	replica bool
}

func (r *reader) read(ctx context.Context, db rows, out *server.Reading) error {
	c := &check{reader: r, db: db, out: out}
	monitor, err := c.server(ctx)
	if err != nil {
		return err
	}
	parts := []struct {
		name   string
		hidden bool // from a user without pg_monitor
		read   func(context.Context) error
		// comeAndGo are the things of which nothing is known when the part is not read.
		comeAndGo []*server.Presence
	}{
		{"settings", false, c.settings, nil},
		{"sessions", true, c.sessions, nil},
		{"locks", false, c.locks, nil},
		{"archiver", false, c.archiver, nil},
		{"checkpoints", false, c.checkpoints, nil},
		{"replica", true, c.recover, []*server.Presence{&r.recovery}},
		{"standbys", true, c.standbysOf, []*server.Presence{&r.standbys}},
		{"slots", false, c.slotsOf, []*server.Presence{&r.slots}},
		{"databases", false, c.databasesOf, []*server.Presence{&r.databases}},
		{"sizes", true, c.sizesOf, []*server.Presence{&r.sizes}}, // the last: they may take long
	}
	if !monitor {
		out.Miss("rights", server.Failed(server.ReasonDenied, "the user is no member of pg_monitor: sessions, replication and sizes are hidden from it"))
	}
	for _, p := range parts {
		if !p.hidden || monitor {
			err := p.read(ctx)
			if err == nil {
				continue
			}
			refusal, ok := errors.AsType[*pgconn.PgError](err)
			if !ok || ctx.Err() != nil || refusal.Severity == "FATAL" || refusal.Severity == "PANIC" {
				return err
			}
			out.Miss(p.name, refused(refusal))
		}
		for _, presence := range p.comeAndGo {
			presence.Carry()
		}
	}
	return nil
}

// server adds what the server is, and says whether the user may see all of it.
func (c *check) server(ctx context.Context) (monitor bool, err error) {
	one, err := c.one(ctx, queryServer)
	if err != nil {
		return false, err
	}
	c.version, err = strconv.Atoi(one["version_num"])
	if err != nil {
		return false, server.Failed(server.ReasonFormat, "server_version_num: %w", err)
	}
	if c.version < oldest {
		return false, server.Failed(server.ReasonStatus, "PostgreSQL %s: 10 or later is needed", one["version"])
	}
	c.replica = one["in_recovery"] == "t"
	c.out.Add(metricInfo, 1, "version", one["version"])
	c.add(one, "start_time", metricStartTimeSeconds)
	c.add(one, "uptime", metricUptimeSeconds)
	c.add(one, "in_recovery", metricIsReplica)
	return one["monitor"] == "t", nil
}

func (c *check) settings(ctx context.Context) error {
	all, err := c.db.query(ctx, querySettings)
	if err != nil {
		return err
	}
	for _, s := range all {
		v, ok := number(s["setting"])
		if !ok || !slices.Contains(settings, s["name"]) {
			continue
		}
		name := prefixSettings + s["name"]
		if factor, size := unitBytes[s["unit"]]; size {
			name, v = name+"_bytes", v*factor
		}
		c.out.Add(name, v)
	}
	return nil
}

func (c *check) sessions(ctx context.Context) error {
	all, err := c.db.query(ctx, querySessions)
	if err != nil {
		return err
	}
	counts := make(map[string]float64)
	for _, s := range all {
		state := s["state"]
		if !slices.Contains(states, state) {
			state = stateOther
		}
		n, _ := number(s["count"])
		counts[state] += n
	}
	for _, state := range append([]string{stateOther}, states...) {
		c.out.Add(metricSessions, counts[state], "state", state)
	}
	ages, err := c.one(ctx, queryAges(c.cfg.longAfter()))
	if err != nil {
		return err
	}
	c.add(ages, "long_queries", metricLongQueries)
	c.add(ages, "long_idle", metricLongIdle)
	c.add(ages, "oldest_query", metricOldestQuerySeconds)
	c.add(ages, "oldest_idle", metricOldestIdleSeconds)
	c.add(ages, "oldest_xact", metricOldestTransaction)
	c.add(ages, "oldest_wait", metricOldestLockWait)
	return nil
}

func (c *check) locks(ctx context.Context) error {
	one, err := c.one(ctx, queryLocks)
	if err != nil {
		return err
	}
	c.add(one, "locks", metricLocks)
	c.add(one, "waiting", metricLocksWaiting)
	return nil
}

func (c *check) archiver(ctx context.Context) error {
	one, err := c.one(ctx, queryArchiver)
	if err != nil {
		return err
	}
	c.add(one, "archived_count", prefixArchiver+"archived_count")
	c.add(one, "failed_count", prefixArchiver+"failed_count")
	c.add(one, "archived_age", prefixArchiver+"last_archived_age_seconds")
	c.add(one, "failed_age", prefixArchiver+"last_failed_age_seconds")
	c.add(one, "failing", prefixArchiver+"failing")
	return nil
}

func (c *check) checkpoints(ctx context.Context) error {
	one, err := c.one(ctx, queryBgwriter)
	if err != nil {
		return err
	}
	c.addColumns(one, prefixBgwriter, bgwriterColumns)
	if c.version < checkpointer {
		return nil
	}
	if one, err = c.one(ctx, queryCheckpointer); err != nil {
		return err
	}
	c.addColumns(one, prefixBgwriter, checkpointerColumns)
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

// add adds a column that has a value. Positions and times that the server read
// one after the other may differ by less than nothing.
func (c *check) add(one row, column, metric string, dims ...string) {
	if v, ok := number(one[column]); ok {
		c.out.Add(metric, max(0, v), dims...)
	}
}

func (c *check) addColumns(one row, prefix string, columns []column) {
	for _, col := range columns {
		if v, ok := number(one[col.name]); ok {
			if col.factor != 0 {
				v *= col.factor
			}
			c.out.Add(prefix+col.metric, v)
		}
	}
}

func number(value string) (float64, bool) {
	switch strings.ToLower(value) {
	case "t", "on", "always":
		return 1, true
	case "f", "off":
		return 0, true
	}
	v, err := strconv.ParseFloat(value, 64)
	return v, err == nil
}
