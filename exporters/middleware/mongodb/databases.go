package mongodb

import (
	"context"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"watchkeeper/exporters/middleware/server"
)

// databasesOf adds the sizes of databases. These have half of the time that is
// left, and when that is not enough, the check goes without them.
func (c *check) databasesOf(ctx context.Context) error {
	limit := c.cfg.databases()
	if limit == 0 {
		c.databases.Settle(c.out, "deleted")
		return nil
	}
	until := time.Now().Add(half(ctx))
	answer, err := c.db.run(ctx, "admin", bson.D{{Key: "listDatabases", Value: 1}, {Key: "nameOnly", Value: true}, {Key: "maxTimeMS", Value: limitOf(until)}})
	if err != nil {
		return err
	}
	names := databaseNames(answer)
	c.out.Add(metricDatabases, float64(len(names)))
	var hidden error
	filesystem := false // the same in every answer
	for _, name := range names[:min(limit, len(names))] {
		stats, err := c.db.run(ctx, name, bson.D{{Key: "dbStats", Value: 1}, {Key: "maxTimeMS", Value: limitOf(until)}})
		if hasCode(err, codeUnauthorized) {
			hidden = err
			continue
		}
		if err != nil {
			return err
		}
		c.databases.Add(c.out, name, func() { c.figures(stats, databaseFigures, "database", name) })
		if !filesystem {
			filesystem = true
			c.figures(stats, []figure{{path: "fsUsedSize", metric: metricFilesystemUsed}, {path: "fsTotalSize", metric: metricFilesystemSize}})
		}
	}
	if hidden != nil {
		return hidden
	}
	c.databases.Settle(c.out, "deleted")
	if len(names) > limit {
		c.out.Miss("databases", server.Failed(server.ReasonTooLarge, "%d databases; the first %d have figures of their own", len(names), limit))
	}
	return nil
}

func half(ctx context.Context) time.Duration {
	left := 10 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline)
	}
	return left / 2
}

func limitOf(until time.Time) int64 { return max(1, time.Until(until).Milliseconds()) }

func databaseNames(answer bson.Raw) []string {
	array, ok := answer.Lookup("databases").ArrayOK()
	if !ok {
		return nil
	}
	values, err := array.Values()
	if err != nil {
		return nil
	}
	var names []string
	for _, v := range values {
		if doc, ok := v.DocumentOK(); ok {
			if name := text(doc, "name"); name != "" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
