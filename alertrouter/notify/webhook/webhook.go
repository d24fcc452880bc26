// Package webhook sends Alertmanager-format webhooks (version 4) whose
// requests carry the message's idempotency key.
package webhook

import (
	"context"
	"log/slog"
	"maps"

	"github.com/prometheus/alertmanager/alert"
	amnotify "github.com/prometheus/alertmanager/notify"
	amwebhook "github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/alertmanager/template"
	commoncfg "github.com/prometheus/common/config"

	"watchkeeper/alertrouter/notify"
)

// Notifier is Alertmanager's webhook notifier plus the Idempotency-Key header.
type Notifier struct {
	conf *amwebhook.WebhookConfig
	tmpl *template.Template
	log  *slog.Logger
}

var _ amnotify.Notifier = (*Notifier)(nil)

// New returns a notifier for one webhook_config.
func New(conf *amwebhook.WebhookConfig, tmpl *template.Template, log *slog.Logger) (*Notifier, error) {
	n := &Notifier{conf: conf, tmpl: tmpl, log: log}
	// Built once here so that a bad http_config is an error at load.
	if _, err := n.build(""); err != nil {
		return nil, err
	}
	return n, nil
}

// Notify implements Alertmanager's notify.Notifier.
func (n *Notifier) Notify(ctx context.Context, alerts ...*alert.Alert) (retry bool, err error) {
	one, err := n.build(notify.IdempotencyKey(ctx))
	if err != nil {
		return false, err
	}
	return one.Notify(ctx, alerts...)
}

// build makes the notifier of one message. Alertmanager's notifier lets nobody
// near its HTTP client, but the headers of its configuration are ours to set;
// they are fixed when it is built. Its connections are not kept, since nobody
// would use them again.
func (n *Notifier) build(key string) (*amwebhook.Notifier, error) {
	conf := *n.conf
	http := *conf.HTTPConfig
	if key != "" {
		http.HTTPHeaders = withHeader(http.HTTPHeaders, notify.IdempotencyKeyHeader, key)
	}
	conf.HTTPConfig = &http
	return amwebhook.New(&conf, n.tmpl, n.log, commoncfg.WithKeepAlivesDisabled())
}

func withHeader(h *commoncfg.Headers, name, value string) *commoncfg.Headers {
	out := &commoncfg.Headers{Headers: map[string]commoncfg.Header{}}
	if h != nil {
		maps.Copy(out.Headers, h.Headers)
	}
	out.Headers[name] = commoncfg.Header{Values: []string{value}}
	return out
}
