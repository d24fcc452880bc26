package slo

import (
	"fmt"
	"math/big"
)

const rounding = "availability is cut off after six decimals, so that a broken promise never prints as a kept one; " +
	"money is rounded half up to two decimals, printed seconds to three; everything else is exact"

func ratio(numerator, denominator int64) *big.Rat { return big.NewRat(numerator, denominator) }

// inSeconds turns milliseconds into seconds.
func inSeconds(ms *big.Rat) Exact { return Exact{new(big.Rat).Quo(ms, ratio(1000, 1))} }

// cutOff prints r >= 0 with n decimals, the rest dropped.
func cutOff(r *big.Rat, n int) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
	scaled := new(big.Int).Mul(r.Num(), scale)
	scaled.Quo(scaled, r.Denom())
	return new(big.Rat).SetFrac(scaled, scale).FloatString(n)
}

// ceiling is the smallest integer not below r >= 0.
func ceiling(r *big.Rat) *big.Rat {
	quotient, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		quotient.Add(quotient, big.NewInt(1))
	}
	return new(big.Rat).SetInt(quotient)
}

// allowance is the allowed unavailable time of a cycle, in milliseconds.
func (c *Contract) allowance(cycleMS int64) *big.Rat {
	if c.Allowance.Kind == AllowanceShare {
		share := new(big.Rat).Sub(ratio(1, 1), c.Objective.Rat())
		return share.Mul(share, ratio(cycleMS, 1))
	}
	minutes := c.Allowance.Minutes.Rat()
	return minutes.Mul(minutes, ratio(60_000, 1))
}

// figure is what follows from unavailableMS of coveredMS.
func (c *Contract) figure(name string, unavailableMS, coveredMS, cycleMS int64) Figure {
	use, beyond := c.allowanceUse(unavailableMS, cycleMS)
	return Figure{
		Name:        name,
		Unavailable: Duration(unavailableMS),
		Available:   c.availability(unavailableMS, coveredMS),
		Allowance:   use,
		Refund:      c.refund(use.Breached, unavailableMS, beyond),
	}
}

func (c *Contract) availability(unavailableMS, coveredMS int64) *Availability {
	if coveredMS == 0 {
		return nil
	}
	share := ratio(coveredMS-unavailableMS, coveredMS)
	return &Availability{
		Numerator:   Duration(coveredMS - unavailableMS),
		Denominator: Duration(coveredMS),
		Ratio:       Exact{share},
		Decimal:     cutOff(share, 6),
		Met:         share.Cmp(c.Objective.Rat()) >= 0,
	}
}

func (c *Contract) allowanceUse(unavailableMS, cycleMS int64) (AllowanceUse, *big.Rat) {
	allowed := c.allowance(cycleMS)
	beyond := new(big.Rat).Sub(ratio(unavailableMS, 1), allowed)
	left, zero := new(big.Rat).Neg(beyond), new(big.Rat)
	breached := beyond.Sign() > 0 || beyond.Sign() == 0 && c.Allowance.Breached == Reached
	if beyond.Sign() < 0 {
		beyond = zero
	} else {
		left = zero
	}
	return AllowanceUse{
		Seconds:  inSeconds(allowed),
		Boundary: c.Allowance.Breached,
		Breached: breached,
		Left:     inSeconds(left),
		Beyond:   inSeconds(beyond),
	}, beyond
}

// refund counts the started units on the cycle's total, not outage by outage.
func (c *Contract) refund(breached bool, unavailableMS int64, beyond *big.Rat) *RefundDue {
	r := c.Refund
	if r == nil {
		return nil
	}
	unit := ratio(r.UnitMinutes*60_000, 1)
	units := new(big.Rat)
	if breached {
		units = ceiling(new(big.Rat).Quo(beyond, unit))
	}
	fee := r.Fee.Amount.Rat()
	perUnit := new(big.Rat).Quo(fee, ratio(r.Divisor, 1))
	uncapped := new(big.Rat).Mul(perUnit, units)
	limit := new(big.Rat).Mul(fee, r.Cap.Rat())
	amount, capped := uncapped, uncapped.Cmp(limit) > 0
	if capped {
		amount = limit
	}
	due := &RefundDue{
		Units: Exact{units}, UnitSize: Duration(r.UnitMinutes * 60_000), Fee: Exact{fee}, PerUnit: Exact{perUnit},
		Uncapped: Exact{uncapped}, Cap: Exact{limit}, Capped: capped,
		Amount: Exact{amount}, Rounded: amount.FloatString(2), Currency: r.Fee.Currency, AppliedTo: r.AppliedTo,
	}
	due.Steps = due.steps(breached, unavailableMS, inSeconds(beyond), r)
	return due
}

// steps tell the refund's arithmetic line by line.
func (d *RefundDue) steps(breached bool, unavailableMS int64, beyond Exact, r *Refund) []string {
	if !breached {
		return []string{fmt.Sprintf("unavailable %s s: the allowance is not used up, no unit has started", Duration(unavailableMS).seconds())}
	}
	steps := []string{
		fmt.Sprintf("unavailable %s s, of which beyond the allowance %s s", Duration(unavailableMS).seconds(), beyond.Decimal()),
		fmt.Sprintf("%s s / %s s, each started unit counting as one: %s", beyond.Decimal(), d.UnitSize.seconds(), d.Units.RatString()),
		fmt.Sprintf("%s %s / %d x %s = %s %s", r.Fee.Amount, d.Currency, r.Divisor, d.Units.RatString(), d.Uncapped.FloatString(2), d.Currency),
	}
	reached := "not exceeded"
	if d.Capped {
		reached = "exceeded, the refund is " + d.Rounded + " " + d.Currency
	}
	return append(steps, fmt.Sprintf("cap %s of the fee = %s %s: %s", r.Cap, d.Cap.FloatString(2), d.Currency, reached))
}
