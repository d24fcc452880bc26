package probe

import (
	"context"
	"fmt"
	"net/http/cookiejar"
	"time"

	"watchkeeper/exporters"
)

// httpProber fetches a URL, or the URLs of a script one after another.
type httpProber struct {
	secrets map[string]Secret
	steps   []step
	script  bool
}

// step is a request and what later steps take from its answer.
type step struct {
	*request
	name    string
	extract []extractor
}

func newHTTPProber(t Target) (*httpProber, error) {
	r, err := newRequest(t.URL, t.HTTP)
	if err != nil {
		return nil, err
	}
	return &httpProber{secrets: t.Secrets, steps: []step{{request: r}}}, nil
}

// run is what one probe of an httpProber has found so far.
type run struct {
	last   *answer
	took   []time.Duration // by step
	failed int             // number of the step that failed, from 1; 0: none
}

func (p *httpProber) probe(ctx context.Context) result {
	v, err := readSecrets(p.secrets)
	if err != nil {
		return result{local: err}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return result{local: err} // never: there are no options to be wrong
	}
	trace, run := newTrace(), &run{}
	r := p.runSteps(ctx, trace, jar, v, run)
	trace.end()
	if r.local != nil {
		return r
	}
	r.samples = func(b *exporters.Builder) { p.samples(b, trace, run) }
	return r
}

// runSteps makes the requests one after another until one fails.
func (p *httpProber) runSteps(ctx context.Context, trace *trace, jar *cookiejar.Jar, v values, run *run) result {
	for i, s := range p.steps {
		began := time.Now()
		a, r := s.do(ctx, trace, jar, v)
		run.took = append(run.took, time.Since(began))
		if a != nil {
			run.last = a
		}
		if r.code == OK && r.local == nil {
			r = extractAll(s.extract, a, jar, v)
		}
		if r.code != OK || r.local != nil {
			run.failed = i + 1
			return p.named(s, r)
		}
	}
	return result{code: OK}
}

// named puts a script's step before its errors.
func (p *httpProber) named(s step, r result) result {
	if !p.script {
		return r
	}
	if r.err != nil {
		r.err = fmt.Errorf("step %q: %w", s.name, r.err)
	}
	if r.local != nil {
		r.local = fmt.Errorf("step %q: %w", s.name, r.local)
	}
	return r
}

func (p *httpProber) samples(b *exporters.Builder, trace *trace, run *run) {
	if run.last != nil {
		b.Add(metricHTTPStatusCode, float64(run.last.status))
		b.Add(metricHTTPBodyBytes, float64(len(run.last.body)))
	}
	trace.samples(b)
	if !p.script {
		return
	}
	b.Add(metricScriptFailedStep, float64(run.failed))
	for i, took := range run.took {
		b.Add(metricScriptStepDuration, took.Seconds(), "step", p.steps[i].name)
	}
}
