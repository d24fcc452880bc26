package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"watchkeeper/internal/api"
	"watchkeeper/internal/app"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
)

// maxFile bounds a file of rules or a timeline script, in bytes; the parsers
// refuse less.
const maxFile = 64 << 20

// readFile reads a file, but not one without end.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: larger than %d bytes", name, maxFile)
	}
	return text, err
}

// span is a flag that takes a length of time.
type span struct{ model.Duration }

func (s *span) Type() string { return "duration" }

// Set reads Prometheus's form of durations.
func (s *span) Set(text string) error {
	d, err := model.ParseDuration(text)
	if err != nil {
		return errors.New("want a time span like 90d or 12h")
	}
	s.Duration = d
	return nil
}

// customerFlag adds the flag that picks one customer.
func customerFlag(c *cobra.Command, customer *string, usage string) {
	c.Flags().StringVar(customer, "customer", "", usage)
}

// instant is a flag that takes a time in RFC 3339.
type instant struct{ time.Time }

func (i *instant) String() string {
	if i.IsZero() {
		return ""
	}
	return i.Format(time.RFC3339)
}
func (i *instant) Type() string { return "time" }

// Set reads RFC 3339.
func (i *instant) Set(s string) (err error) {
	if i.Time, err = time.Parse(time.RFC3339, s); err != nil {
		return fmt.Errorf("want a time like 2026-03-01T10:00:00Z")
	}
	return nil
}

// withRuleTools looks back at rules over the samples of a stopped server's folder.
// Engine time is that of the newest thing stored there.
func (s *dataSource) withRuleTools(groups []ruleset.Group, fn func(tools api.RuleTools, newest time.Time) error) error {
	return s.withStore(func(store *storage.Store) error {
		newest := app.Newest(store)
		tools := app.NewRuleTools(store, func() []ruleset.Group { return groups }, nil, nil, func() time.Time { return newest })
		return fn(tools, newest)
	})
}

// ask sends a question about rules to a running server and copies its answer.
func (c *client) ask(ctx context.Context, path string, question any, w io.Writer) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	var out []byte
	if err := c.do(ctx, "POST", path, "application/json", body, &out); err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// readRuleFiles reads rule files; a file that is no rule file is wrong usage. It
// tells on standard error of rules that count no checks: they are left out.
func readRuleFiles(cmd *cobra.Command, names ...string) (files []api.RuleFile, groups []ruleset.Group, err error) {
	plain := 0
	for _, name := range names {
		text, err := readFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("rules: %w", err)
		}
		gs, err := ruleset.Parse(name, text)
		if err != nil {
			return nil, nil, err
		}
		for _, g := range gs {
			for _, r := range g.Rules {
				if r.Plain {
					plain++
				}
			}
		}
		files = append(files, api.RuleFile{Name: name, Text: string(text)})
		groups = append(groups, gs...)
	}
	if plain > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "left out: %s without the field consecutive (Prometheus's own meaning)\n", plural(plain, "rule"))
	}
	return files, groups, nil
}
