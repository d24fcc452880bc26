package postgresql

import (
	"context"

	"watchkeeper/exporters/middleware/server"
)

// databasesOf adds the figures of each database and those of all together: one
// beyond the limit still tells when its transaction IDs run out.
func (c *check) databasesOf(ctx context.Context) error {
	all, err := c.one(ctx, queryAllDatabases)
	if err != nil {
		return err
	}
	limit := c.cfg.databases()
	var listed []row
	if limit > 0 {
		if listed, err = c.db.query(ctx, queryDatabases(limit)); err != nil {
			return err
		}
	}
	c.add(all, "databases", metricDatabases)
	c.add(all, "xid_age", metricXIDAgeMax)
	c.add(all, "mxid_age", metricMultiXIDAgeMax)
	for _, d := range listed {
		dims := []string{"datname", d["name"]}
		c.databases.Add(c.out, d["name"], func() {
			for _, column := range databaseColumns {
				c.add(d, column, prefixDatabase+column, dims...)
			}
			c.add(d, "xid_age", metricXIDAge, dims...)
			c.add(d, "mxid_age", metricMultiXIDAge, dims...)
		})
	}
	c.databases.Settle(c.out, "deleted")
	if n, _ := number(all["databases"]); limit > 0 && n > float64(limit) {
		c.out.Miss("databases", server.Failed(server.ReasonTooLarge, "%g databases; the first %d have figures of their own", n, limit))
	}
	return nil
}

// sizesOf adds the sizes of the databases. The server looks at each file of
// theirs, so these have half of the time that is left, and when that is not
// enough, the check goes without them.
func (c *check) sizesOf(ctx context.Context) error {
	limit := c.cfg.databases()
	if limit > 0 {
		if _, err := c.db.query(ctx, "SET statement_timeout = "+halfOf(ctx)); err != nil {
			return err
		}
		sizes, err := c.db.query(ctx, querySizes(limit))
		if err != nil {
			return err
		}
		for _, s := range sizes {
			c.sizes.Add(c.out, s["name"], func() { c.add(s, "size", metricDatabaseSizeBytes, "datname", s["name"]) })
		}
	}
	c.sizes.Settle(c.out, "deleted")
	return nil
}
