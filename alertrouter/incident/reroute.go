package incident

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Reroute brings the open incidents under new routes. A receiver that was told
// of an incident and still is to be told is not told again; one that is new is
// told as of an opening; one that is no longer to be told but was, still gets
// the close. Changes that wait move along.
func (s *Store) Reroute(ctx context.Context, now time.Time, plan Planner) error {
	if _, err := s.eachOpen(ctx, now, plan, (*applier).reroute); err != nil {
		return fmt.Errorf("incident store: reroute: %w", err)
	}
	return nil
}

// eachOpen calls fn for the open incidents, all in one transaction, and returns what it
// has changed.
func (s *Store) eachOpen(ctx context.Context, now time.Time, plan Planner, fn func(*applier, *Incident) error) ([]Change, error) {
	var changes []Change
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+incidentColumns+` FROM incidents i WHERE i.closed_at IS NULL ORDER BY i.id`)
		if err != nil {
			return err
		}
		incs, err := scanIncidents(rows)
		if err != nil {
			return err
		}
		a := s.applier(ctx, tx, now, plan)
		for n := range incs {
			if err := fn(a, &incs[n]); err != nil {
				return fmt.Errorf("incident %d: %w", incs[n].ID, err)
			}
		}
		changes, err = a.done()
		return err
	})
	return changes, err
}

// membership is one group of an incident.
type membership struct {
	group    int64
	receiver string
	told     string
}

func (a *applier) reroute(inc *Incident) error {
	have, err := a.memberships(inc.ID)
	if err != nil {
		return err
	}
	wanted := map[int64]bool{}
	receivers := map[string]bool{}
	var missing []Target
	for _, t := range a.plan(inc) {
		id, err := a.groupID(t.Group)
		if err != nil {
			return err
		}
		wanted[id], receivers[t.Receiver] = true, true
		if _, ok := have[id]; !ok {
			missing = append(missing, t)
		}
	}
	for _, t := range missing {
		if err := a.adopt(inc, t, have, wanted); err != nil {
			return err
		}
	}
	for id, m := range have {
		if wanted[id] || m.told == ToldFiring && !receivers[m.receiver] {
			continue
		}
		if err := a.leave(inc.ID, id); err != nil {
			return err
		}
	}
	return nil
}

// adopt makes the incident a member of a group of the new routes, with what
// its receiver was told through a group that the incident leaves.
func (a *applier) adopt(inc *Incident, t Target, have map[int64]membership, wanted map[int64]bool) error {
	id, err := a.join(inc, t.Group, false)
	if err != nil {
		return err
	}
	for old, m := range have {
		if m.receiver != t.Receiver || m.told != ToldFiring || wanted[old] {
			continue
		}
		_, err := a.tx.ExecContext(a.ctx, `UPDATE group_members SET told = 'firing' WHERE group_id = ? AND incident_id = ?`, id, inc.ID)
		if err != nil {
			return err
		}
		_, err = a.tx.ExecContext(a.ctx, `UPDATE alert_groups SET repeat_at = COALESCE(repeat_at, ?), last_flush_at = COALESCE(last_flush_at, ?)
			WHERE id = ?`, a.now.Add(t.RepeatInterval).UnixMilli(), a.now.UnixMilli(), id)
		return err
	}
	return a.queue(inc, id, EntryOpened, t)
}

func (a *applier) leave(incidentID, groupID int64) error {
	for _, q := range []string{
		`DELETE FROM outbox WHERE group_id = ? AND incident_id = ?`,
		`DELETE FROM group_members WHERE group_id = ? AND incident_id = ?`,
	} {
		if _, err := a.tx.ExecContext(a.ctx, q, groupID, incidentID); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) memberships(incidentID int64) (map[int64]membership, error) {
	rows, err := a.tx.QueryContext(a.ctx, `SELECT m.group_id, g.receiver, m.told FROM group_members m
		JOIN alert_groups g ON g.id = m.group_id WHERE m.incident_id = ?`, incidentID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[int64]membership{}
	for rows.Next() {
		var m membership
		if err := rows.Scan(&m.group, &m.receiver, &m.told); err != nil {
			return nil, err
		}
		out[m.group] = m
	}
	return out, rows.Err()
}
