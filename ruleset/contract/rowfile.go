package contract

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// RowFiles returns a rule file for each row, by the row's ID, that holds the row's
// rule of Pack and no other: es-yellow and es-red, for two, speak about one series.
func RowFiles(literal ...string) (map[string][]byte, error) {
	files, err := Pack(literal...)
	if err != nil {
		return nil, err
	}
	type group struct {
		Name     string      `yaml:"name"`
		Interval string      `yaml:"interval"`
		Rules    []yaml.Node `yaml:"rules"`
	}
	type file struct {
		Groups []group `yaml:"groups"`
	}
	out := map[string][]byte{}
	for _, f := range files {
		var whole file
		if err := yaml.Unmarshal(f.Data, &whole); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		for _, g := range whole.Groups {
			for _, r := range g.Rules {
				var of struct {
					Contract struct {
						Row string `yaml:"row"`
					} `yaml:"contract"`
				}
				if err := r.Decode(&of); err != nil {
					return nil, fmt.Errorf("%s: %w", f.Name, err)
				}
				one := file{Groups: []group{{Name: g.Name, Interval: g.Interval, Rules: []yaml.Node{r}}}}
				if out[of.Contract.Row], err = yaml.Marshal(one); err != nil {
					return nil, fmt.Errorf("%s: %w", f.Name, err)
				}
			}
		}
	}
	return out, nil
}
