package ruleset

import "sync"

// gate is a lock whose holder can let others in. With a plain mutex whoever unlocks and
// locks again mostly has it before those who wait have woken.
type gate struct {
	next sync.Mutex // held by who has it next
	mu   sync.Mutex
}

func (g *gate) Lock() {
	g.next.Lock()
	g.mu.Lock()
	g.next.Unlock()
}

func (g *gate) Unlock() { g.mu.Unlock() }

// giveWay has the one who waits for the lock go first.
func (g *gate) giveWay() {
	g.mu.Unlock()
	g.Lock()
}
