package ruleset

import (
	"math"

	"github.com/prometheus/prometheus/promql/parser"
)

// Verdict is what a check says about one identity.
type Verdict uint8

// The verdicts. VerdictOpen is a check that has not been decided: its time has
// not come, or no sample came and missing_after has not passed.
const (
	VerdictOpen Verdict = iota
	VerdictBreach
	VerdictGood
	VerdictMissing
	VerdictUnobserved
)

var verdictNames = [...]string{"open", "breach", "good", "missing", "unobserved"}

// String returns the verdict's name.
func (v Verdict) String() string {
	if int(v) >= len(verdictNames) {
		return "unknown"
	}
	return verdictNames[v]
}

// outcome is what an expression says about one identity at one check.
//
//	in       the instant query contains it
//	present  its operands have samples, so that "not in" means good
//	nan      an operand was NaN, which counts as not there
type outcome struct {
	v                float64
	in, present, nan bool
}

// verdict reads an outcome; a check without a verdict yet is open.
func (o outcome) verdict() Verdict {
	switch {
	case o.in:
		return VerdictBreach
	case o.present:
		return VerdictGood
	case o.nan:
		return VerdictMissing
	}
	return VerdictOpen
}

// operand is what one leaf has at one check.
type operand struct {
	v       float64
	there   bool
	clash   bool // several series where matching allows one
	present bool // of an aggregation that is not there: it has its members
	nan     bool // of an aggregation that is not there: for want of a member that is NaN
}

// eval computes the tree over the leaves' operands, behind which the time of the
// check stands where the program reads it. It does not allocate.
func (n *node) eval(ops []operand) outcome {
	switch n.kind {
	case kindLeaf:
		o := &ops[n.leaf]
		if !o.there || o.clash {
			return outcome{v: math.NaN(), present: o.present, nan: o.nan}
		}
		return valueOutcome(o.v)
	case kindNumber:
		return outcome{v: n.num, in: true, present: true}
	case kindTime:
		return outcome{v: ops[len(ops)-1].v, in: true, present: true}
	case kindNeg:
		o := n.l.eval(ops)
		o.v = -o.v
		return o
	}
	l, r := n.l.eval(ops), n.r.eval(ops)
	both := l.present && r.present
	nan := l.nan || r.nan
	switch n.kind {
	case kindArith:
		if l.in && r.in {
			o := valueOutcome(arith(n.op, l.v, r.v))
			o.present = o.present && both
			o.nan = o.nan || nan && !both
			return o
		}
		return outcome{v: math.NaN(), present: both, nan: nan && !both}
	case kindCmp:
		return n.compare(l, r, both, nan)
	case kindAnd:
		present := both || l.present && !l.in || r.present && !r.in
		return outcome{v: l.v, in: l.in && r.in, present: present, nan: nan && !present}
	case kindOr:
		present := both || l.in || r.in
		o := outcome{v: l.v, in: l.in || r.in, present: present, nan: nan && !present}
		if !l.in {
			o.v = r.v
		}
		return o
	}
	return outcome{v: l.v, in: l.in && !r.in, present: l.present, nan: l.nan}
}

// number computes a tree of which computes says that it can be.
func (n *node) number(vals []float64) float64 {
	switch n.kind {
	case kindLeaf:
		return vals[n.leaf]
	case kindNumber:
		return n.num
	}
	return n.arithmetic(vals)
}

func (n *node) arithmetic(vals []float64) float64 {
	if n.kind == kindNeg {
		return -n.l.number(vals)
	}
	return arith(n.op, n.l.number(vals), n.r.number(vals))
}

// computes says whether n compares two sides that number can compute: arithmetic in
// which what is not a number makes the result none.
func (n *node) computes() bool {
	var plain func(n *node) bool
	plain = func(n *node) bool {
		switch n.kind {
		case kindNumber:
			return n.num == n.num
		case kindLeaf:
			return true
		case kindNeg:
			return plain(n.l)
		case kindArith:
			return n.op != parser.POW && plain(n.l) && plain(n.r)
		}
		return false
	}
	return n.kind == kindCmp && !n.retBool && plain(n.l) && plain(n.r)
}

// needsAll says whether nothing comes of a check at which an operand is not there.
func (n *node) needsAll() bool {
	switch n.kind {
	case kindLeaf, kindNumber, kindTime:
		return true
	case kindNeg:
		return n.l.needsAll()
	case kindArith, kindCmp:
		return n.l.needsAll() && n.r.needsAll()
	}
	return false
}

// waits says whether nothing comes of a check at which a leaf alone is there: neither a
// breach nor a verdict.
func (n *node) waits(leaf int) bool {
	switch n.kind {
	case kindLeaf:
		return n.leaf != leaf
	case kindNeg, kindUnless:
		return n.l.waits(leaf)
	case kindArith, kindCmp:
		return n.l.waits(leaf) || n.r.waits(leaf)
	case kindAnd: // one side is enough for a verdict where it does not pass
		l, r := n.l.waits(leaf), n.r.waits(leaf)
		return l && r || l && n.r.kind == kindLeaf || r && n.l.kind == kindLeaf
	case kindOr:
		return n.l.waits(leaf) && n.r.waits(leaf)
	}
	return false
}

func (n *node) compare(l, r outcome, both, nan bool) outcome {
	o := outcome{v: l.v, present: both, nan: nan && !both}
	if n.l.scalar && !n.r.scalar {
		o.v = r.v
	}
	if !l.in || !r.in {
		return o
	}
	pass := compare(n.op, l.v, r.v)
	o.in = pass || n.retBool
	if n.retBool {
		o.v = 0
		if pass {
			o.v = 1
		}
	}
	return o
}

// valueOutcome is a value that stands by itself. NaN is no value.
func valueOutcome(v float64) outcome {
	if math.IsNaN(v) {
		return outcome{v: v, nan: true}
	}
	return outcome{v: v, in: true, present: true}
}
