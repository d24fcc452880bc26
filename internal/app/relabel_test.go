package app

import (
	"testing"
	"time"
)

// While a reload is under way no label is brought up to rules that may be on their way
// out; it stays due.
func TestRelabelWaitsForTheReload(t *testing.T) {
	a := &App{}
	a.relabelDue.Store(true)
	a.reloadMu.Lock()
	defer a.reloadMu.Unlock()
	a.relabel(t.Context(), time.Now())
	if !a.relabelDue.Load() {
		t.Error("it is not due any more")
	}
}
