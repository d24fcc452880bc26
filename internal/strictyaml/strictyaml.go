// Package strictyaml decodes a YAML file into Go values and refuses whatever it
// does not know. Each error is one line that names the file, the line and the
// path of the value:
//
//	watchkeeper.yml:12: customers[0].probes.targets[1].interval: not a valid duration string: "5x"
//
// It exists because neither YAML library tells the path, and a custom
// UnmarshalYAML method loses even the line.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Defaulter is implemented by pointers to types that have defaults. Decode calls
// SetDefaults on each value that the file makes anew (an element of a list or a
// map, the target of a nil pointer) before it decodes into it.
type Defaulter interface{ SetDefaults() }

// MaxSize bounds a file, in bytes.
const MaxSize = 16 << 20

// maxDepth bounds nesting, so that an alias that contains itself ends.
const maxDepth = 100

// Error is a refused value.
type Error struct {
	File string
	Line int // 1-based; 0 when unknown
	Path string
	Msg  string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Msg)
	return b.String()
}

// Document is a parsed file; it tells where its values stand.
type Document struct {
	file string
	root *yaml.Node // nil for an empty file
}

// Decode parses data, the content of file, into v, a pointer to a struct whose
// fields hold the defaults. Unknown and repeated keys, values of a wrong type
// and a second document are errors of type *Error.
func Decode(file string, data []byte, v any) (*Document, error) {
	if len(data) > MaxSize {
		return nil, &Error{File: file, Msg: fmt.Sprintf("larger than %d bytes", MaxSize)}
	}
	d := &Document{file: file}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return d, nil
	case err != nil:
		return nil, d.syntax(err)
	}
	var second yaml.Node
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, d.syntax(err)
		}
		return nil, &Error{File: file, Line: second.Line, Msg: "a second document; one is allowed"}
	}
	d.root = doc.Content[0]
	return d, d.value(d.root, reflect.ValueOf(v), "", 0)
}

// At turns an error of a Validate method, whose text begins with the path of
// the refused value ("route.receiver: no receiver …"), into an *Error that
// also names the file and, where the path stands in the file, the line.
func (d *Document) At(err error) error {
	if err == nil {
		return nil
	}
	msg := err.Error()
	path, rest, found := strings.Cut(msg, ": ")
	if !found || strings.ContainsAny(path, " \t") {
		return &Error{File: d.file, Msg: msg}
	}
	return &Error{File: d.file, Line: d.line(path), Path: path, Msg: rest}
}

// syntax takes over the parser's own error: "yaml: line 3: mapping values …".
func (d *Document) syntax(err error) error {
	e := &Error{File: d.file, Msg: strings.TrimPrefix(err.Error(), "yaml: ")}
	var line int
	if n, _ := fmt.Sscanf(e.Msg, "line %d:", &line); n == 1 {
		_, e.Msg, _ = strings.Cut(e.Msg, ": ")
		e.Line = line
	}
	return e
}

func (d *Document) fail(n *yaml.Node, path, format string, args ...any) error {
	return &Error{File: d.file, Line: n.Line, Path: path, Msg: fmt.Sprintf(format, args...)}
}

var nodeType = reflect.TypeFor[yaml.Node]()

// value decodes n into v. Structs, slices and maps are walked here, so that
// every error has its path; what decodes itself and scalars go to the library.
func (d *Document) value(n *yaml.Node, v reflect.Value, path string, depth int) error {
	if depth > maxDepth {
		return d.fail(n, path, "nested deeper than %d levels", maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		return d.value(n.Alias, v, path, depth+1)
	}
	if v.Kind() == reflect.Pointer {
		if n.Tag == "!!null" && depth > 0 {
			return nil
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			setDefaults(v.Elem())
		}
		if !decodesItself(v.Type()) {
			return d.value(n, v.Elem(), path, depth+1)
		}
		return d.leaf(n, v, path)
	}
	if v.Type() == nodeType {
		v.Set(reflect.ValueOf(*n))
		return nil
	}
	if n.Tag == "!!null" || decodesItself(reflect.PointerTo(v.Type())) {
		if n.Tag == "!!null" {
			return nil // an empty value keeps the default
		}
		return d.leaf(n, v.Addr(), path)
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.fields(n, v, path, depth)
	case reflect.Slice:
		return d.items(n, v, path, depth)
	case reflect.Map:
		return d.entries(n, v, path, depth)
	}
	return d.leaf(n, v.Addr(), path)
}

func (d *Document) leaf(n *yaml.Node, ptr reflect.Value, path string) error {
	err := n.Decode(ptr.Interface())
	var typeErr *yaml.TypeError
	if errors.As(err, &typeErr) && len(typeErr.Errors) > 0 {
		msg := typeErr.Errors[0]
		if strings.HasPrefix(msg, "line ") {
			_, msg, _ = strings.Cut(msg, ": ")
		}
		return d.fail(n, path, "%s", msg)
	}
	if err != nil {
		return d.fail(n, path, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return nil
}

func (d *Document) fields(n *yaml.Node, v reflect.Value, path string, depth int) error {
	if n.Kind != yaml.MappingNode {
		return d.fail(n, path, "must be a mapping, is %s", kindName(n))
	}
	fields := fieldsOf(v)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		f, ok := fields[key.Value]
		if !ok {
			return d.fail(key, at, "unknown key%s", suggest(key.Value, fields))
		}
		if seen[key.Value] {
			return d.fail(key, at, "is given twice")
		}
		seen[key.Value] = true
		if err := d.value(val, f, at, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (d *Document) items(n *yaml.Node, v reflect.Value, path string, depth int) error {
	if n.Kind != yaml.SequenceNode {
		return d.fail(n, path, "must be a list, is %s", kindName(n))
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		setDefaults(out.Index(i))
		if err := d.value(c, out.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func (d *Document) entries(n *yaml.Node, v reflect.Value, path string, depth int) error {
	if n.Kind != yaml.MappingNode {
		return d.fail(n, path, "must be a mapping, is %s", kindName(n))
	}
	out := reflect.MakeMap(v.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		k := reflect.New(v.Type().Key())
		if err := d.leaf(key, k, at); err != nil {
			return err
		}
		if out.MapIndex(k.Elem()).IsValid() {
			return d.fail(key, at, "is given twice")
		}
		e := reflect.New(v.Type().Elem())
		setDefaults(e.Elem())
		if err := d.value(val, e.Elem(), at, depth+1); err != nil {
			return err
		}
		out.SetMapIndex(k.Elem(), e.Elem())
	}
	v.Set(out)
	return nil
}

// line finds the line at which path stands, or that of its nearest parent.
func (d *Document) line(path string) int {
	if d.root == nil {
		return 0
	}
	n, line := d.root, 0
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		child, at := descend(n, step)
		if child == nil {
			return line
		}
		n, line = child, at
	}
	return line
}

func descend(n *yaml.Node, step string) (*yaml.Node, int) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1], n.Content[i].Line
			}
		}
	case yaml.SequenceNode:
		var i int
		if c, _ := fmt.Sscanf(step, "%d", &i); c == 1 && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i].Line
		}
	}
	return nil, 0
}

// fieldsOf maps the YAML keys of a struct, inlined structs included, to its fields.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if !sf.IsExported() {
			continue
		}
		name, opts, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if strings.Contains(opts, "inline") {
			for k, f := range fieldsOf(v.Field(i)) {
				out[k] = f
			}
			continue
		}
		if name == "-" {
			continue
		}
		if name == "" {
			name = strings.ToLower(sf.Name)
		}
		out[name] = v.Field(i)
	}
	return out
}

func setDefaults(v reflect.Value) {
	if d, ok := v.Addr().Interface().(Defaulter); ok {
		d.SetDefaults()
	}
}

func decodesItself(ptr reflect.Type) bool {
	_, legacy := ptr.MethodByName("UnmarshalYAML")
	_, text := ptr.MethodByName("UnmarshalText")
	return legacy || text
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	return "text" // not the text itself: it may be a secret in the wrong place
}

// suggest names the known key that differs in at most two places, if any.
func suggest(key string, fields map[string]reflect.Value) string {
	best, bestDist := "", 3
	for name := range fields {
		if dist := distance(key, name); dist < bestDist || dist == bestDist && name < best {
			best, bestDist = name, dist
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost++
			}
			prev = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
