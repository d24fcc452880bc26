package promrules

import (
	"fmt"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// loader hands parsed rule groups to the rules manager, which would read files
// again otherwise. It implements rules.GroupLoader.
type loader struct {
	mu     sync.Mutex
	groups map[string]*rulefmt.RuleGroups // by file name
}

func (l *loader) set(groups map[string]*rulefmt.RuleGroups) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups = groups
}

// Load implements rules.GroupLoader.
func (l *loader) Load(file string, _ bool, _ model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	groups, ok := l.groups[file]
	if !ok {
		return nil, []error{fmt.Errorf("rule file %s: was not parsed", file)}
	}
	return groups, nil
}

// Parse implements rules.GroupLoader.
func (l *loader) Parse(query string) (parser.Expr, error) { return promParser.ParseExpr(query) }
