package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExample holds the example file to what it claims: every section decodes.
func TestExample(t *testing.T) {
	c, err := Load(filepath.Join("..", "..", "examples", "watchkeeper.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Customers) != 1 || len(c.Customers[0].Probes.Targets) != 3 || len(c.Customers[0].Aliyun.Accounts) != 1 {
		t.Fatalf("the example lost a part: %+v", c.Customers)
	}
	if c.DataDir != filepath.Join("..", "..", "examples", "data") {
		t.Errorf("data_dir = %q is not relative to the file", c.DataDir)
	}
	text, err := c.AlertmanagerText()
	if err != nil || !strings.Contains(text, "receiver: tickets") {
		t.Errorf("alertmanager text %q, %v", text, err)
	}
}

func TestDefaultWatchesThisHost(t *testing.T) {
	c, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if len(c.Customers) != 1 || c.Customers[0].Host == nil {
		t.Fatalf("the default watches %+v", c.Customers)
	}
}

// TestBad holds each file testdata/NAME.bad.yml to the message in NAME.bad.txt.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yml")
	if err != nil || len(files) < 8 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(strings.TrimSuffix(file, ".yml") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		_, err = Parse(name, b)
		if err == nil || err.Error() != strings.TrimSpace(string(want)) {
			t.Errorf("%s:\n got %v\nwant %s", file, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error has more than one line: %v", file, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", "watchkeeper.yml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := Parse("f.yml", b); err == nil {
			if _, err := c.AlertmanagerText(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
