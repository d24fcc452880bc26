package onboard

import "slices"

// Policy is the text of a RAM policy, of which JSON is the form that the RAM
// console takes.
type Policy struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
}

// Statement permits actions.
type Statement struct {
	Effect   string   `json:"Effect"`
	Action   []string `json:"Action"`
	Resource string   `json:"Resource"`
}

// MissingPolicy permits what the key lacks and nothing else; nil when it lacks
// nothing. Unclear permissions of lists are in it: an action too many that only
// reads does no harm, one too few hides resources.
func (r *Report) MissingPolicy() *Policy {
	var actions []string
	for _, p := range r.Permissions {
		if p.Status != Granted {
			actions = append(actions, p.Action)
		}
	}
	return policyOf(actions)
}

// WholePolicy permits everything that this program reads.
func WholePolicy() *Policy {
	var actions []string
	for _, p := range probes {
		actions = append(actions, p.action)
	}
	return policyOf(actions)
}

func policyOf(actions []string) *Policy {
	if len(actions) == 0 {
		return nil
	}
	slices.Sort(actions)
	return &Policy{Version: "1", Statement: []Statement{{Effect: "Allow", Action: slices.Compact(actions), Resource: "*"}}}
}
