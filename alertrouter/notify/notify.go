// Package notify holds what notifiers share: the idempotency key under which
// one message travels, however often it is tried.
package notify

import "context"

// IdempotencyKeyHeader is the HTTP header that carries the key.
const IdempotencyKeyHeader = "Idempotency-Key"

type contextKey struct{}

// WithIdempotencyKey returns a context for delivering the message of this key.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, contextKey{}, key)
}

// IdempotencyKey returns the key of the message that ctx delivers, or an empty
// string.
func IdempotencyKey(ctx context.Context) string {
	key, _ := ctx.Value(contextKey{}).(string)
	return key
}
