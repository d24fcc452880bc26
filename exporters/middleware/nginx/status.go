package nginx

import (
	"strconv"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

// status is a stub_status page. requests counts requests, the others connections.
type status struct {
	active, accepts, handled, requests, reading, writing, waiting float64
}

// parse reads a page like this one; Tengine has a fourth column (request_time):
//
//	Active connections: 1
//	server accepts handled requests
//	 2 2 2
//	Reading: 0 Writing: 1 Waiting: 0
func parse(page string) (status, error) {
	var s status
	fields := strings.Fields(page)
	p := parser{fields: fields}
	p.expect("Active", "connections:")
	s.active = p.number()
	p.expect("server", "accepts", "handled", "requests")
	columns := 3
	for p.skip("request_time") {
		columns++
	}
	s.accepts, s.handled, s.requests = p.number(), p.number(), p.number()
	for range columns - 3 {
		p.number()
	}
	p.expect("Reading:")
	s.reading = p.number()
	p.expect("Writing:")
	s.writing = p.number()
	p.expect("Waiting:")
	s.waiting = p.number()
	if p.failed || len(p.fields) > 0 {
		return status{}, server.Failed(server.ReasonFormat, "not a stub_status page: %q", server.Excerpt(page, 60))
	}
	return s, nil
}

type parser struct {
	fields []string
	failed bool
}

func (p *parser) next() string {
	if len(p.fields) == 0 {
		p.failed = true
		return ""
	}
	f := p.fields[0]
	p.fields = p.fields[1:]
	return f
}

func (p *parser) expect(words ...string) {
	for _, w := range words {
		if p.next() != w {
			p.failed = true
		}
	}
}

func (p *parser) skip(word string) bool {
	if len(p.fields) > 0 && p.fields[0] == word {
		p.fields = p.fields[1:]
		return true
	}
	return false
}

func (p *parser) number() float64 {
	n, err := strconv.ParseUint(p.next(), 10, 64)
	if err != nil {
		p.failed = true
	}
	return float64(n)
}
