package cost

import (
	"context"
	"strconv"
	"time"

	"watchkeeper/exporters/aliyun"
)

// Size is how many pages the account's bills have.
type Size struct {
	Month int // of the running month
	Day   int // of a day
}

// SizeOf are the bills of an account where so many resources cost something.
func SizeOf(resources int) Size {
	most, _ := strconv.Atoi(billPage)
	n := max((resources+most-1)/most, 1)
	return Size{Month: n, Day: n}
}

// Measure reads the bills of the month and of the newest complete day.
func Measure(ctx context.Context, a *aliyun.Account, now time.Time) (Size, error) {
	if !a.Config().Cost.Read {
		return Size{}, nil
	}
	c := newBill(newReader(a, "bill"))
	month, err := c.read(ctx, now.In(china), "MONTHLY")
	if err != nil {
		return Size{}, err
	}
	day, err := c.read(ctx, now.In(china).AddDate(0, 0, -2), "DAILY")
	if err != nil {
		return Size{}, err
	}
	return Size{Month: month.pages, Day: day.pages}, nil
}

// Rounds are the calls that the collectors of balance and bill make: those of a
// check, and those of each new day, which is compared with days of its own.
func Rounds(cfg aliyun.AccountConfig, s Size) []aliyun.Round {
	if !cfg.Cost.Read {
		return nil
	}
	interval := time.Duration(cfg.Cost.Interval)
	return []aliyun.Round{
		{API: "BssOpenApi.QueryAccountBalance", Calls: 1, Every: interval},
		{API: "BssOpenApi.DescribeInstanceBill", Calls: s.Month + s.Day, Every: interval},
		{API: "BssOpenApi.DescribeInstanceBill", Calls: (cfg.Cost.HistoryWeeks + 1) * s.Day, Every: 24 * time.Hour},
	}
}
