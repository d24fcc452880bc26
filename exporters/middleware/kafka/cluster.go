package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/grafana/regexp"
	"github.com/twmb/franz-go/pkg/kadm"

	"watchkeeper/exporters/middleware/server"
)

const maxGroups = 1_000

type cluster struct {
	dialer     dialer
	groups     *regexp.Regexp // nil: all
	partitions int
	brokers    server.Presence
	consumers  server.Presence
}

func newCluster(cfg Config) (server.Reader, server.Secret, error) {
	d, err := newDialer(cfg)
	if err != nil {
		return nil, server.Secret{}, err
	}
	groups, err := cfg.groups()
	if err != nil {
		return nil, server.Secret{}, err
	}
	return &cluster{dialer: d, groups: groups, partitions: cfg.partitions()}, d.secret, nil
}

// Read implements server.Reader.
func (c *cluster) Read(ctx context.Context, out *server.Reading) error {
	s, err := c.dialer.connect(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	admin := kadm.NewClient(s.client)
	md, err := admin.Metadata(ctx)
	if err != nil {
		return s.failed("metadata", err)
	}
	if len(md.Brokers) == 0 {
		return server.Failed(server.ReasonFormat, "metadata: a cluster without brokers")
	}
	c.addMetadata(s, md, out)
	lags, err := c.lags(ctx, s, admin, out)
	if ctx.Err() != nil {
		return ctx.Err() // half an answer, too late
	}
	if err != nil {
		out.Miss("groups", err)
		return nil
	}
	c.addLags(lags, out)
	return nil
}

// addMetadata adds what the brokers know of one another. Every broker has its
// count of partitions without all their replicas, as its own JMX bean counts
// them: those that it leads.
func (c *cluster) addMetadata(s *session, md kadm.Metadata, out *server.Reading) {
	underReplicated := make(map[int32]int)
	partitions, offline, topics := 0, 0, 0
	for _, topic := range md.Topics {
		if topic.Err != nil {
			out.Miss("topics", s.failed("topic "+strconv.Quote(topic.Topic), topic.Err))
			continue
		}
		topics++
		partitions += len(topic.Partitions)
		for _, p := range topic.Partitions {
			switch {
			case p.Leader < 0:
				offline++
			case len(p.ISR) < len(p.Replicas):
				underReplicated[p.Leader]++
			}
		}
	}
	out.Add(metricInfo, 1, "cluster_id", md.Cluster)
	out.Add(metricBrokers, float64(len(md.Brokers)))
	out.Add(metricTopics, float64(topics))
	out.Add(metricPartitions, float64(partitions))
	out.Add(metricOfflinePartitions, float64(offline))
	for _, b := range md.Brokers {
		node := strconv.Itoa(int(b.NodeID))
		c.brokers.Add(out, node, func() {
			out.Add(metricUnderReplicatedPartitions, float64(underReplicated[b.NodeID]), "node", node)
		})
	}
	c.brokers.Settle(out, "left the cluster")
}

// groupLag is one consumer group: by topic and partition how many messages are
// between its committed offset and the end.
type groupLag struct {
	name   string
	state  string // empty where a broker before 2.6 does not tell
	topics map[string]map[int32]partitionLag
}

type partitionLag struct{ committed, lag int64 }

// lags reads the committed offsets of the groups and the ends of their
// partitions. The groups are not described: a broker describes those of the
// classic and of the newer protocol in different ways, and the lag needs neither.
func (c *cluster) lags(ctx context.Context, s *session, admin *kadm.Client, out *server.Reading) ([]groupLag, error) {
	listed, err := admin.ListGroups(ctx)
	if err != nil {
		if shards, ok := errors.AsType[*kadm.ShardErrors](err); !ok || shards.AllFailed {
			return nil, s.failed("list of groups", err)
		}
		out.Miss("groups", s.failed("list of groups", err)) // those of the brokers that answered are there
	}
	var (
		groups []groupLag
		names  []string
	)
	for _, g := range listed.Sorted() {
		if c.groups != nil && !c.groups.MatchString(g.Group) {
			continue
		}
		if len(groups) == maxGroups {
			out.Miss("groups", server.Failed(server.ReasonTooLarge, "more than %d groups; the rest is left out", maxGroups))
			break
		}
		groups = append(groups, groupLag{name: g.Group, state: g.State, topics: make(map[string]map[int32]partitionLag)})
		names = append(names, g.Group)
	}
	// Offsets first, ends second: what is written meanwhile counts as lag, never the reverse.
	committed := admin.FetchManyOffsets(ctx, names...)
	topics := committed.CommittedPartitions().Topics()
	var ends kadm.ListedOffsets
	if len(topics) > 0 {
		if ends, err = admin.ListEndOffsets(ctx, topics...); err != nil {
			out.Miss("lag", s.failed("ends of partitions", err)) // of the brokers that answered, they are there
		}
	}
	for _, g := range groups {
		g.collect(s, committed[g.name], ends, out)
	}
	return groups, nil
}

// collect fills in a group's partitions. One whose end is not known (its topic
// is being deleted, its leader elected) is left out.
func (g groupLag) collect(s *session, committed kadm.FetchOffsetsResponse, ends kadm.ListedOffsets, out *server.Reading) {
	if committed.Err != nil {
		out.Miss("lag", s.failed("offsets of group "+strconv.Quote(g.name), committed.Err))
		return
	}
	for topic, partitions := range committed.Fetched {
		for partition, offset := range partitions {
			if offset.Err != nil {
				out.Miss("lag", s.failed(fmt.Sprintf("offset of group %q, topic %q", g.name, topic), offset.Err))
				continue
			}
			end, ok := ends.Lookup(topic, partition)
			if !ok || end.Err != nil || end.Offset < 0 || offset.At < 0 {
				continue
			}
			if g.topics[topic] == nil {
				g.topics[topic] = make(map[int32]partitionLag)
			}
			g.topics[topic][partition] = partitionLag{offset.At, max(0, end.Offset-offset.At)}
		}
	}
}
