package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"watchkeeper/internal/api"
	"watchkeeper/internal/config"
	"watchkeeper/internal/datadir"
	"watchkeeper/internal/ingest"
	"watchkeeper/ruleset"
)

// rulesFile holds the rules in force, for looking at the folder of a stopped server.
const rulesFile = "rules.json"

// RulesOf lists the rules of a configuration without a server.
func RulesOf(cfg *config.Config) ([]api.RuleGroup, error) {
	r, err := readRules(cfg, time.Now())
	if err != nil {
		return nil, err
	}
	return r.asWritten(cfg, time.Time{}), nil
}

// asWritten shows the rules of both kinds without what became of them, those included
// that are off for somebody.
func (r *loadedRules) asWritten(cfg *config.Config, now time.Time) []api.RuleGroup {
	return append(withOverrides(RuleGroups(statuses(r.groups), nil, now), r.applied), plainGroupsAsWritten(r.plain, time.Duration(cfg.Rules.Plain.EvaluationInterval))...)
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
func (a *App) saveRules(r *loadedRules) error {
	b, err := json.Marshal(r.asWritten(a.config(), a.now()))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(a.dir.Path(), rulesFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone after the rename
	_, err = f.Write(b)
	if err := errors.Join(err, f.Chmod(0o640), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), a.dir.Path(rulesFile))
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
	if s, ok := a.sender(ingest.Bearer(r.Header.Get("Authorization"))); ok {
		return s.Customer
	}
	return config.DefaultCustomer
}

// fromKnown refuses alerts that are pushed by nobody known: without a token where
// senders have tokens, or with a token that nobody has. They would become
// incidents of another customer.
func (a *App) fromKnown(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		_, known := a.sender(ingest.Bearer(header))
		if !known && (header != "" || a.hasSenders()) && r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/alerts") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "no valid bearer token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
