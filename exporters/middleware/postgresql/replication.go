package postgresql

import "context"

// recover adds what only a standby has; when it is promoted these series end.
func (c *check) recover(ctx context.Context) error {
	if c.replica {
		one, err := c.one(ctx, queryReplica)
		if err != nil {
			return err
		}
		if _, ok := one["streaming"]; !ok {
			one["streaming"] = "f" // no receiver
		}
		c.recovery.Add(c.out, "recovery", func() {
			c.add(one, "streaming", prefixReceiver+"streaming")
			c.add(one, "message_age", prefixReceiver+"last_message_age_seconds")
			c.add(one, "lag_seconds", metricReplicaLagSeconds)
			c.add(one, "lag_bytes", metricReplicaLagBytes)
			c.add(one, "paused", metricReplicaReplayPaused)
		})
	}
	c.recovery.Settle(c.out, "promoted")
	return nil
}

// standbysOf adds the standbys that are connected. One that is gone ends its
// series; the count and its slot, if it has one, tell that it is missing.
func (c *check) standbysOf(ctx context.Context) error {
	standbys, err := c.db.query(ctx, queryStandbys)
	if err != nil {
		return err
	}
	c.out.Add(metricStandbys, float64(len(standbys)))
	for _, s := range standbys {
		dims := []string{"application_name", s["application_name"]}
		if s["client_addr"] != "" {
			dims = append(dims, "client_addr", s["client_addr"])
		}
		c.standbys.Add(c.out, s["application_name"]+"\x00"+s["client_addr"], func() {
			for _, column := range []string{"streaming", "sync", "sent_lag_bytes", "write_lag_bytes", "flush_lag_bytes", "replay_lag_bytes", "replay_lag_seconds"} {
				c.add(s, column, prefixStandby+column, dims...)
			}
		})
	}
	c.standbys.Settle(c.out, "disconnected")
	return nil
}

// slotsOf adds the position of the log and the replication slots, which keep
// their part of it also for those who no longer come.
func (c *check) slotsOf(ctx context.Context) error {
	at, err := c.one(ctx, queryPosition)
	if err != nil {
		return err
	}
	slots, err := c.db.query(ctx, querySlots)
	if err != nil {
		return err
	}
	c.add(at, "position", metricWALPosition)
	for _, s := range slots {
		dims := []string{"slot_name", s["slot_name"], "slot_type", s["slot_type"]}
		c.slots.Add(c.out, s["slot_name"]+"\x00"+s["slot_type"], func() {
			c.add(s, "active", prefixSlot+"active", dims...)
			c.add(s, "retained_bytes", prefixSlot+"retained_bytes", dims...)
		})
	}
	c.slots.Settle(c.out, "deleted")
	return nil
}
