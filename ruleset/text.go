package ruleset

import (
	"fmt"
	"text/template/parse"

	"github.com/prometheus/prometheus/model/labels"
)

// Most texts of alerts name labels and the value and do nothing else. Such a text is
// put together here, in a tenth of the time that the template library takes; a
// thousand alerts that fire at once are told that much sooner.

// text is a template that is put together without the library.
type text []part

// part appends its piece of the text.
type part func(to []byte, id labels.Labels, value float64) []byte

// expand is the text for an identity and its value.
func (t text) expand(id labels.Labels, value float64) string {
	return string(t.append(make([]byte, 0, 128), id, value))
}

func (t text) append(to []byte, id labels.Labels, value float64) []byte {
	for _, p := range t {
		to = p(to, id, value)
	}
	return to
}

// textOf makes a text of a parsed template; ok is false where it takes the library.
// In the body of a with, dot names the label that it is about.
func textOf(list *parse.ListNode, dot string) (t text, ok bool) {
	if list == nil {
		return nil, true
	}
	for _, n := range list.Nodes {
		var p part
		switch n := n.(type) {
		case *parse.TextNode:
			p = constant(string(n.Text))
		case *parse.ActionNode:
			if p = actionPart(n.Pipe, dot); p == nil && dot == "" && defines(n.Pipe) {
				continue
			}
		case *parse.WithNode:
			p = withPart(n, dot)
		}
		if p == nil {
			return nil, false
		}
		t = append(t, p)
	}
	return t, true
}

func constant(s string) part {
	return func(to []byte, _ labels.Labels, _ float64) []byte { return append(to, s...) }
}

// defines says whether a pipe is one of those that textDefs puts before a text.
func defines(p *parse.PipeNode) bool {
	switch p.String() {
	case "$labels := .Labels", "$externalLabels := .ExternalLabels", "$externalURL := .ExternalURL", "$value := .Value":
		return true
	}
	return false
}

// actionPart is what stands between braces: a label, the value, or printf of one of them.
func actionPart(p *parse.PipeNode, dot string) part {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 {
		return nil
	}
	args := p.Cmds[0].Args
	switch len(args) {
	case 1:
		if name := labelNamed(args[0], dot); name != "" {
			return func(to []byte, id labels.Labels, _ float64) []byte { return append(to, id.Get(name)...) }
		}
		if isValue(args[0]) {
			return func(to []byte, _ labels.Labels, v float64) []byte { return fmt.Append(to, v) }
		}
	case 3:
		f, isText := args[1].(*parse.StringNode)
		if word, is := args[0].(*parse.IdentifierNode); !is || word.Ident != "printf" || !isText {
			return nil
		}
		if name := labelNamed(args[2], dot); name != "" {
			return func(to []byte, id labels.Labels, _ float64) []byte { return fmt.Appendf(to, f.Text, id.Get(name)) }
		}
		if isValue(args[2]) {
			return func(to []byte, _ labels.Labels, v float64) []byte { return fmt.Appendf(to, f.Text, v) }
		}
	}
	return nil
}

// withPart is a with about a label.
func withPart(n *parse.WithNode, dot string) part {
	if len(n.Pipe.Decl) > 0 || len(n.Pipe.Cmds) != 1 || len(n.Pipe.Cmds[0].Args) != 1 {
		return nil
	}
	name := labelNamed(n.Pipe.Cmds[0].Args[0], "")
	body, ok := textOf(n.List, name)
	other, okOther := textOf(n.ElseList, dot)
	if name == "" || !ok || !okOther {
		return nil
	}
	return func(to []byte, id labels.Labels, v float64) []byte {
		if id.Get(name) != "" {
			return body.append(to, id, v)
		}
		return other.append(to, id, v)
	}
}

// labelNamed is the name of the label that an argument stands for, empty for another.
func labelNamed(n parse.Node, dot string) string {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot
	case *parse.VariableNode:
		if len(n.Ident) == 2 && n.Ident[0] == "$labels" {
			return n.Ident[1]
		}
	}
	return ""
}

func isValue(n parse.Node) bool {
	v, is := n.(*parse.VariableNode)
	return is && len(v.Ident) == 1 && v.Ident[0] == "$value"
}
