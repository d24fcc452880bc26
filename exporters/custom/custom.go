// Package custom delivers values of the customer's own making: the output of
// programs that it runs (Exec) and of text files that others write (TextFiles).
//
// A program that fails is a successful look: custom_state tells how it failed.
// Each program is a collector of its own, so that one that hangs costs no other
// a check; it ends at its time-out with everything that it started.
package custom

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/command"
	"watchkeeper/internal/promtext"
	"watchkeeper/internal/sample"
)

// Kinds of collectors in a scheduler's jobs.
const (
	KindExec      = "exec"
	KindTextFiles = "textfile"
)

// Jobs builds a job for every command and one for the text files.
func Jobs(customer string, cfg Config, set *metrics.Set, log *slog.Logger) ([]exporters.Job, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Instance == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("host name: %w", err)
		}
		cfg.Instance = name
	}
	var jobs []exporters.Job
	for _, c := range cfg.Commands {
		e := NewExec(customer, cfg.Instance, c, set, log)
		// The program is ended at its time-out; what comes after is ours.
		jobs = append(jobs, exporters.Job{
			Kind: KindExec, Collector: e, Interval: time.Duration(c.Interval),
			Timeout: time.Duration(c.Timeout) + 2*time.Second, Revision: revision(cfg.Instance, c),
		})
	}
	if len(cfg.TextFiles.Folders) > 0 {
		jobs = append(jobs, exporters.Job{
			Kind: KindTextFiles, Collector: NewTextFiles(customer, cfg.Instance, cfg.TextFiles, set, log),
			Interval: time.Duration(cfg.TextFiles.Interval), Revision: revision(cfg.Instance, cfg.TextFiles),
		})
	}
	return jobs, nil
}

func revision(instance string, cfg any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %#v", instance, cfg))
	return hex.EncodeToString(sum[:])
}

// Exec runs one declared program at every check.
type Exec struct {
	cfg      Command
	id       identity
	source   sample.Source
	last     []sample.Sample // values delivered at the last good check
	failing  bool
	runs     *metrics.Counter
	failures map[int]*metrics.Counter
	log      *slog.Logger
}

var stateNames = map[int]string{
	stateExit: "exit", stateTimeout: "timeout", stateOutput: "output", stateTooMuch: "too_much", stateNotStarted: "not_started", stateSignal: "signal",
}

// NewExec returns the collector of one command; its configuration is valid.
func NewExec(customer, instance string, cfg Command, set *metrics.Set, log *slog.Logger) *Exec {
	e := &Exec{
		cfg:    cfg,
		id:     identity{customer, "host", instance},
		source: sample.Source{Customer: customer, Name: KindExec + "/" + instance + "/" + cfg.Name},
		runs:   set.GetOrCreateCounter("watchkeeper_custom_runs_total"),
		log:    log.With("customer", customer, "command", cfg.Name),

		failures: make(map[int]*metrics.Counter),
	}
	for state, reason := range stateNames {
		e.failures[state] = set.GetOrCreateCounter(fmt.Sprintf("watchkeeper_custom_run_failures_total{reason=%q}", reason))
	}
	return e
}

// Source is "exec/<instance>/<command>".
func (e *Exec) Source() sample.Source { return e.source }

// Collect runs the program and delivers what it says.
func (e *Exec) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	e.runs.Inc()
	runCtx, cancel := context.WithTimeout(ctx, time.Duration(e.cfg.Timeout))
	defer cancel()
	res, err := command.Run(runCtx, command.Spec{
		Argv: e.cfg.argv(), Dir: e.cfg.Dir, User: e.cfg.User, PassEnv: e.cfg.PassEnv,
		MaxOutputBytes: e.cfg.MaxOutputBytes, MaxMemoryBytes: uint64(e.cfg.MaxMemoryBytes),
	})
	if ctx.Err() != nil {
		return ctx.Err() // stopped; nobody's failure
	}
	state, values, err := e.judge(at, res, err)
	e.note(state, res, err)
	b := builder(at, e.id)
	dims := []string{"command", e.cfg.Name}
	b.Add(metricState, float64(state), dims...)
	b.Add(metricDurationSeconds, res.Duration.Seconds(), dims...)
	if state != stateNotStarted && state != stateTimeout && state != stateTooMuch {
		b.Add(metricExitCode, float64(res.ExitCode), dims...)
	}
	batch := exporters.Looked(e.source, at, append(b.Samples(), values...))
	if state == stateGood {
		batch.Ends = ended(e.last, values, at, reasonSilent)
	}
	if err := sink.Append(ctx, batch); err != nil {
		return err
	}
	if state == stateGood {
		e.last = values
	}
	return nil
}

// judge says how a run went and what values it brought.
func (e *Exec) judge(at time.Time, res command.Result, err error) (state int, values []sample.Sample, _ error) {
	switch {
	case err != nil:
		return stateNotStarted, nil, err
	case res.TimedOut:
		return stateTimeout, nil, fmt.Errorf("did not end within %s", e.cfg.Timeout)
	case res.TooMuch:
		return stateTooMuch, nil, fmt.Errorf("more than %d bytes of output", e.cfg.MaxOutputBytes)
	case res.ExitCode < 0:
		return stateSignal, nil, errors.New("ended by a signal")
	case res.ExitCode > 0:
		return stateExit, nil, fmt.Errorf("exit code %d", res.ExitCode)
	}
	values, err = e.parse(at, res.Output)
	switch {
	case errors.Is(err, errTooManyValues) || errors.Is(err, promtext.ErrTooMany):
		return stateTooMuch, nil, fmt.Errorf("more than %d values", e.cfg.MaxSeries)
	case err != nil:
		return stateOutput, values, err
	}
	return stateGood, values, nil
}

func (e *Exec) parse(at time.Time, out []byte) ([]sample.Sample, error) {
	if e.cfg.Format == formatPrometheus {
		in, bad, err := promtext.Parse(out, e.cfg.MaxSeries)
		if err != nil {
			return nil, err
		}
		samples, err := e.id.adopt(at, in)
		if len(bad) > 0 {
			err = bad[0]
		}
		return samples, err
	}
	values, err := parseSimple(e.cfg.Format, out, e.cfg.MaxSeries)
	b := builder(at, e.id)
	for _, v := range values {
		b.Add(metricValue, v.v, append([]string{"command", e.cfg.Name}, v.dims...)...)
	}
	return b.Samples(), err
}

// note counts a failed run and logs the first of a row.
func (e *Exec) note(state int, res command.Result, err error) {
	if state == stateGood {
		e.failing = false
		return
	}
	e.failures[state].Inc()
	if !e.failing {
		e.log.Warn("command failed", "reason", stateNames[state], "err", err, "stderr", shorten(res.Stderr))
	}
	e.failing = true
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}
