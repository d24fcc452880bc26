package mongodb

import (
	"context"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"watchkeeper/exporters/middleware/server"
)

const processMongos = "mongos"

// check is one reading of one server.
type check struct {
	*reader
	db      commands
	out     *server.Reading
	process string // mongod or mongos
}

func (r *reader) read(ctx context.Context, db commands, out *server.Reading) error {
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
		{"replica set", c.replicaSet, []*server.Presence{&r.members, &r.replica}},
		{"operations", c.operations, nil},
		{"databases", c.databasesOf, []*server.Presence{&r.databases}}, // the last: they may take long
	}
	for _, p := range parts {
		err := p.read(ctx)
		if err == nil {
			continue
		}
		refusal := refused(err)
		if refusal == nil || ctx.Err() != nil {
			return err
		}
		out.Miss(p.name, refusal)
		for _, presence := range p.comeAndGo {
			presence.Carry()
		}
	}
	return nil
}

// server adds serverStatus, by which the server is known.
func (c *check) server(ctx context.Context) error {
	// oplog is not among the sections that come unasked.
	status, err := c.db.run(ctx, "admin", bson.D{{Key: "serverStatus", Value: 1}, {Key: "oplog", Value: 1}})
	if err != nil {
		return err
	}
	version, process := text(status, "version"), text(status, "process")
	uptime, ok := number(status, "uptimeMillis")
	if version == "" || process == "" || !ok {
		return server.Failed(server.ReasonFormat, "serverStatus without version, process or uptime")
	}
	c.process = strings.TrimSuffix(process, ".exe")
	dims := []string{"version", version, "process", c.process}
	if engine := text(status, "storageEngine", "name"); engine != "" {
		dims = append(dims, "engine", engine)
	}
	c.out.Add(metricInfo, 1, dims...)
	c.out.Add(metricUptimeSeconds, uptime*milliseconds)
	c.figures(status, statusFigures)
	c.locks(status)
	c.oplog(status)
	return nil
}

func (c *check) figures(answer bson.Raw, figures []figure, dims ...string) {
	for _, f := range figures {
		if v, ok := number(answer, strings.Split(f.path, "/")...); ok {
			if f.factor != 0 {
				v *= f.factor
			}
			c.out.Add(f.metric, v, append(dims[:len(dims):len(dims)], f.dims...)...)
		}
	}
}

// locks adds the waits for locks, of all modes together. The server leaves out
// what has not been waited for yet.
func (c *check) locks(status bson.Raw) {
	for _, resource := range lockResources {
		if _, err := status.LookupErr("locks", resource); err != nil {
			continue
		}
		for _, f := range lockFigures {
			var sum float64
			for _, mode := range lockModes {
				v, _ := number(status, "locks", resource, f.path, mode)
				sum += v
			}
			c.out.Add(f.metric, sum*f.factor, "resource", resource)
		}
	}
}

// oplog adds how far back the log of operations goes: a member that is away for
// longer must be copied anew.
func (c *check) oplog(status bson.Raw) {
	first, okFirst := seconds(status, "oplog", "earliestOptime")
	last, okLast := seconds(status, "oplog", "latestOptime")
	if okFirst && okLast && first > 0 && last >= first {
		c.out.Add(metricOplogWindowSeconds, last-first)
	}
}

// operations counts what runs, by clients and not for replication.
func (c *check) operations(ctx context.Context) error {
	list := bson.D{{Key: "allUsers", Value: true}, {Key: "idleConnections", Value: false}}
	if c.process == processMongos {
		list = append(list, bson.E{Key: "localOps", Value: true})
	}
	long := c.cfg.longAfter().Seconds()
	answer, err := c.db.run(ctx, "admin", bson.D{
		{Key: "aggregate", Value: 1},
		{Key: "pipeline", Value: bson.A{
			bson.D{{Key: "$currentOp", Value: list}},
			bson.D{{Key: "$match", Value: bson.D{
				{Key: "active", Value: true},
				{Key: "op", Value: bson.D{{Key: "$in", Value: bson.A{"query", "getmore", "insert", "update", "remove", "command"}}}},
				{Key: "ns", Value: bson.D{{Key: "$ne", Value: "local.oplog.rs"}}},
				{Key: "client", Value: bson.D{{Key: "$exists", Value: true}}},
				{Key: "command.hello", Value: bson.D{{Key: "$exists", Value: false}}},
				{Key: "command.isMaster", Value: bson.D{{Key: "$exists", Value: false}}},
				{Key: "command.ismaster", Value: bson.D{{Key: "$exists", Value: false}}},
			}}},
			bson.D{{Key: "$group", Value: bson.D{
				{Key: "_id", Value: nil},
				{Key: "oldest", Value: bson.D{{Key: "$max", Value: "$secs_running"}}},
				{Key: "long", Value: countIf(bson.D{{Key: "$gte", Value: bson.A{"$secs_running", long}}})},
				{Key: "waiting", Value: countIf(bson.D{{Key: "$eq", Value: bson.A{"$waitingForLock", true}}})},
			}}},
		}},
		{Key: "cursor", Value: bson.D{}},
	})
	if err != nil {
		return err
	}
	batch, err := answer.LookupErr("cursor", "firstBatch")
	if err != nil {
		return server.Failed(server.ReasonFormat, "aggregate: an answer without a batch")
	}
	c.batch(batch)
	return nil
}

// batch adds the one document of the answer; without an operation there is none.
func (c *check) batch(batch bson.RawValue) {
	var oldest, long, waiting float64
	if list, ok := batch.ArrayOK(); ok {
		if values, err := list.Values(); err == nil && len(values) > 0 {
			if one, ok := values[0].DocumentOK(); ok {
				oldest, _ = number(one, "oldest")
				long, _ = number(one, "long")
				waiting, _ = number(one, "waiting")
			}
		}
	}
	c.out.Add(metricOldestOperation, oldest)
	c.out.Add(metricLongOperations, long)
	c.out.Add(metricOperationsWaiting, waiting)
}

func countIf(condition bson.D) bson.D {
	return bson.D{{Key: "$sum", Value: bson.D{{Key: "$cond", Value: bson.A{condition, 1, 0}}}}}
}

func number(doc bson.Raw, path ...string) (float64, bool) {
	v, err := doc.LookupErr(path...)
	if err != nil {
		return 0, false
	}
	if b, ok := v.BooleanOK(); ok {
		if b {
			return 1, true
		}
		return 0, true
	}
	return v.AsFloat64OK()
}

// seconds reads a time: a date, a timestamp of the log, or one within an optime.
func seconds(doc bson.Raw, path ...string) (float64, bool) {
	v, err := doc.LookupErr(path...)
	if err != nil {
		return 0, false
	}
	if t, _, ok := v.TimestampOK(); ok {
		return float64(t), true
	}
	if ms, ok := v.DateTimeOK(); ok {
		return float64(ms) * milliseconds, true
	}
	if inner, ok := v.DocumentOK(); ok {
		t, _, ok := inner.Lookup("ts").TimestampOK()
		return float64(t), ok
	}
	return 0, false
}

func text(doc bson.Raw, path ...string) string {
	v, err := doc.LookupErr(path...)
	if err != nil {
		return ""
	}
	s, _ := v.StringValueOK()
	return s
}
