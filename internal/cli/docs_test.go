package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// docCode are the fenced and the inline pieces of code of a page.
	docCode    = regexp.MustCompile("(?s)```.*?```|`[^`\n]+`")
	docCommand = regexp.MustCompile(`(?:^|[\s` + "`" + `(])(?:bin/)?watchkeeper ([a-z][^\n` + "`" + `|#;]*)`)
	docFlag    = regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]*)`)
	quoted     = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// Every command line of README and docs/ names a command that exists, with flags that it has.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	root := newRoot("test")
	noCommands := map[string]bool{"on": true, "is": true, "monitoring": true} // a user's name, a log line, a description
	seen := 0
	for _, line := range documentedCommands(t) {
		args := strings.Fields(quoted.ReplaceAllString(line.text, "X"))
		if noCommands[args[0]] {
			continue
		}
		cmd, rest, err := root.Find(args)
		if err != nil || cmd == root || cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
			t.Errorf("%s: there is no command 'watchkeeper %s'", line.file, line.text)
			continue
		}
		seen++
		for _, f := range docFlag.FindAllStringSubmatch(strings.Join(rest, " "), -1) {
			if f[1] != "help" && cmd.Flag(f[1]) == nil {
				t.Errorf("%s: '%s' has no flag --%s", line.file, cmd.CommandPath(), f[1])
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d command lines found, want at least 40", seen)
	}
}

type documented struct{ file, text string }

func documentedCommands(t *testing.T) (out []documented) {
	t.Helper()
	pages := []string{"../../README.md"}
	if err := filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			pages = append(pages, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range docCode.FindAllString(string(text), -1) {
			code = strings.ReplaceAll(code, "\\\n", " ")
			for _, m := range docCommand.FindAllStringSubmatch(code, -1) {
				out = append(out, documented{page, strings.TrimSpace(m[1])})
			}
		}
	}
	return out
}
