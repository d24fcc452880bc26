package aliyun

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is text that never shows itself: every way of printing or encoding it
// gives a fixed mark. Reveal is the one way to the text.
type Secret struct{ text string }

const hidden = "<secret>"

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text, for the one place that signs with it.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no text; YAML's omitempty uses it.
func (s Secret) IsZero() bool { return s.text == "" }

// String implements fmt.Stringer.
func (s Secret) String() string { return hidden }

// Format implements fmt.Formatter, so that no verb prints the field.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the text from JSON and YAML alike.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// UnmarshalText reads the text from a configuration file.
func (s *Secret) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}
