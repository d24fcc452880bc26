package aliyun

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// Metrics of the inventory; package ruleset/contract declares the same names.
const (
	ecsInfo          = "aliyun_ecs_info"
	ecsRunning       = "aliyun_ecs_running"
	ecsExpirySeconds = "aliyun_ecs_expiry_timestamp_seconds"
)

const (
	inventoryProduct = "ecs"
	// reasonReplaced ends an info series whose labels have changed.
	reasonReplaced = "replaced"
	// maxTags of an instance become labels, the first by name.
	maxTags = 10
	// maxInfoLabel bounds a describing label's value, in bytes.
	maxInfoLabel = 128
	// maxInventoryPages of a list; a region holds fewer instances.
	maxInventoryPages = 1000
	// presenceLifetime is how long an instance that is gone is remembered.
	presenceLifetime = 48 * time.Hour
)

// infoLabels are taken; a tag cannot become one of them.
var infoLabels = []string{
	model.MetricNameLabel, "customer", "product", "region", "instance",
	"name", "zone", "instance_type", "os", "private_ip", "public_ip", "vpc",
}

// inventoryCollector lists the ECS instances of one account in one region.
type inventoryCollector struct {
	source    sample.Source
	customer  string
	region    string
	tagLabels map[string]string
	client    Client
	presence  *presence
	log       *slog.Logger

	info map[string]described // by instance, as last delivered
}

// described is an instance's series as last delivered.
type described struct {
	info   labels.Labels
	others []labels.Labels // running, expiry
	at     int64
}

var _ exporters.Collector = (*inventoryCollector)(nil)

func (c *inventoryCollector) Source() sample.Source { return c.source }

// Collect lists all instances and re-appends their describing series at at. A
// list that breaks off delivers nothing: half a list would read as deletions.
func (c *inventoryCollector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	instances, err := c.list(ctx)
	if err != nil {
		return err
	}
	batch := sample.Batch{
		Source:    c.source,
		Ups:       []sample.Up{{T: at.UnixMilli(), OK: true}},
		Watermark: sample.Current,
	}
	next := maps.Clone(c.info)
	ids := make(map[string]bool, len(instances))
	for _, in := range instances {
		if in.ID == "" || ids[in.ID] {
			continue // a list that shifts while it is paged shows an instance twice
		}
		ids[in.ID] = true
		d := c.describe(in, at, &batch)
		if old, ok := c.info[in.ID]; ok && !labels.Equal(old.info, d.info) {
			batch.Ends = append(batch.Ends, sample.End{Labels: old.info, T: old.at, Reason: reasonReplaced})
		}
		next[in.ID] = d
	}
	c.presence.list(at, slices.Collect(maps.Keys(ids)))
	c.endGone(at, next, &batch)
	if err := sink.Append(ctx, batch); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	c.info = next
	c.presence.forget(at.Add(-presenceLifetime))
	return nil
}

func (c *inventoryCollector) list(ctx context.Context) ([]Instance, error) {
	var all []Instance
	q := InstanceQuery{Region: c.region, Length: MaxInstances}
	for n := 1; ; n++ {
		page, err := c.client.Instances(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Instances...)
		if page.NextToken == "" {
			return all, nil
		}
		if page.NextToken == q.NextToken || n >= maxInventoryPages {
			return nil, &Error{Kind: ErrAnswer, Status: 200, Message: fmt.Sprintf("list of instances does not end (page %d)", n)}
		}
		q.NextToken = page.NextToken
	}
}

// describe appends the series of one instance to batch.
func (c *inventoryCollector) describe(in Instance, at time.Time, batch *sample.Batch) described {
	t := at.UnixMilli()
	identity := func(name string) *labels.Builder {
		return labels.NewBuilder(baseLabels(name, c.customer, inventoryProduct, c.region)).Set("instance", in.ID)
	}
	d := described{at: t, info: c.infoOf(in, identity(ecsInfo))}
	batch.Samples = append(batch.Samples, sample.Sample{Labels: d.info, T: t, V: 1})
	add := func(name string, v float64) {
		ls := identity(name).Labels()
		d.others = append(d.others, ls)
		batch.Samples = append(batch.Samples, sample.Sample{Labels: ls, T: t, V: v})
	}
	running := 0.0
	if in.Status == "Running" {
		running = 1
	}
	add(ecsRunning, running)
	if in.Prepaid && !in.Expires.IsZero() {
		add(ecsExpirySeconds, float64(in.Expires.Unix()))
	}
	return d
}

func (c *inventoryCollector) infoOf(in Instance, b *labels.Builder) labels.Labels {
	for label, value := range map[string]string{
		"name": in.Name, "zone": in.Zone, "instance_type": in.Type, "os": in.OS,
		"private_ip": in.PrivateIP, "public_ip": in.PublicIP, "vpc": in.VPC,
	} {
		b.Set(label, shorten(value))
	}
	taken := 0
	for _, tag := range slices.Sorted(maps.Keys(in.Tags)) {
		label := c.tagLabel(tag)
		if label == "" || taken >= maxTags {
			continue
		}
		b.Set(label, shorten(in.Tags[tag]))
		taken++
	}
	return b.Labels()
}

var asciiTag = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:/-]*$`)

var notLabel = regexp.MustCompile(`[^a-z0-9_]+`)

// tagLabel returns the label of a tag, "" when it becomes none: the system's
// own tags and those with keys that no label name can show.
func (c *inventoryCollector) tagLabel(tag string) string {
	if label, ok := c.tagLabels[tag]; ok {
		return label
	}
	if !asciiTag.MatchString(tag) || len(tag) > maxInfoLabel || strings.HasPrefix(tag, "acs:") {
		return ""
	}
	return "tag_" + notLabel.ReplaceAllString(strings.ToLower(tag), "_")
}

// endGone ends the series of instances that are gone for good.
func (c *inventoryCollector) endGone(at time.Time, next map[string]described, batch *sample.Batch) {
	for id, d := range next {
		if !c.presence.gone(id, at) {
			continue
		}
		for _, ls := range append([]labels.Labels{d.info}, d.others...) {
			batch.Ends = append(batch.Ends, sample.End{Labels: ls, T: d.at, Reason: reasonDeleted})
		}
		delete(next, id)
		c.log.Info("instance is gone", "instance", id, "last_listed", time.UnixMilli(d.at).UTC())
	}
}

// shorten bounds a label's value without cutting a character.
func shorten(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > maxInfoLabel {
		text = strings.ToValidUTF8(text[:maxInfoLabel], "")
	}
	return text
}
