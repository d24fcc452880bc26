package redis

import (
	"strconv"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

// info is an answer to INFO.
type info struct {
	fields    map[string]string
	databases []int // that hold keys
}

// parseInfo reads lines of "field:value" and comments that name the sections.
func parseInfo(text string) info {
	in := info{fields: make(map[string]string)}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		in.fields[name] = value
		if n, ok := databaseNumber(name); ok {
			in.databases = append(in.databases, n)
		}
	}
	return in
}

func databaseNumber(field string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(field, "db"))
	return n, err == nil && strings.HasPrefix(field, "db")
}

func (in info) add(out *server.Reading) {
	out.Add(metricInfo, 1, "version", in.fields["redis_version"], "mode", in.fields["redis_mode"],
		"role", in.fields["role"], "os", in.fields["os"])
	for name, value := range in.fields {
		if !addGroup(name, value, out) {
			addField(name, value, out)
		}
	}
}

// addField adds a field that holds one value.
func addField(name, value string, out *server.Reading) {
	if notFigures[name] {
		return
	}
	v, ok := number(value)
	if !ok {
		return
	}
	if f, ok := figures[name]; ok {
		out.Add(f.metric, v/f.divisor())
		return
	}
	out.Add("redis_"+name, v)
}

// number reads a figure or a word that stands for one.
func number(value string) (float64, bool) {
	switch value {
	case "ok", "up", "yes":
		return 1, true
	case "err", "down", "no":
		return 0, true
	}
	v, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
	return v, err == nil
}

// addGroup adds a field that holds several values, such as
// "keys=1,expires=0,avg_ttl=0", and reports whether it was one.
func addGroup(name, value string, out *server.Reading) bool {
	for _, g := range groups {
		label, ok := strings.CutPrefix(name, g.prefix)
		if !ok || label == "" || !strings.Contains(value, "=") {
			continue
		}
		values := pairs(value)
		dims := g.dims(label, values)
		for _, f := range g.figures {
			if v, ok := number(values[f.field]); ok {
				out.Add(f.metric, v/f.divisor(), append(dims[:len(dims):len(dims)], f.dims...)...)
			}
		}
		return true
	}
	return false
}

func pairs(value string) map[string]string {
	m := make(map[string]string)
	for pair := range strings.SplitSeq(value, ",") {
		k, v, _ := strings.Cut(pair, "=")
		m[k] = v
	}
	return m
}

// addCluster adds an answer to CLUSTER INFO.
func addCluster(text string, out *server.Reading) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if v, ok := number(strings.Replace(value, "fail", "err", 1)); ok && strings.HasPrefix(name, "cluster_") {
			out.Add("redis_"+name, v)
		}
	}
}
