package incident

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Group names an alert group: incidents that one route sends to one receiver
// in common messages.
type Group struct {
	RouteID  string        // the route's unique id
	GroupKey string        // as receivers see it
	Receiver string        // the receiver's name
	Labels   labels.Labels // the labels that the incidents of the group share
}

// What was last told about an incident through a group.
const (
	ToldNothing  = ""
	ToldFiring   = "firing"
	ToldResolved = "resolved"
)

// Member is an incident of a group.
type Member struct {
	Incident Incident
	Told     string // what was last told: ToldNothing, ToldFiring or ToldResolved
	MutedBy  string // what muted it when the group was last looked at; empty if nothing
	Changed  bool   // a change of it waits in the outbox
}

// GroupState is a group as it stands: its members that are open or have a
// change to be told, oldest first.
type GroupState struct {
	Group
	ID        int64
	LastFlush time.Time // when a message was last formed; zero: never
	RepeatAt  time.Time // when a reminder is due; zero: never
	Oldest    time.Time // when the oldest waiting change was queued; zero: none waits
	Members   []Member

	version   int64
	maxOutbox int64
}

// enqueue writes who must be told of a change, and not before when.
func (a *applier) enqueue(inc *Incident, typ EntryType) error {
	switch typ {
	case EntryUpdated, EntryBackToFiring:
		return nil // the receivers know that it is firing
	case EntryNoData:
		if inc.Source != "" {
			return nil // told once per source, by tellSilentSources
		}
	}
	told := map[int64]bool{}
	for _, target := range a.plan(inc) {
		id, err := a.join(inc, target.Group, typ == EntryNoData || typ == EntrySeverity)
		if err != nil {
			return err
		}
		told[id] = true
		if err := a.queue(inc, id, typ, target); err != nil {
			return err
		}
	}
	if inc.Open() {
		return nil
	}
	return a.closeElsewhere(inc, typ, told)
}

// closeElsewhere tells the groups that heard of the opening and that the
// routes of today would not tell any more.
func (a *applier) closeElsewhere(inc *Incident, typ EntryType, done map[int64]bool) error {
	ids, err := a.groupsOf(inc.ID)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if done[id] {
			continue
		}
		if err := a.queue(inc, id, typ, Target{}); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) groupsOf(incidentID int64) ([]int64, error) {
	rows, err := a.tx.QueryContext(a.ctx, `SELECT group_id FROM group_members WHERE incident_id = ? ORDER BY group_id`, incidentID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// join makes the incident a member of the group, which it creates if needed.
// An open incident whose close was told is news again; so is one that retell
// is set for.
func (a *applier) join(inc *Incident, g Group, retell bool) (int64, error) {
	id, err := a.groupID(g)
	if err != nil {
		return 0, err
	}
	_, err = a.tx.ExecContext(a.ctx, `INSERT INTO group_members (group_id, incident_id, told) VALUES (?, ?, '')
		ON CONFLICT (group_id, incident_id) DO NOTHING`, id, inc.ID)
	if err != nil || !inc.Open() {
		return id, err
	}
	q := `UPDATE group_members SET told = '' WHERE group_id = ? AND incident_id = ?`
	if !retell {
		q += ` AND told = 'resolved'`
	}
	_, err = a.tx.ExecContext(a.ctx, q, id, inc.ID)
	return id, err
}

func (a *applier) groupID(g Group) (id int64, err error) {
	lset, err := labelsJSON(g.Labels)
	if err != nil {
		return 0, err
	}
	_, err = a.tx.ExecContext(a.ctx, `INSERT INTO alert_groups (route_id, group_key, receiver, labels_json) VALUES (?, ?, ?, ?)
		ON CONFLICT (route_id, group_key, receiver) DO NOTHING`, g.RouteID, g.GroupKey, g.Receiver, lset)
	if err != nil {
		return 0, err
	}
	err = a.tx.QueryRowContext(a.ctx, `SELECT id FROM alert_groups WHERE route_id = ? AND group_key = ? AND receiver = ?`,
		g.RouteID, g.GroupKey, g.Receiver).Scan(&id)
	return id, err
}

// queue writes one outbox row. The first message of a group waits GroupWait,
// later ones until GroupInterval after the one before. A group whose incidents
// were all told as resolved begins anew.
func (a *applier) queue(inc *Incident, groupID int64, typ EntryType, t Target) error {
	var lastFlush sql.NullInt64
	var alive bool
	err := a.tx.QueryRowContext(a.ctx, `SELECT g.last_flush_at, EXISTS (
			SELECT 1 FROM group_members m WHERE m.group_id = g.id AND m.told = 'firing')
		FROM alert_groups g WHERE g.id = ?`, groupID).Scan(&lastFlush, &alive)
	if err != nil {
		return err
	}
	notBefore := a.now.Add(t.GroupWait)
	if alive && lastFlush.Valid {
		notBefore = fromMillis(lastFlush).Add(t.GroupInterval)
	}
	if notBefore.Before(a.now) {
		notBefore = a.now
	}
	_, err = a.tx.ExecContext(a.ctx, `INSERT INTO outbox (group_id, incident_id, change, created_at, not_before) VALUES (?, ?, ?, ?, ?)`,
		groupID, inc.ID, typ, a.now.UnixMilli(), notBefore.UnixMilli())
	return err
}

// DueGroups returns the ids of the groups with a change or a reminder to be
// told at now, the longest due first, at most limit.
func (s *Store) DueGroups(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT id FROM (
			SELECT group_id AS id, MIN(not_before) AS due FROM outbox WHERE not_before <= ? GROUP BY group_id
			UNION ALL
			SELECT id, repeat_at AS due FROM alert_groups WHERE repeat_at <= ?
		) AS d GROUP BY id ORDER BY MIN(due), id LIMIT ?`, now.UnixMilli(), now.UnixMilli(), limit)
	if err != nil {
		return nil, fmt.Errorf("due alert groups: %w", err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("due alert groups: %w", err)
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// GroupState reads a group and its members.
func (s *Store) GroupState(ctx context.Context, id int64) (*GroupState, error) {
	// One read transaction, so that members and outbox belong together.
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("alert group %d: %w", id, err)
	}
	defer tx.Rollback()
	g, err := groupState(ctx, tx, id)
	if err != nil {
		return nil, fmt.Errorf("alert group %d: %w", id, err)
	}
	return g, nil
}

func groupState(ctx context.Context, tx *sql.Tx, id int64) (*GroupState, error) {
	g := &GroupState{ID: id}
	var lset string
	var last, repeat, oldest, maxID sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT g.route_id, g.group_key, g.receiver, g.labels_json, g.version, g.last_flush_at, g.repeat_at,
			(SELECT MIN(o.created_at) FROM outbox o WHERE o.group_id = g.id), (SELECT MAX(o.id) FROM outbox o WHERE o.group_id = g.id)
		FROM alert_groups g WHERE g.id = ?`, id).
		Scan(&g.RouteID, &g.GroupKey, &g.Receiver, &lset, &g.version, &last, &repeat, &oldest, &maxID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if err := decodeAll(column{lset, &g.Labels}); err != nil {
		return nil, err
	}
	g.LastFlush, g.RepeatAt, g.Oldest, g.maxOutbox = fromMillis(last), fromMillis(repeat), fromMillis(oldest), maxID.Int64
	g.Members, err = groupMembers(ctx, tx, id)
	return g, err
}

func groupMembers(ctx context.Context, tx *sql.Tx, id int64) ([]Member, error) {
	const changed = `EXISTS (SELECT 1 FROM outbox o WHERE o.group_id = m.group_id AND o.incident_id = m.incident_id)`
	rows, err := tx.QueryContext(ctx, `SELECT `+incidentColumns+`, m.told, m.muted_by, `+changed+`
		FROM group_members m JOIN incidents i ON i.id = m.incident_id
		WHERE m.group_id = ? AND (i.closed_at IS NULL OR `+changed+`) ORDER BY i.id`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ms []Member
	for rows.Next() {
		var m Member
		m.Incident, err = scanIncident(rows, &m.Told, &m.MutedBy, &m.Changed)
		if err != nil {
			return nil, err
		}
		ms = append(ms, m)
	}
	return ms, rows.Err()
}
