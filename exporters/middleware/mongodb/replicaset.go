package mongodb

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"watchkeeper/exporters/middleware/server"
)

// The states of members that figures depend on.
const (
	statePrimary = 1
	stateArbiter = 7
)

// maxMembers bounds the members; a set has at most 50.
const maxMembers = 50

// member is one of replSetGetStatus.
type member struct {
	name          string
	self          bool
	state, health float64
	doc           bson.Raw
}

// replicaSet adds the set as this member sees it.
func (c *check) replicaSet(ctx context.Context) error {
	if c.process == processMongos {
		c.leave()
		return nil
	}
	status, err := c.db.run(ctx, "admin", bson.D{{Key: "replSetGetStatus", Value: 1}})
	if hasCode(err, codeNoReplication) {
		c.out.Add(metricIsMember, 0)
		c.leave()
		return nil
	}
	if err != nil {
		return err
	}
	members, err := membersOf(status)
	if err != nil {
		return err
	}
	c.out.Add(metricIsMember, 1)
	c.replica.Add(c.out, "set", func() { c.set(status, members) })
	now, okNow := seconds(status, "date")
	primary := primaryOf(members)
	for _, m := range members {
		c.members.Add(c.out, m.name, func() {
			dims := []string{"member", m.name}
			c.out.Add(metricMemberState, m.state, dims...)
			c.out.Add(metricMemberHealth, m.health, dims...)
			if lag, ok := lagOf(m, primary); ok {
				c.out.Add(metricMemberLagSeconds, lag, dims...)
			}
			if ping, ok := number(m.doc, "pingMs"); ok && m.health == 1 {
				c.out.Add(metricMemberPingSeconds, ping*milliseconds, dims...)
			}
			if last, ok := seconds(m.doc, "lastHeartbeatRecv"); ok && okNow && last > 0 {
				c.out.Add(metricMemberHeartbeatAge, max(0, now-last), dims...)
			}
		})
	}
	c.members.Settle(c.out, "removed")
	c.replica.Settle(c.out, "removed")
	return nil
}

// leave ends what only members of a set have.
func (c *check) leave() {
	c.members.Settle(c.out, "removed")
	c.replica.Settle(c.out, "removed")
}

// set adds the figures of the whole set and this member's own.
func (c *check) set(status bson.Raw, members []member) {
	healthy, primaries := 0, 0
	primary := primaryOf(members)
	for _, m := range members {
		if m.health == 1 {
			healthy++
			if m.state == statePrimary {
				primaries++
			}
		}
		if lag, ok := lagOf(m, primary); ok && m.self {
			c.out.Add(metricLagSeconds, lag)
		}
	}
	c.out.Add(metricMembers, float64(len(members)))
	c.out.Add(metricMembersHealthy, float64(healthy))
	c.out.Add(metricPrimaries, float64(primaries))
	c.figures(status, []figure{{path: "myState", metric: metricState}, {path: "term", metric: metricTerm}, {path: "majorityVoteCount", metric: metricMajority}})
	if primary != nil {
		if since, ok := seconds(primary.doc, "electionDate"); ok {
			c.out.Add(metricPrimarySince, since)
		}
	}
}

func membersOf(status bson.Raw) ([]member, error) {
	list, err := status.LookupErr("members")
	if err != nil {
		return nil, server.Failed(server.ReasonFormat, "replSetGetStatus without members")
	}
	array, ok := list.ArrayOK()
	if !ok {
		return nil, server.Failed(server.ReasonFormat, "replSetGetStatus: the members are no list")
	}
	values, err := array.Values()
	if err != nil || len(values) > maxMembers {
		return nil, server.Failed(server.ReasonFormat, "replSetGetStatus: %d members, error %v", len(values), err)
	}
	var all []member
	for _, v := range values {
		doc, ok := v.DocumentOK()
		m := member{name: text(doc, "name"), doc: doc}
		state, okState := number(doc, "state")
		m.state = state
		m.health, _ = number(doc, "health")
		self, _ := number(doc, "self")
		m.self = self == 1
		if !ok || m.name == "" || !okState {
			return nil, server.Failed(server.ReasonFormat, "replSetGetStatus: a member without name or state")
		}
		all = append(all, m)
	}
	return all, nil
}

// primaryOf is the primary that was elected last: for a moment there may be two.
func primaryOf(members []member) *member {
	var primary *member
	var elected float64
	for i, m := range members {
		if m.state != statePrimary || m.health != 1 {
			continue
		}
		if at, _ := seconds(m.doc, "electionDate"); primary == nil || at > elected {
			primary, elected = &members[i], at
		}
	}
	return primary
}

// lagOf is how far a member is behind the primary. There is none of the primary
// itself, of arbiters, of members that are not reached, and without a primary.
func lagOf(m member, primary *member) (float64, bool) {
	if primary == nil || m.state == statePrimary || m.state == stateArbiter || m.health != 1 {
		return 0, false
	}
	ahead, okAhead := seconds(primary.doc, "optimeDate")
	at, ok := seconds(m.doc, "optimeDate")
	if !ok || !okAhead || at <= 0 || ahead <= 0 {
		return 0, false
	}
	return max(0, ahead-at), true
}
