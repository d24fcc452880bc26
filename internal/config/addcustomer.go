package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrExists is what AddCustomer returns for a customer that the file has.
var ErrExists = errors.New("there is such a customer already")

// AddCustomer returns the text of a configuration file with one more customer,
// given as a mapping with the fields of Customer. All other lines stay as they
// are, comments included, where the list of customers has one entry per block of
// lines; a list in brackets is written anew. The result is checked: it is a valid
// configuration that says what the old one said, and the new customer.
func AddCustomer(file string, text []byte, customer *yaml.Node) ([]byte, error) {
	old, err := Parse(file, text)
	if err != nil {
		return nil, err
	}
	name := nodeOf(customer, "name")
	if name == nil {
		return nil, errors.New("customer: has no name")
	}
	if slices.ContainsFunc(old.Customers, func(c Customer) bool { return c.Name == name.Value }) {
		return nil, fmt.Errorf("customer %q: %w", name.Value, ErrExists)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	added, err := insert(text, &doc, customer)
	if err != nil {
		return nil, err
	}
	if _, err := Parse(file, added); err != nil {
		return nil, fmt.Errorf("with the new customer: %w", err)
	}
	if err := onlyAdded(text, added); err != nil {
		return nil, err
	}
	return added, nil
}

// insert puts the customer behind the others.
func insert(text []byte, doc, customer *yaml.Node) ([]byte, error) {
	item, err := encode(&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{customer}})
	if err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode {
		// Nothing but comments.
		return spliced(text, len(lines(text)), "customers:\n"+item), nil
	}
	root := doc.Content[0]
	list := nodeOf(root, "customers")
	block := func(n *yaml.Node) bool { return n.Style&yaml.FlowStyle == 0 }
	switch {
	case list == nil && block(root):
		return spliced(text, endOf(text, nil, 0), "customers:\n"+item), nil
	case list != nil && block(root) && list.Kind == yaml.SequenceNode && block(list) && len(list.Content) > 0:
		indent := strings.Repeat(" ", list.Column-1)
		item = indent + strings.ReplaceAll(strings.TrimSuffix(item, "\n"), "\n", "\n"+indent) + "\n"
		return spliced(text, endOf(text, following(root, list), list.Column), item), nil
	}
	if list == nil {
		list = &yaml.Node{}
		root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "customers"}, list)
	}
	if list.Kind != yaml.SequenceNode {
		*list = yaml.Node{Kind: yaml.SequenceNode, HeadComment: list.HeadComment, LineComment: list.LineComment, FootComment: list.FootComment}
	}
	// Behind a list in brackets a comment stands on the key's line.
	root.Content[slices.Index(root.Content, list)-1].LineComment, list.LineComment = list.LineComment, ""
	list.Style &^= yaml.FlowStyle
	root.Style &^= yaml.FlowStyle
	list.Content = append(list.Content, customer)
	out, err := encode(doc)
	return []byte(out), err
}

func encode(n *yaml.Node) (string, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		return "", err
	}
	return b.String(), e.Close()
}

// nodeOf is the value of a mapping's key, nil when there is none.
func nodeOf(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// following is the key behind a value, nil behind the last one.
func following(root, value *yaml.Node) *yaml.Node {
	if i := slices.Index(root.Content, value); i+1 < len(root.Content) {
		return root.Content[i+1]
	}
	return nil
}

// lines are the text's, each with its end.
func lines(text []byte) []string {
	all := strings.SplitAfter(string(text), "\n")
	if all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}

// endOf is the number of lines up to the end of a section: those before the next
// key, without the blank lines and the comments that belong to that key. Comments
// further in than column belong to the section.
func endOf(text []byte, next *yaml.Node, column int) int {
	all := lines(text)
	end := len(all)
	if next != nil {
		end = next.Line - 1
	}
	for end > 0 {
		line := strings.TrimRight(all[end-1], "\r\n")
		trimmed := strings.TrimLeft(line, " ")
		comment := strings.HasPrefix(trimmed, "#") && next != nil && len(line)-len(trimmed) < max(column, 1)
		if trimmed != "" && trimmed != "..." && !comment {
			break
		}
		end--
	}
	return end
}

// spliced puts more behind the first n lines, with the text's line ends.
func spliced(text []byte, n int, more string) []byte {
	all := lines(text)
	n = min(n, len(all))
	head, tail := strings.Join(all[:n], ""), strings.Join(all[n:], "")
	newline := "\n"
	if strings.Contains(head, "\r\n") {
		newline = "\r\n"
		more = strings.ReplaceAll(more, "\n", newline)
	}
	if head != "" && !strings.HasSuffix(head, "\n") {
		head += newline
	}
	if tail != "" && !strings.HasSuffix(tail, "\n") {
		tail += newline
	}
	return []byte(head + more + tail)
}

// onlyAdded makes sure that the new text says what the old one said, and one
// customer more.
func onlyAdded(old, added []byte) error {
	var a, b map[string]any
	if err := errors.Join(yaml.Unmarshal(old, &a), yaml.Unmarshal(added, &b)); err != nil {
		return err
	}
	before, _ := a["customers"].([]any)
	after, _ := b["customers"].([]any)
	delete(a, "customers")
	delete(b, "customers")
	same := len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
	if !same || len(after) != len(before)+1 || len(before) > 0 && !reflect.DeepEqual(before, after[:len(before)]) {
		return errors.New("the file cannot be edited without changing what it says: add the customer by hand")
	}
	return nil
}
