package aliyun

import (
	"errors"
	"log/slog"
	"sync"

	"watchkeeper/exporters"
)

// refusals remembers what an account refuses as a whole, so that a wrong key is
// told once and not by each of a hundred collectors that use it: a refused key
// and a used-up quota for the account, a missing permission for each action and
// region. It is told again when it changes, and when it has ended.
type refusals struct {
	log *slog.Logger

	mu   sync.Mutex
	told map[refusal]string // the service's code of what holds now
}

// refusal is what one line is written about.
type refusal struct {
	kind   error
	api    api    // of a missing permission
	region string // of a missing permission
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, told: map[refusal]string{}}
}

// note takes the outcome of a call. An error that concerns more than the call
// is told here, once, and returned marked so that nobody else tells it.
func (r *refusals) note(a api, region string, err error) error {
	if err == nil {
		r.worked(a, region)
		return nil
	}
	var own *Error
	if !errors.As(err, &own) {
		return err
	}
	what := refusal{kind: own.Kind}
	switch own.Kind {
	case ErrAuth:
	case ErrQuota:
		r.works(refusal{kind: ErrAuth}) // the key was taken
	case ErrForbidden:
		r.works(refusal{kind: ErrAuth})
		what.api, what.region = a, region
	default:
		return err
	}
	r.mu.Lock()
	code, known := r.told[what]
	r.told[what] = own.Code
	r.mu.Unlock()
	if !known || code != own.Code {
		attrs := []any{"reason", kindWord(err), "err", own}
		if what.api != "" {
			attrs = append(attrs, "api", string(a), "region", region)
		}
		r.log.Warn("account refuses calls", attrs...)
	}
	return exporters.Reported(err)
}

// worked notes a call that was answered.
func (r *refusals) worked(a api, region string) {
	r.works(refusal{kind: ErrAuth})
	r.works(refusal{kind: ErrForbidden, api: a, region: region})
	if a.countsForMonth() {
		r.works(refusal{kind: ErrQuota})
	}
}

// works ends a refusal.
func (r *refusals) works(what refusal) {
	r.mu.Lock()
	_, known := r.told[what]
	delete(r.told, what)
	r.mu.Unlock()
	if !known {
		return
	}
	attrs := []any{"reason", kindWord(what.kind)}
	if what.api != "" {
		attrs = append(attrs, "api", string(what.api), "region", what.region)
	}
	r.log.Info("account takes calls again", attrs...)
}
