package aliyun

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Retries of one call. The wait before try n is firstBackoff·2^(n-1), at most
// maxBackoff, of which a random half is left out so that callers spread.
const (
	maxTries     = 4
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = 8 * time.Second
)

// caller is a Client that keeps the account's budget, bounds each call in time
// and tries again where that can help.
type caller struct {
	client  Client
	budget  *budget
	timeout time.Duration
	tries   int
	refused *refusals // nil: the caller tells of failures itself
}

var _ Client = (*caller)(nil)

func (c *caller) MetricList(ctx context.Context, q MetricQuery) (page MetricPage, err error) {
	err = c.do(ctx, apiMetricList, q.Region, func(ctx context.Context) error {
		page, err = c.client.MetricList(ctx, q)
		return err
	})
	return page, err
}

func (c *caller) Instances(ctx context.Context, q InstanceQuery) (page InstancePage, err error) {
	err = c.do(ctx, apiInstances, q.Region, func(ctx context.Context) error {
		page, err = c.client.Instances(ctx, q)
		return err
	})
	return page, err
}

func (c *caller) Do(ctx context.Context, r Request) (body []byte, err error) {
	err = c.do(ctx, apiOf(r), r.Region, func(ctx context.Context) error {
		body, err = c.client.Do(ctx, r)
		return err
	})
	return body, err
}

func (c *caller) do(ctx context.Context, a api, region string, call func(context.Context) error) error {
	err := c.retried(ctx, a, region, call)
	if c.refused != nil {
		return c.refused.note(a, region, err)
	}
	return err
}

func (c *caller) retried(ctx context.Context, a api, region string, call func(context.Context) error) error {
	for try := 1; ; try++ {
		if err := c.budget.wait(ctx, a); err != nil {
			return fmt.Errorf("%s in %s: %w", a, region, err)
		}
		err := c.once(ctx, call)
		if err == nil {
			return nil
		}
		c.budget.failed(a, err)
		if errors.Is(err, ErrQuota) {
			c.budget.refused()
		}
		if ctx.Err() != nil || !retryable(err) || try >= c.tries {
			return fmt.Errorf("%s in %s: %w", a, region, err)
		}
		pause := backoff(try)
		if errors.Is(err, ErrThrottled) {
			c.budget.throttled(a, pause)
			continue // wait honours the pause, for this caller and all others
		}
		if sleep(ctx, pause) != nil {
			return fmt.Errorf("%s in %s: %w", a, region, err)
		}
	}
}

func (c *caller) once(ctx context.Context, call func(context.Context) error) error {
	callCtx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := call(callCtx)
	if err != nil && callCtx.Err() != nil && ctx.Err() == nil {
		return &Error{Kind: ErrUnavailable, Message: fmt.Sprintf("no answer within %s", c.timeout)}
	}
	return err
}

func backoff(try int) time.Duration {
	d := min(firstBackoff<<(try-1), maxBackoff)
	return d/2 + rand.N(d/2)
}
