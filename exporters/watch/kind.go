package watch

import (
	"context"
	"os"
	"slices"
	"strings"
)

// maxRemembered bounds the changes of one kind that are told one by one.
const maxRemembered = 200

// kind is one sort of things that are watched together.
type kind struct {
	key     string   // in the state file
	prefix  string   // of its metrics
	dims    []string // labels of the kind: pairs of name and value
	labels  []string // names of the labels that a thing's name is joined of
	reasons []string
	spec    string // what is read; with another one nothing can be compared
	read    func(context.Context) (snapshot, error)
	tidy    func([]change) []change // nil: none

	kept
	baseline bool // things are known; before that nothing has changed
}

// kept is what is remembered of a kind over a restart.
type kept struct {
	Spec    string            `json:"spec,omitempty"`
	Things  snapshot          `json:"things"`
	Changes map[string]uint64 `json:"changes"` // by reason
	Recent  []recent          `json:"recent,omitempty"`
}

// recent is a change that is told.
type recent struct {
	Thing  string `json:"thing"`
	Reason string `json:"reason"`
	At     int64  `json:"at"` // Unix ms of the check that saw it
}

// kinds makes the kinds that a configuration asks for.
func kinds(cfg Config, hidden func(), failed func(string, error)) []*kind {
	var all []*kind
	for _, set := range cfg.Files {
		f := &fileSet{set: set, maxFiles: cfg.MaxFiles, maxHash: cfg.MaxHashBytes}
		all = append(all, &kind{
			key: "files/" + set.Name, prefix: prefixFile, dims: []string{"files", set.Name}, labels: []string{"path"},
			reasons: []string{reasonCreated, reasonRemoved, aspectContent, aspectOwner, aspectGroup, aspectMode, aspectType, aspectTouched},
			spec:    strings.Join(set.Paths, " "), read: f.read, tidy: onlyTouched,
		})
	}
	if cfg.Accounts {
		a := accounts{passwd: "/etc/passwd", shadow: "/etc/shadow", hidden: hidden}
		all = append(all, &kind{
			key: prefixAccount, prefix: prefixAccount, labels: []string{"user"}, read: a.read,
			reasons: []string{reasonCreated, reasonRemoved, aspectPassword, aspectUID, aspectGID, aspectHome, aspectShell},
		})
	}
	if cfg.HostName {
		all = append(all, &kind{key: prefixHostName, prefix: prefixHostName, reasons: []string{aspectName}, read: hostName})
	}
	if cfg.Firewall {
		k := &kind{
			key: prefixFirewall, prefix: prefixFirewall, labels: []string{"firewall"},
			reasons: []string{reasonCreated, reasonRemoved, aspectRules},
		}
		k.read = firewall{before: func() snapshot { return k.Things }, failed: failed}.read
		all = append(all, k)
	}
	if cfg.Ports {
		all = append(all, &kind{
			key: prefixPort, prefix: prefixPort, labels: []string{"protocol", "address", "port"}, read: ports,
			reasons: []string{reasonCreated, reasonRemoved},
		})
	}
	return all
}

// aspectName is the one aspect of the host's name.
const aspectName = "name"

func hostName(context.Context) (snapshot, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return snapshot{"": {aspectName: name}}, nil
}

// look compares with the check before and returns what changed.
func (k *kind) look(ctx context.Context, at int64) ([]change, error) {
	now, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	if k.Changes == nil {
		k.Changes = make(map[string]uint64)
	}
	var changes []change
	if k.baseline {
		changes = now.compare(k.Things)
		if k.tidy != nil {
			changes = k.tidy(changes)
		}
	}
	k.Spec, k.Things, k.baseline = k.spec, now, true
	for _, c := range changes {
		k.Changes[c.reason]++
		k.Recent = slices.DeleteFunc(k.Recent, func(r recent) bool { return r.Thing == c.thing && r.Reason == c.reason })
		k.Recent = append(k.Recent, recent{c.thing, c.reason, at})
	}
	return changes, nil
}

// forget drops what was told long enough, or is too much to tell, the oldest
// first, and returns it.
func (k *kind) forget(before int64) (dropped []recent) {
	n := max(0, len(k.Recent)-maxRemembered)
	for n < len(k.Recent) && k.Recent[n].At < before {
		n++
	}
	dropped = k.Recent[:n:n]
	k.Recent = k.Recent[n:]
	return dropped
}
