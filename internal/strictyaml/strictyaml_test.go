package strictyaml

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

type leafs struct {
	Interval model.Duration `yaml:"interval"`
	Count    int            `yaml:"count"`
}

type conf struct {
	Name    string            `yaml:"name"`
	Inner   leafs             `yaml:"inner"`
	List    []leafs           `yaml:"list"`
	Opt     *leafs            `yaml:"opt"`
	Labels  map[string]string `yaml:"labels"`
	Raw     yaml.Node         `yaml:"raw"`
	Inlined `yaml:",inline"`
}

type Inlined struct {
	Extra bool `yaml:"extra"`
}

func TestDecodeErrors(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		c := conf{}
		_, err := Decode("f.yml", []byte(in), &c)
		if err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", in, err, want)
		}
	}
	f("nam: x\n", `f.yml:1: nam: unknown key; did you mean "name"?`)
	f("zzzzzz: x\n", `f.yml:1: zzzzzz: unknown key`)
	f("name: a\nname: b\n", `f.yml:2: name: is given twice`)
	f("inner:\n  interval: 5x\n", `f.yml:2: inner.interval: unknown unit "x" in duration "5x"`)
	f("list:\n- count: 1\n- count: one\n", "f.yml:3: list[1].count: cannot unmarshal !!str `one` into int")
	f("list:\n  count: 1\n", `f.yml:2: list: must be a list, is a mapping`)
	f("inner: [1]\n", `f.yml:1: inner: must be a mapping, is a list`)
	f("inner: 7\n", `f.yml:1: inner: must be a mapping, is text`)
	f("opt: {cuont: 1}\n", `f.yml:1: opt.cuont: unknown key; did you mean "count"?`)
	f("labels: {a: 1, a: 2}\n", `f.yml:1: labels.a: is given twice`)
	f("name: [\n", `f.yml:1: did not find expected node content`)
	f("name: a\n---\nname: b\n", `f.yml:2: a second document; one is allowed`)
	f("- a\n", `f.yml:1: must be a mapping, is a list`)
}

func TestDecodeKeepsDefaults(t *testing.T) {
	c := conf{Name: "default", Inner: leafs{Count: 3}}
	if _, err := Decode("f.yml", []byte("inner: {interval: 90s}\nlist: [{count: 2}]\nopt: {count: 9}\nlabels: {a: b}\nextra: true\nname:\n"), &c); err != nil {
		t.Fatal(err)
	}
	want := conf{Name: "default", Inner: leafs{Interval: model.Duration(90e9), Count: 3}, List: []leafs{{Count: 2}}, Opt: &leafs{Count: 9},
		Labels: map[string]string{"a": "b"}, Inlined: Inlined{Extra: true}}
	if d := cmp.Diff(want, c); d != "" {
		t.Fatal(d)
	}
	if _, err := Decode("empty.yml", nil, &c); err != nil {
		t.Fatal(err)
	}
}

type withDefault struct {
	N int `yaml:"n"`
	M int `yaml:"m"`
}

func (w *withDefault) SetDefaults() { w.N = 7 }

func TestSetDefaults(t *testing.T) {
	var c struct {
		List []withDefault          `yaml:"list"`
		Map  map[string]withDefault `yaml:"map"`
		Opt  *withDefault           `yaml:"opt"`
		None *withDefault           `yaml:"none"`
	}
	if _, err := Decode("f.yml", []byte("list: [{m: 1}, {n: 2}]\nmap: {a: {}}\nopt: {m: 3}\n"), &c); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]withDefault{{7, 1}, {2, 0}}, c.List); d != "" {
		t.Error(d)
	}
	if c.Map["a"].N != 7 || c.Opt == nil || *c.Opt != (withDefault{7, 3}) || c.None != nil {
		t.Errorf("map %v, opt %v, none %v", c.Map, c.Opt, c.None)
	}
}

func TestAtNamesTheLine(t *testing.T) {
	doc, err := Decode("f.yml", []byte("name: a\nlist:\n- count: 1\n- interval: 1m\n  count: 2\n"), &conf{})
	if err != nil {
		t.Fatal(err)
	}
	f := func(in, want string) {
		t.Helper()
		if got := doc.At(errors.New(in)).Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	f("list[1].count: too many", "f.yml:5: list[1].count: too many")
	f("list[1].absent: is needed", "f.yml:4: list[1].absent: is needed")
	f("no path here", "f.yml: no path here")
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("inner: &x\n  count: 1\nopt: *x\n"))
	f.Add([]byte("list: [{interval: 1m}]\n<<: {name: b}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		doc, err := Decode("f.yml", b, &conf{})
		if err == nil {
			_ = doc.At(errors.New("list[0].count: x")).Error()
		}
	})
}
