package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/config.md")

// TestReference holds docs/config.md to the comments of the configuration's fields.
func TestReference(t *testing.T) {
	r := &reference{comments: map[string]map[string]string{}}
	r.text.WriteString(`# The configuration file

One YAML file, strictly decoded: an unknown or repeated key, a wrong type or a bad duration is one error line with file, line and
path, and nothing starts. Relative paths are relative to the file's folder. [examples/watchkeeper.yml](../examples/watchkeeper.yml) shows every
section; ` + "`watchkeeper check --config FILE`" + ` checks a file. This page is generated from the comments in the code.

| key | type | meaning |
|---|---|---|
`)
	r.fields(t, reflect.TypeFor[Config](), "")
	name := filepath.Join("..", "..", "docs", "config.md")
	if *update {
		if err := os.WriteFile(name, []byte(r.text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(have), r.text.String()); d != "" {
		t.Errorf("docs/config.md is not what the comments say; run: go test ./internal/config -run Reference -update\n%s", d)
	}
}

type reference struct {
	text     strings.Builder
	comments map[string]map[string]string // by package path, by "Type.Field"
}

func (r *reference) fields(t *testing.T, typ reflect.Type, path string) {
	for i := range typ.NumField() {
		f := typ.Field(i)
		key, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if !f.IsExported() || key == "-" {
			continue
		}
		if strings.Contains(opts, "inline") {
			r.fields(t, f.Type, path)
			continue
		}
		ft, suffix := f.Type, ""
		for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct {
			if ft.Kind() == reflect.Slice {
				suffix = "[]"
			}
			ft = ft.Elem()
		}
		at := strings.TrimPrefix(path+"."+key, ".")
		comment := r.comment(t, typ, f.Name)
		if comment == "" {
			t.Errorf("%s: field %s of %s has no comment", at, f.Name, typ)
		}
		fmt.Fprintf(&r.text, "| `%s` | %s | %s |\n", at, kind(f.Type), strings.ReplaceAll(comment, "|", `\|`))
		if ft.Kind() == reflect.Struct && strings.HasPrefix(ft.PkgPath(), "watchkeeper/") && hasKeys(ft) {
			r.fields(t, ft, at+suffix)
		}
	}
}

func hasKeys(t reflect.Type) bool {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("yaml") != "" {
			return true
		}
	}
	return false
}

func kind(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer:
		return kind(t.Elem())
	case t.String() == "model.Duration":
		return "duration"
	case t.String() == "yaml.Node":
		return "mapping"
	}
	switch t.Kind() {
	case reflect.Struct:
		if hasKeys(t) {
			return "mapping"
		}
		return "secret"
	case reflect.Slice:
		return "list of " + kind(t.Elem())
	case reflect.Map:
		return "map"
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	}
	return t.Kind().String()
}

// comment returns the comment of a field, in one line.
func (r *reference) comment(t *testing.T, typ reflect.Type, field string) string {
	pkg := typ.PkgPath()
	if r.comments[pkg] == nil {
		r.comments[pkg] = readComments(t, filepath.Join("..", "..", strings.TrimPrefix(pkg, "watchkeeper/")))
	}
	return r.comments[pkg][typ.Name()+"."+field]
}

func readComments(t *testing.T, dir string) map[string]string {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			st, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			group := ""
			for _, field := range st.Fields.List {
				text := field.Doc.Text()
				if text == "" {
					text = field.Comment.Text()
				}
				if text == "" {
					text = group // fields that stand together share the first one's comment
				}
				group = text
				for _, name := range field.Names {
					out[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
				}
			}
			return true
		})
	}
	return out
}
