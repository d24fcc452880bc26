package inventory

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/internal/sample"
)

const (
	// maxTags of a resource become labels, the first by name.
	maxTags = 10
	// maxLabel bounds a describing label's value, in bytes.
	maxLabel = 128
)

// describer turns resources into series.
type describer struct {
	account, customer string
	region            string // "" of a global product
	product           *product
	tagLabels         map[string]string
	assets            map[string]aliyun.Asset
}

// described is a resource's series as last delivered.
type described struct {
	at        int64         // of the newest samples, Unix ms
	firstSeen int64         // Unix ms
	info      labels.Labels // empty: not known
	has       uint8         // the series of perResource, by bit
}

// identity begins the labels of a resource's series.
func (d *describer) identity(metric, id string) *labels.Builder {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set(model.MetricNameLabel, metric).Set("customer", d.customer).Set("product", d.product.name)
	return b.Set("region", d.region).Set("instance", id) // an empty region sets no label
}

// describe appends the series of one resource to batch.
func (d *describer) describe(r *resource, at time.Time, firstSeen int64, batch *sample.Batch) described {
	t := at.UnixMilli()
	out := described{at: t, firstSeen: firstSeen, info: d.info(r)}
	batch.Samples = append(batch.Samples, sample.Sample{Labels: out.info, T: t, V: 1})
	add := func(name string, v float64) {
		out.has |= 1 << slices.Index(perResource, name)
		batch.Samples = append(batch.Samples, sample.Sample{Labels: d.identity(name, r.id).Labels(), T: t, V: v})
	}
	running := 0.0
	if d.product.works(r) {
		running = 1
	}
	if r.status != "" {
		add(resourceRunning, running)
	}
	if !r.expires.IsZero() {
		add(resourceExpiry, float64(r.expires.Unix()))
	}
	if !r.created.IsZero() {
		add(resourceCreated, float64(r.created.Unix()))
	}
	add(resourceFirstSeen, float64(firstSeen)/1000)
	if d.product.name == "ecs" { // the names that contract rules read
		add(ecsRunning, running)
		if !r.expires.IsZero() {
			add(ecsExpiry, float64(r.expires.Unix()))
		}
	}
	return out
}

// count appends how many resources there are.
func (d *describer) count(n int, at time.Time, batch *sample.Batch) {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set(model.MetricNameLabel, resources).Set("customer", d.customer).Set("product", d.product.name)
	b.Set("region", d.region).Set("account", d.account)
	batch.Samples = append(batch.Samples, sample.Sample{Labels: b.Labels(), T: at.UnixMilli(), V: float64(n)})
}

// end appends the end marks of a resource's series.
func (d *describer) end(id string, old described, batch *sample.Batch) {
	if !old.info.IsEmpty() {
		batch.Ends = append(batch.Ends, sample.End{Labels: old.info, T: old.at, Reason: reasonDeleted})
	}
	for bit, name := range perResource {
		if old.has&(1<<bit) != 0 {
			batch.Ends = append(batch.Ends, sample.End{Labels: d.identity(name, id).Labels(), T: old.at, Reason: reasonDeleted})
		}
	}
}

// info is what describes a resource: the cloud's words, its tags, and above all
// the customer's asset record.
func (d *describer) info(r *resource) labels.Labels {
	b := d.identity(d.product.infoName(), r.id)
	class := d.product.classLabel
	if class == "" {
		class = "class"
	}
	d.addTags(r.tags, b)
	for label, value := range map[string]string{
		"name": r.name, "zone": r.zone, class: r.class, "os": r.os, "engine": r.engine, "version": r.version, "storage_gb": r.storageGB,
		"private_ip": r.privateIP, "public_ip": r.publicIP, "endpoint": r.endpoint, "vpc": r.vpc,
	} {
		b.Set(label, shorten(value))
	}
	a := d.assets[r.id]
	for label, value := range map[string]string{
		"name": a.Name, "purpose": a.Purpose, "owner": a.Owner, "contact": a.Contact,
		"environment": a.Environment, "entered": a.Entered, "modules": strings.Join(a.Modules, ","),
	} {
		if value != "" {
			b.Set(label, shorten(value))
		}
	}
	return b.Labels()
}

func (d *describer) addTags(tags map[string]string, b *labels.Builder) {
	taken := 0
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		label := d.tagLabel(tag)
		if label == "" || taken >= maxTags {
			continue
		}
		b.Set(label, shorten(tags[tag]))
		taken++
	}
}

var (
	asciiTag = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:/-]*$`)
	notLabel = regexp.MustCompile(`[^a-z0-9_]+`)
)

// tagLabel returns the label of a tag, "" when it becomes none: the system's
// own tags and those with keys that no label name can show.
func (d *describer) tagLabel(tag string) string {
	if label, ok := d.tagLabels[tag]; ok {
		return label
	}
	if !asciiTag.MatchString(tag) || len(tag) > maxLabel || strings.HasPrefix(tag, "acs:") {
		return ""
	}
	return "tag_" + notLabel.ReplaceAllString(strings.ToLower(tag), "_")
}

// shorten bounds a label's value without cutting a character.
func shorten(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > maxLabel {
		text = strings.ToValidUTF8(text[:maxLabel], "")
	}
	return text
}
