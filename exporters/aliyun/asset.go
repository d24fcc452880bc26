package aliyun

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"time"

	"watchkeeper/internal/strictyaml"
)

// Asset is what people know of a resource and the cloud does not: the asset
// record of the operating rules, as far as no list action tells it. It describes
// a resource in its info series, and wins over tags.
type Asset struct {
	// Name replaces the cloud's. Default: the cloud's.
	Name string `yaml:"name"`
	// Purpose is what the resource is for.
	Purpose string `yaml:"purpose"`
	// Owner is the responsible person.
	Owner string `yaml:"owner"`
	// Contact is the owner's phone or address.
	Contact string `yaml:"contact"`
	// Environment is production, staging …
	Environment string `yaml:"environment"`
	// Entered is the date of entry into service, YYYY-MM-DD.
	Entered string `yaml:"entered"`
	// Modules run on the resource.
	Modules []string `yaml:"modules"`
}

// assetFile is a customer's asset file.
type assetFile struct {
	// Resources by the cloud's id: i-…, rm-…, a CDN domain.
	Resources map[string]Asset `yaml:"resources"`
}

// maxAssets bounds an asset file.
const maxAssets = 100_000

var assetIDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`)

// LoadAssets reads an asset file; "" has no assets. Errors name file, line and path.
func LoadAssets(file string) (map[string]Asset, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("asset file: %w", err)
	}
	var f assetFile
	doc, err := strictyaml.Decode(file, data, &f)
	if err != nil {
		return nil, err
	}
	return f.Resources, doc.At(f.validate())
}

func (f assetFile) validate() error {
	if len(f.Resources) > maxAssets {
		return fmt.Errorf("resources: %d; at most %d", len(f.Resources), maxAssets)
	}
	for _, id := range slices.Sorted(maps.Keys(f.Resources)) {
		if !assetIDPattern.MatchString(id) {
			return fmt.Errorf("resources: %q is no id of a resource", id)
		}
		if err := f.Resources[id].validate(); err != nil {
			return fmt.Errorf("resources.%s.%w", id, err)
		}
	}
	return nil
}

func (a Asset) validate() error {
	if a.Entered == "" {
		return nil
	}
	if _, err := time.Parse(time.DateOnly, a.Entered); err != nil {
		return errors.New("entered: want a date such as 2026-01-31")
	}
	return nil
}
