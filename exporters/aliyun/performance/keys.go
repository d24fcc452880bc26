package performance

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"watchkeeper/internal/strictyaml"
)

//go:embed keys.yml
var shipped []byte

// maxKeys is how many keys one call may name.
const maxKeys = 30

// GenericMetric holds the parts of keys whose form is not documented, by the
// labels key and part.
const GenericMetric = "aliyun_rds_performance"

// Keys says what each engine's instances are asked for.
type Keys struct {
	Engines []*Engine `yaml:"engines"`
}

// Engine is a database engine, named as the list of instances names it.
type Engine struct {
	Engine string `yaml:"engine"`
	// SlowLog: the provider keeps a log of the engine's slow queries.
	SlowLog bool  `yaml:"slow_log"`
	Keys    []Key `yaml:"keys"`
}

// Key is one that an instance can be asked for.
type Key struct {
	Key   string `yaml:"key"`
	Parts []Part `yaml:"parts"`
	// Optional keys are left out for an engine whose calls are refused with them.
	Optional bool `yaml:"optional"`
	// Generic keys deliver every part of a form that is not known before.
	Generic bool `yaml:"generic"`
}

// Part is one number of a key's value.
type Part struct {
	// Part is what ValueFormat may call it, in any case. None: the only part.
	Part []string `yaml:"part"`
	// Name of the metric that it becomes.
	Name string `yaml:"name"`
	// Scale turns the provider's unit into the name's. Default 1.
	Scale float64 `yaml:"scale"`
}

// LoadKeys reads the shipped keys and then the user's files, in order: a key that
// an engine has already is replaced.
func LoadKeys(userFiles ...string) (*Keys, error) {
	k := &Keys{}
	if err := k.add("keys.yml", shipped); err != nil {
		return nil, fmt.Errorf("rds performance: %w", err)
	}
	for _, name := range userFiles {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("rds performance: %w", err)
		}
		if err := k.add(name, data); err != nil {
			return nil, fmt.Errorf("rds performance: %w", err)
		}
	}
	return k, nil
}

func (k *Keys) add(name string, data []byte) error {
	var f Keys
	doc, err := strictyaml.Decode(name, data, &f)
	if err != nil {
		return err
	}
	for i, e := range f.Engines {
		if e.Engine == "" {
			return doc.At(fmt.Errorf("engines[%d].engine: missing", i))
		}
		have := k.engine(e.Engine)
		if have == nil {
			have = &Engine{Engine: e.Engine}
			k.Engines = append(k.Engines, have)
		}
		have.SlowLog = have.SlowLog || e.SlowLog
		for j, key := range e.Keys {
			if err := key.validate(); err != nil {
				return doc.At(fmt.Errorf("engines[%d].keys[%d].%w", i, j, err))
			}
			have.put(key)
		}
	}
	return nil
}

// engine finds an engine by its name in any case; nil if it is not known.
func (k *Keys) engine(name string) *Engine {
	for _, e := range k.Engines {
		if strings.EqualFold(e.Engine, name) {
			return e
		}
	}
	return nil
}

func (e *Engine) put(key Key) {
	for i := range key.Parts {
		if key.Parts[i].Scale == 0 {
			key.Parts[i].Scale = 1
		}
	}
	if i := slices.IndexFunc(e.Keys, func(have Key) bool { return have.Key == key.Key }); i >= 0 {
		e.Keys[i] = key
		return
	}
	e.Keys = append(e.Keys, key)
}

// Calls is how many calls ask an instance of the engine for all its keys.
func (e *Engine) Calls() int { return (len(e.Keys) + maxKeys - 1) / maxKeys }

// Engine finds an engine by its name in any case.
func (k *Keys) Engine(name string) (*Engine, bool) {
	e := k.engine(name)
	return e, e != nil
}

var (
	keyPattern  = regexp.MustCompile(`^[A-Za-z0-9_]+$`)
	namePattern = regexp.MustCompile(`^aliyun_[a-z0-9_]+$`)
)

func (k Key) validate() error {
	if !keyPattern.MatchString(k.Key) {
		return fmt.Errorf("key: %q: want letters, digits and _", k.Key)
	}
	if len(k.Parts) == 0 && !k.Generic {
		return errors.New("parts: at least one is needed, or generic")
	}
	for i, p := range k.Parts {
		switch {
		case !namePattern.MatchString(p.Name):
			return fmt.Errorf("parts[%d].name: %q: want aliyun_…, lower case", i, p.Name)
		case len(p.Part) == 0 && len(k.Parts) > 1:
			return fmt.Errorf("parts[%d].part: needed, since there are several", i)
		}
	}
	return nil
}

// part finds what a part of the answer becomes. only: the value has one part.
func (k *Key) part(name string, only bool) (Part, bool) {
	if only && len(k.Parts) == 1 {
		return k.Parts[0], true
	}
	for _, p := range k.Parts {
		if slices.ContainsFunc(p.Part, func(n string) bool { return strings.EqualFold(n, name) }) {
			return p, true
		}
	}
	return Part{}, false
}
