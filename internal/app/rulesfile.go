package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"watchkeeper/internal/api"
	"watchkeeper/internal/config"
	"watchkeeper/internal/datadir"
	"watchkeeper/ruleset"
)

// rulesFile holds the rules in force, for looking at the folder of a stopped server.
const rulesFile = "rules.json"

// RulesOf lists the rules of a configuration without a server.
func RulesOf(cfg *config.Config) ([]api.RuleGroup, error) {
	groups, err := Rules(cfg)
	if err != nil {
		return nil, err
	}
	return RuleGroups(statuses(groups), nil, time.Time{}), nil
}

func statuses(groups []ruleset.Group) []ruleset.RuleStatus {
	var out []ruleset.RuleStatus
	for _, g := range groups {
		for _, r := range g.Rules {
			mode, why := r.Mode()
			out = append(out, ruleset.RuleStatus{Rule: r, Mode: mode, Why: why})
		}
	}
	return out
}

// saveRules keeps the rules in force in the data folder.
func (a *App) saveRules(groups []ruleset.Group) error {
	b, err := json.Marshal(RuleGroups(statuses(groups), nil, a.now()))
	if err != nil {
		return err
	}
	name := a.dir.Path(rulesFile)
	if err := os.WriteFile(name+".tmp", b, 0o640); err != nil {
		return err
	}
	return os.Rename(name+".tmp", name)
}

// ReadRules reads the rules that were in force last in a folder.
func ReadRules(dir *datadir.Dir) ([]api.RuleGroup, error) {
	b, err := os.ReadFile(dir.Path(rulesFile))
	if err != nil {
		return nil, fmt.Errorf("rules of the folder: %w", err)
	}
	var groups []api.RuleGroup
	if err := json.Unmarshal(b, &groups); err != nil {
		return nil, fmt.Errorf("rules of the folder: %w", err)
	}
	return groups, nil
}

// customerOf says to which customer an alert from outside belongs: that of the
// bearer token, else that of the open sender, else the default one. The sender's word
// is never taken.
func (a *App) customerOf(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if s, ok := a.sender(token); ok {
		return s.Customer
	}
	if s, ok := a.sender(""); ok {
		return s.Customer
	}
	return config.DefaultCustomer
}

// fromKnown refuses alerts that are pushed with a token that nobody has; they
// would become incidents of another customer.
func (a *App) fromKnown(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, known := a.sender(token); given && !known && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/alerts") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "no valid bearer token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
